import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Permission } from '../../../../contacts/contact.ts';
import { KeyturnError } from '../../../../errors.ts';
import type { Page, Reply, Section, Visit } from '../../page.ts';
import { attempt } from '../../page.ts';
import { confirmedAct, nameField } from '../../parts/confirmed-act.ts';
import { pageHeading } from '../../parts/elements.ts';
import { checkbox, selectField } from '../../parts/fields.ts';
import { postForm } from '../../parts/forms.ts';
import { madePage } from '../../parts/made-page.ts';
import { exactMoment, fromNow } from '../../parts/moment.ts';
import { notice, problemNotice } from '../../parts/notices.ts';
import { sourceName } from '../../parts/usage-section.ts';
import type { Listed, ShownRegeneration, ShownReview } from '../../shown.ts';
import { impactOf } from './regeneration-parts.ts';

/** The client or access key whose secret is regenerated, and the path of its page. */
type Owner = { name: string; at: `/console/${string}`; section: Section };

/** The differences between regenerating a client's secret and an access key. */
export type Turning<Regenerated> = {
  path: string;
  route: '/clients/{client_id}' | '/access-keys/{id}';
  permission: Permission;
  /** Noun for the regenerated credential: `secret` or `key`. */
  what: string;
  hasClientId: boolean;
  /** Returns the parameters of `route` from the page's address. */
  paramsOf(visit: Visit): Record<string, string>;
  findOwner(visit: Visit): Promise<Owner>;
  showNew(visit: Visit, regenerated: Regenerated): Promise<Reply>;
};

const overlaps = [
  ['0', 'None: the previous one stops working now'],
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['259200', '3 days'],
  ['604800', '7 days'],
  ['2592000', '30 days'],
] as const;

/** Creates the pages of a regeneration: review, new secret, early end of the grace period, and undo. */
export function regeneratePages<Regenerated>(turning: Turning<Regenerated>): Page[] {
  const { path, permission } = turning;
  return [
    {
      method: 'get',
      path: `${path}/regenerate`,
      permission,
      asksProof: true,
      handle: (visit) => review(visit, turning),
    },
    { method: 'post', path: `${path}/regenerate`, permission, handle: (visit) => regenerate(visit, turning) },
    madePage<Regenerated>({
      path: `${path}/regenerate`,
      route: `POST ${turning.route}/regenerate`,
      permission,
      params: (visit) => turning.paramsOf(visit),
      show: (visit, regenerated) => turning.showNew(visit, regenerated),
    }),
    ...extending(turning),
    ...ending(turning, 'finish'),
    ...ending(turning, 'undo'),
  ];
}

async function review<R>(visit: Visit, turning: Turning<R>): Promise<Reply> {
  const owner = await turning.findOwner(visit);
  const result = await attempt(() =>
    visit.call<ShownReview>(`POST ${turning.route}/regeneration/review`, { params: turning.paramsOf(visit) }),
  );
  if ('problem' in result) {
    const back = { path: owner.at, label: owner.name };
    const title = `The ${turning.what} cannot be regenerated`;
    return {
      status: result.problem.status,
      title,
      section: owner.section,
      body: html`${pageHeading({ title, back })} ${problemNotice(result.problem)}`,
    };
  }
  return showReview(visit, turning, owner, result.done.body);
}

async function regenerate<R>(visit: Visit, turning: Turning<R>): Promise<Reply> {
  const { form, once } = visit;
  const params = turning.paramsOf(visit);
  const owner = await turning.findOwner(visit);
  if (form.get('name')?.trim() !== owner.name.trim()) {
    const { body: fresh } = await visit.call<ShownReview>(`POST ${turning.route}/regeneration/review`, {
      params,
    });
    return showReview(visit, turning, owner, fresh, `The name that you typed does not match “${owner.name}”.`);
  }
  const body = {
    confirmation: form.get('confirmation') ?? undefined,
    overlap_seconds: Number(form.get('overlap_seconds') ?? 86_400),
    finish_when_unused: form.has('finish_when_unused'),
    revoke_tokens: form.has('revoke_tokens'),
    ...(turning.hasClientId ? { new_client_id: form.has('new_client_id') } : {}),
  };
  try {
    await visit.call<R>(`POST ${turning.route}/regenerate`, { params, body, once });
    return { seeOther: `${visit.path}/made/${once}` as `/console/${string}` };
  } catch (error) {
    // Status 428 means that the impact has changed since the review. The error contains a current review.
    const fresh = error instanceof KeyturnError && error.status === 428 ? error.extension?.['review'] : undefined;
    if (!fresh) throw error;
    const said =
      'The impact has changed since your review, or your review is older than ten minutes. Check the new review.';
    return showReview(visit, turning, owner, JSON.parse(JSON.stringify(fresh)) as ShownReview, said);
  }
}

function showReview<R>(
  visit: Visit,
  { what, hasClientId }: Turning<R>,
  owner: Owner,
  { confirmation, impact }: ShownReview,
  problem?: string,
): Reply {
  const { form } = visit;
  const title = `Regenerate the ${what} of ${owner.name}`;
  return {
    ...(problem ? { status: 409 } : {}),
    title,
    section: owner.section,
    body: html`${pageHeading({ title, lead: 'Review the impact first. Nothing has been changed yet.', back: { path: owner.at, label: owner.name } })}
    ${problem && notice('bad', html`<p><strong>${problem}</strong> Nothing was changed.</p>`)}
    <div class="grid two">
      ${impactOf(visit, impact, what)}
      <section class="card" aria-labelledby="choose">
        <h2 id="choose">Rotation</h2>
        ${postForm(
          visit.path,
          html`<input type="hidden" name="confirmation" value=${confirmation} />
            ${selectField({
              name: 'overlap_seconds',
              label: 'Grace period',
              value: form.get('overlap_seconds') ?? '86400',
              options: overlaps,
              hint: `The previous and the new ${what} both work for this time, so programs can move one by one without failing.`,
            })}
            ${checkbox({
              name: 'finish_when_unused',
              label: 'End the grace period early, when all sources have moved',
              hint: `A source has moved when it has used the new ${what}, and has not used the previous one for at least a token lifetime and its longest pause between two uses.`,
              checked: form.has('finish_when_unused'),
            })}
            ${
              hasClientId &&
              checkbox({
                name: 'new_client_id',
                label: 'Generate a new Client ID too',
                hint: 'The previous Client ID works with the previous secret until the grace period ends.',
                checked: form.has('new_client_id'),
              })
            }
            ${checkbox({
              name: 'revoke_tokens',
              label: `The ${what} was leaked: revoke all active tokens and the previous ${what} now`,
              hint: `There is no grace period then. Programs fail until they use the new ${what}.`,
              checked: form.has('revoke_tokens'),
            })}
            ${nameField(owner.name)}
            <div class="actions">
              <button class="primary">Regenerate</button><a class="button" href=${owner.at}>Cancel</a>
            </div>`,
        )}
      </section>
    </div>`,
  };
}

function ending<R>(turning: Turning<R>, act: 'finish' | 'undo'): Page[] {
  const { path, permission, route, what } = turning;
  return confirmedAct({
    path: `${path}/regenerations/:regeneration_id/${act}`,
    permission,
    asksProof: act === 'undo',
    confirm: async (visit) => {
      const owner = await turning.findOwner(visit);
      const overlap = visit.can('integrations:view') ? await findOverlap(visit, turning) : undefined;
      const isFinish = act === 'finish';
      return {
        title: isFinish ? `End the grace period of ${owner.name} now?` : `Undo the rotation of ${owner.name}?`,
        section: owner.section,
        body: isFinish ? whatFinishBreaks(overlap, what) : whatUndoBreaks(overlap, what),
        button: isFinish ? 'End grace period now' : 'Undo rotation',
        back: { path: owner.at, label: owner.name },
      };
    },
    act: async (visit) => {
      const { at } = await turning.findOwner(visit);
      const regeneration_id = visit.params['regeneration_id'];
      await visit.call(`POST ${route}/regenerations/{regeneration_id}/${act}`, {
        params: { ...turning.paramsOf(visit), regeneration_id },
      });
      return { seeOther: `${at}?done=${act === 'finish' ? 'finished' : 'undone'}` };
    },
  });
}

/** Creates the pages that let a grace period end later. */
function extending<R>(turning: Turning<R>): Page[] {
  const { path: owned, permission, route, what } = turning;
  const path = `${owned}/regenerations/:regeneration_id/extend` as const;
  const show = async (visit: Visit, problem?: KeyturnError): Promise<Reply> => {
    const owner = await turning.findOwner(visit);
    const overlap = visit.can('integrations:view') ? await findOverlap(visit, turning) : undefined;
    const title = `Extend the grace period of ${owner.name}`;
    const end = overlap?.previous.retires_at;
    return {
      ...(problem ? { status: problem.status } : {}),
      title,
      section: owner.section,
      body: html`${pageHeading({ title, back: { path: owner.at, label: owner.name } })}
      ${problem && problemNotice(problem)}
      <section class="card">
        ${end && html`<p>The previous ${what} expires ${fromNow(end, visit.now)} (${exactMoment(end)}).</p>`}
        ${postForm(
          visit.path,
          html`${selectField({
            name: 'seconds',
            label: 'New end, from now',
            value: visit.form.get('seconds') ?? '604800',
            options: overlaps.slice(1),
            hint: `Until then both the previous and the new ${what} work. The new end must be later than the present one.`,
          })}
            <div class="actions">
              <button class="primary">Extend grace period</button><a class="button" href=${owner.at}>Cancel</a>
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
        const { at } = await turning.findOwner(visit);
        const seconds = Number(visit.form.get('seconds'));
        const result = await attempt(() =>
          visit.call(`POST ${route}/regenerations/{regeneration_id}/extend`, {
            params: { ...turning.paramsOf(visit), regeneration_id: visit.params['regeneration_id'] },
            body: { retires_at: new Date(visit.now + (seconds || 0) * 1_000).toISOString() },
          }),
        );
        return 'problem' in result ? await show(visit, result.problem) : { seeOther: `${at}?done=extended` };
      },
    },
  ];
}

async function findOverlap<R>(visit: Visit, { route, paramsOf }: Turning<R>): Promise<ShownRegeneration | undefined> {
  const params = paramsOf(visit);
  const { body } = await visit.call<Listed<ShownRegeneration>>(`GET ${route}/regenerations`, { params });
  return body.data.find(({ id }) => id === visit.params['regeneration_id']);
}

function whatFinishBreaks(overlap: ShownRegeneration | undefined, what: string): VNode {
  const still = overlap?.still_using_old ?? [];
  return html`<ul class="bullets">
      <li>Token requests with the previous ${what} fail immediately. Tokens that were obtained with it work until they expire.</li>
      <li>This cannot be undone.</li>
    </ul>
    ${
      still.length > 0
        ? notice(
            'warn',
            html`<p><strong>${still.length === 1 ? '1 source still uses' : `${still.length} sources still use`} the previous ${what}</strong> and will fail:</p>
              <ul>${still.map((source) => html`<li>${sourceName(source)}</li>`)}</ul>`,
          )
        : overlap && notice('ok', `No source uses the previous ${what} any more.`)
    }`;
}

function whatUndoBreaks(overlap: ShownRegeneration | undefined, what: string): VNode {
  const users = overlap?.using_new ?? [];
  return html`<ul class="bullets">
      <li>The previous ${what} becomes the current one again and does not expire.</li>
      <li>The new ${what} and all tokens that were obtained with it stop working immediately.</li>
    </ul>
    ${
      users.length > 0
        ? notice(
            'warn',
            html`<p><strong>${users.length === 1 ? '1 source uses' : `${users.length} sources use`} the new ${what}</strong> and will fail:</p>
              <ul>${users.map((source) => html`<li>${sourceName(source)}</li>`)}</ul>`,
          )
        : overlap && notice('ok', `No source uses the new ${what} yet.`)
    }`;
}
