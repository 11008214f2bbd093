import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { KeyturnError } from '../../../../errors.ts';
import { type Message, msg, rich, t } from '../../languages/translate.ts';
import { attempt, type Listed, type Page, type Reply, type ShownRegeneration, type Visit } from '../../page.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import { exactMoment, fromNow, pageHeading } from '../../parts/elements.ts';
import { readEntries } from '../../parts/entries.ts';
import { postForm } from '../../parts/forms.ts';
import { notice, problemNotice } from '../../parts/notices.ts';
import { sourceName } from '../../parts/usage-section.ts';
import { endFields, readEndSeconds } from './end-fields.ts';
import { type Nouns, nounsOf, type Owner, type RotationSubject } from './rotation-subject.ts';

/** Creates the pages that end, extend or undo a running grace period, or mark one of its sources as moved. */
export function gracePeriodPages<R>(subject: RotationSubject<R>): Page[] {
  return [
    ...extendPages(subject),
    ...markPages(subject, 'mark-moved'),
    ...markPages(subject, 'unmark-moved'),
    ...endPages(subject, 'finish'),
    ...endPages(subject, 'undo'),
  ];
}

function endPages<R>(subject: RotationSubject<R>, act: 'finish' | 'undo'): Page[] {
  const { path, permission, route } = subject;
  return confirmedAct({
    path: `${path}/regenerations/:regeneration_id/${act}`,
    permission,
    asksProof: act === 'undo',
    confirm: async (visit) => {
      const owner = await subject.findOwner(visit);
      const rotation = await findRotation(visit, subject);
      const nouns = nounsOf(rotation, owner);
      const isFinish = act === 'finish';
      return {
        title: isFinish
          ? t('End the grace period of {name} now?', { name: owner.name })
          : t('Undo the rotation of {name}?', { name: owner.name }),
        section: owner.section,
        body: isFinish ? impactOfFinish(rotation, nouns) : impactOfUndo(rotation, nouns),
        button: isFinish ? t('End grace period now') : t('Undo rotation'),
        // Require the name, because programs would fail and the act cannot be undone.
        ...(isFinish && rotation && rotation.still_using_old.length > 0 ? { name: owner.name } : {}),
        back: backTo(owner),
      };
    },
    act: async (visit) => {
      const { at } = await subject.findOwner(visit);
      await visit.call(`POST ${route}/regenerations/{regeneration_id}/${act}`, { params: paramsOf(visit, subject) });
      return { seeOther: at, done: act === 'finish' ? 'finished' : 'undone' };
    },
  });
}

function extendPages<R>(subject: RotationSubject<R>): Page[] {
  const { permission, route } = subject;
  const path = `${subject.path}/regenerations/:regeneration_id/extend` as const;
  const show = async (visit: Visit, problem?: KeyturnError): Promise<Reply> => {
    const owner = await subject.findOwner(visit);
    const rotation = await findRotation(visit, subject);
    const { previous, current } = nounsOf(rotation, owner);
    const title = t('Extend the grace period of {name}', { name: owner.name });
    const end = rotation?.previous.retires_at;
    return {
      ...(problem ? { status: problem.status } : {}),
      title,
      section: owner.section,
      body: html`${pageHeading({ title, back: backTo(owner) })} ${problem && problemNotice(problem)}
      <section class="card">
        ${end && html`<p>${rich('The previous {previous} expires {from} ({at}).', { previous, from: fromNow(end, visit.now), at: exactMoment(end) })}</p>`}
        ${postForm(
          visit.path,
          html`${endFields(readEntries(visit.form, problem), {
            name: 'seconds',
            label: t('New end, from now'),
            sources: rotation?.still_using_old ?? [],
            after: end ? (Date.parse(end) - visit.now) / 1_000 : 0,
            hint: t(
              'Until then both the previous {previous} and the new {current} work. The new end must be later than the current one.',
              { previous, current },
            ),
          })}
            <div class="actions">
              <button class="primary">${t('Extend grace period')}</button><a class="button" href=${owner.at}>${t('Cancel')}</a>
            </div>`,
        )}
      </section>`,
    };
  };
  return [
    { method: 'get', path, permission, asksProof: true, handle: (visit) => show(visit) },
    {
      method: 'post',
      path,
      permission,
      handle: async (visit) => {
        const { at } = await subject.findOwner(visit);
        const result = await attempt(async () => {
          const seconds = readEndSeconds(visit.form, 'seconds', visit.now);
          await visit.call(`POST ${route}/regenerations/{regeneration_id}/extend`, {
            params: paramsOf(visit, subject),
            body: { retires_at: new Date(visit.now + seconds * 1_000).toISOString() },
          });
        });
        return 'problem' in result ? await show(visit, result.problem) : { seeOther: at, done: 'extended' };
      },
    },
  ];
}

function markPages<R>(subject: RotationSubject<R>, act: 'mark-moved' | 'unmark-moved'): Page[] {
  const { path, permission, route } = subject;
  return confirmedAct({
    path: `${path}/regenerations/:regeneration_id/${act}`,
    permission,
    confirm: async (visit) => {
      const owner = await subject.findOwner(visit);
      const rotation = await findRotation(visit, subject);
      const { previous, current } = nounsOf(rotation, owner);
      const source = sourceIn(visit);
      if (act === 'unmark-moved') {
        return {
          title: t('Withdraw the mark of this source?'),
          section: owner.section,
          body: html`<p>${sourceName(source)}</p>
            <ul class="bullets">
              <li>${rich('Do this if the program may still have the previous {previous}.', { previous })}</li>
              <li>${rich('It then counts as moved only when it uses the new {current} and no longer the previous {previous}.', { current, previous })}</li>
            </ul>`,
          button: t('Withdraw mark'),
          fields: sourceFields(source),
          back: backTo(owner),
        };
      }
      return {
        title: t('Mark this source as moved?'),
        section: owner.section,
        body: html`<p>${sourceName(source)}</p>
          <ul class="bullets">
            <li>${t('Do this if you know that the program has moved, or that it is no longer in use.')}</li>
            <li>
              ${
                rotation?.finish_when_unused
                  ? t(
                      'The grace period ends as soon as all sources have moved, a minute after this mark at the earliest. If this program still has the previous {previous}, its token requests fail then.',
                      { previous },
                    )
                  : t('The previous {previous} keeps working until the grace period ends.', { previous })
              }
            </li>
            <li>${rich('If the source uses the previous {previous} again, it no longer counts as moved.', { previous })}</li>
          </ul>`,
        button: t('Mark as moved'),
        fields: sourceFields(source),
        back: backTo(owner),
      };
    },
    act: async (visit) => {
      const { at } = await subject.findOwner(visit);
      await visit.call(`POST ${route}/regenerations/{regeneration_id}/${act}`, {
        params: paramsOf(visit, subject),
        body: sourceIn(visit),
      });
      return { seeOther: at, done: act === 'mark-moved' ? 'marked-moved' : 'unmarked-moved' };
    },
  });
}

/** Returns the fields of a form or an address that say which source is meant. */
export function sourceFields({ address, user_agent, instance }: SourcePlace): URLSearchParams {
  return new URLSearchParams({ address, user_agent, ...(instance === null ? {} : { instance }) });
}

type SourcePlace = Pick<ShownRegeneration['moved'][number], 'address' | 'user_agent' | 'instance'>;

/** Returns the source of the submitted form or, before that, of the page's address. */
function sourceIn({ form, query }: Visit): SourcePlace {
  const read = (name: string) => form.get(name) ?? query[name];
  return { address: read('address') ?? '', user_agent: read('user_agent') ?? '', instance: read('instance') ?? null };
}

function backTo({ at, name }: Owner) {
  return { path: at, label: name };
}

function paramsOf<R>(visit: Visit, subject: RotationSubject<R>) {
  return { ...subject.paramsOf(visit), regeneration_id: visit.params['regeneration_id'] };
}

/** Returns the rotation of the page, or undefined if the operator may not see it. */
async function findRotation<R>(
  visit: Visit,
  { route, paramsOf: owned }: RotationSubject<R>,
): Promise<ShownRegeneration | undefined> {
  if (!visit.can('integrations:view')) return undefined;
  const { body } = await visit.call<Listed<ShownRegeneration>>(`GET ${route}/regenerations`, { params: owned(visit) });
  return body.data.find(({ id }) => id === visit.params['regeneration_id']);
}

function impactOfFinish(rotation: ShownRegeneration | undefined, { previous }: Nouns): VNode {
  return html`<ul class="bullets">
      <li>${rich('Token requests with the previous {previous} fail immediately. Tokens that were obtained with it work until they expire.', { previous })}</li>
      <li>${t('This cannot be undone.')}</li>
    </ul>
    ${rotation && failing(rotation.still_using_old, impactTexts.finish, previous)}`;
}

function impactOfUndo(rotation: ShownRegeneration | undefined, { previous, current }: Nouns): VNode {
  return html`<ul class="bullets">
      <li>${rich('The previous {previous} becomes the current one again and does not expire.', { previous })}</li>
      <li>${rich('The new {current} and all tokens that were obtained with it stop working immediately.', { current })}</li>
    </ul>
    ${rotation && failing(rotation.using_new, impactTexts.undo, current)}`;
}

const impactTexts = {
  finish: {
    none: msg('No source still uses the previous {noun}.'),
    some: msg(
      '<strong>{sources, plural, one {# source still uses the previous {noun}} other {# sources still use the previous {noun}}}</strong> and will fail. In the last 24 hours, {tokens, plural, one {# token was} other {# tokens were}} issued to {sources, plural, one {it} other {them}}:',
    ),
  },
  undo: {
    none: msg('No source uses the new {noun}.'),
    some: msg(
      '<strong>{sources, plural, one {# source uses the new {noun}} other {# sources use the new {noun}}}</strong> and will fail. In the last 24 hours, {tokens, plural, one {# token was} other {# tokens were}} issued to {sources, plural, one {it} other {them}}:',
    ),
  },
};

/** Lists the sources that would fail, with how much they use the credential. */
function failing(
  sources: ShownRegeneration['using_new'],
  { none, some }: Record<'none' | 'some', Message>,
  noun: string,
): VNode {
  if (sources.length === 0) return notice('ok', t(none, { noun }));
  const tokens = sources.reduce((sum, { tokens_24h: each }) => sum + each, 0);
  const shown = sources.slice(0, 10);
  return notice(
    'warn',
    html`<p>${rich(some, { sources: sources.length, tokens, noun })}</p>
      <ul>
        ${shown.map((source) => html`<li>${sourceName(source)}</li>`)}
        ${sources.length > shown.length && html`<li>${t('and {count, number} more', { count: sources.length - shown.length })}</li>`}
      </ul>`,
  );
}
