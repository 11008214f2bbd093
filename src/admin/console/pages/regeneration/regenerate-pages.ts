import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { KeyturnError } from '../../../../errors.ts';
import { t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownReview, type Visit } from '../../page.ts';
import { nameField } from '../../parts/confirmed-act.ts';
import { pageHeading } from '../../parts/elements.ts';
import { readEntries } from '../../parts/entries.ts';
import { checkbox, hiddenFields, postForm } from '../../parts/forms.ts';
import { madePage } from '../../parts/made-page.ts';
import { notice, problemNotice } from '../../parts/notices.ts';
import { authMethodOf, nounOf, proofFields, readProof, toProofForm } from '../clients/client-proof.ts';
import { endFields, readEndSeconds } from './end-fields.ts';
import { gracePeriodPages } from './grace-period-pages.ts';
import { handoverPages } from './handover-pages.ts';
import { impactOf, newCredential } from './regeneration-parts.ts';
import type { Owner, RotationSubject } from './rotation-subject.ts';

/**
 * Creates the pages of a rotation: what replaces the credential, review, new credential, and the acts of the grace
 * period. Secrets, keys and certificates are rotated on the same pages.
 */
export function regeneratePages<Regenerated>(subject: RotationSubject<Regenerated>): Page[] {
  const { path, permission } = subject;
  const own: Page[] = [
    {
      method: 'get',
      path: `${path}/regenerate`,
      permission,
      asksProof: true,
      handle: (visit) => start(visit, subject),
    },
    { method: 'post', path: `${path}/regenerate`, permission, handle: (visit) => regenerate(visit, subject) },
    madePage<Regenerated>({
      path: `${path}/regenerate`,
      route: `POST ${subject.route}/regenerate`,
      permission,
      params: (visit) => subject.paramsOf(visit),
      show: (visit, regenerated) => subject.showNew(visit, regenerated),
    }),
    ...gracePeriodPages(subject),
    ...handoverPages(subject),
  ];
  return subject.route === '/clients/{client_id}' ? [...own, ...replacePages(subject)] : own;
}

/** Creates the pages that ask which keys, certificate or secret a client is to authenticate with, and review that. */
function replacePages<R>(subject: RotationSubject<R>): Page[] {
  const { permission } = subject;
  const path = `${subject.path}/replace`;
  return [
    {
      method: 'get',
      path,
      permission,
      asksProof: true,
      handle: async (visit) => {
        const owner = await subject.findOwner(visit);
        return showReplaceForm(owner, owner.client ? toProofForm(owner.client) : visit.form);
      },
    },
    {
      method: 'post',
      path,
      permission,
      asksProof: true,
      handle: async (visit) => showReplaceForm(await subject.findOwner(visit), visit.form),
    },
    {
      method: 'post',
      path: `${path}/review`,
      permission,
      asksProof: true,
      handle: async (visit) => review(visit, subject, await subject.findOwner(visit)),
    },
  ];
}

function showReplaceForm({ name, at, section, noun }: Owner, form: URLSearchParams, problem?: KeyturnError): Reply {
  const title = t('Replace the {noun} of {name}', { noun, name });
  return {
    ...(problem ? { status: problem.status } : {}),
    title,
    section,
    body: html`${pageHeading({
      title,
      lead: t(
        'Choose what the client authenticates with from now on. The current {noun} keeps working for a grace period. The next page shows the impact.',
        { noun },
      ),
      back: { path: at, label: name },
    })}
    ${problem && problemNotice(problem)}
    <form class="card stack narrow" method="post" action=${`${at}/replace/review`}>
      ${proofFields(readEntries(form, problem))}
      <div class="actions"><button class="primary">${t('Review')}</button><a class="button" href=${at}>${t('Cancel')}</a></div>
    </form>`,
  };
}

/** Reviews a new secret. Keys and certificates cannot be generated, so the form asks for them first. */
async function start<R>(visit: Visit, subject: RotationSubject<R>): Promise<Reply> {
  const owner = await subject.findOwner(visit);
  return owner.client && owner.noun !== 'secret'
    ? { seeOther: `${owner.at}/replace` }
    : await review(visit, subject, owner);
}

async function review<R>(visit: Visit, subject: RotationSubject<R>, owner: Owner): Promise<Reply> {
  const result = await attempt(() => askReview(visit, subject));
  if ('done' in result) return showReview(visit, owner, result.done);
  if (visit.form.has('auth_method')) return showReplaceForm(owner, visit.form, result.problem);
  const back = { path: owner.at, label: owner.name };
  const title = t('The {noun} cannot be regenerated', { noun: owner.noun });
  return {
    status: result.problem.status,
    title,
    section: owner.section,
    body: html`${pageHeading({ title, back })} ${problemNotice(result.problem)}`,
  };
}

/** Requests the review of the submitted form. */
async function askReview<R>(visit: Visit, subject: RotationSubject<R>): Promise<ShownReview> {
  const { body } = await visit.call<ShownReview>(`POST ${subject.route}/regeneration/review`, {
    params: subject.paramsOf(visit),
    body: { replace: replacementIn(visit.form) },
  });
  return body;
}

/** Returns what replaces the current credential; undefined for a new secret in its place. */
function replacementIn(form: URLSearchParams): Record<string, unknown> | undefined {
  return form.has('auth_method') ? readProof(form) : undefined;
}

async function regenerate<R>(visit: Visit, subject: RotationSubject<R>): Promise<Reply> {
  const { form, once } = visit;
  const owner = await subject.findOwner(visit);
  const isFinal = form.get('overlap_seconds') === '0' || form.has('revoke_tokens');
  if (isFinal && form.get('name')?.trim() !== owner.name.trim()) {
    const error = t('The name that you typed does not match “{name}”.', { name: owner.name });
    return showReview(visit, owner, await askReview(visit, subject), { error });
  }
  const end = await attempt(async () => readEndSeconds(form, 'overlap_seconds', visit.now));
  if ('problem' in end) return showReview(visit, owner, await askReview(visit, subject), end);
  const result = await attempt(async () => {
    const body = {
      confirmation: form.get('confirmation') ?? undefined,
      overlap_seconds: form.has('overlap_seconds') ? end.done : 86_400,
      finish_when_unused: form.has('finish_when_unused'),
      revoke_tokens: form.has('revoke_tokens'),
      replace: replacementIn(form),
      ...(owner.client ? { new_client_id: form.has('new_client_id') } : {}),
    };
    try {
      await visit.call<R>(`POST ${subject.route}/regenerate`, { params: subject.paramsOf(visit), body, once });
      return undefined;
    } catch (error) {
      // Status 428 means that the impact has changed since the review. The error contains a current review.
      const fresh = error instanceof KeyturnError && error.status === 428 ? error.extension?.['review'] : undefined;
      if (!fresh) throw error;
      return JSON.parse(JSON.stringify(fresh)) as ShownReview;
    }
  });
  if ('problem' in result) {
    if (!form.has('auth_method')) throw result.problem;
    return showReplaceForm(owner, form, result.problem);
  }
  if (!result.done) return { seeOther: `${visit.path}/made/${once}` as `/console/${string}` };
  return showReview(visit, owner, result.done, {
    changed: t(
      'The impact has changed since your review, or your review is older than ten minutes. Check the new review.',
    ),
  });
}

/** Fields of the form that asks for the replacement. The review passes them on. */
const replaceFields = ['auth_method', 'subject_field', 'proof'];

function showReview(
  visit: Visit,
  owner: Owner,
  { confirmation, impact }: ShownReview,
  { error, changed, problem }: { error?: string; changed?: string; problem?: KeyturnError } = {},
): Reply {
  const { form } = visit;
  const { name, at, section, noun, client } = owner;
  const replacement = replacementIn(form);
  const newNoun = replacement ? nounOf(authMethodOf(form)) : noun;
  const title = replacement
    ? t('Replace the {noun} of {name}', { noun, name })
    : t('Regenerate the {noun} of {name}', { noun, name });
  const kept = new URLSearchParams([...form].filter(([field]) => replaceFields.includes(field)));
  return {
    ...(error || changed ? { status: 409 } : {}),
    ...(problem ? { status: problem.status } : {}),
    title,
    section,
    body: html`${pageHeading({ title, lead: `${t('Review the impact first.')} ${t('Nothing has been changed yet.')}`, back: { path: at, label: name } })}
    ${problem && problemNotice(problem)}
    ${changed && notice('bad', html`<p><strong>${changed}</strong> ${t('Nothing was changed.')}</p>`)}
    <div class=${`grid ${impact.keys.length + impact.used_by.length > 0 ? '' : 'two'}`}>
      <div class="stack">
        ${replacement && client && newCredential(client, authMethodOf(form), replacement)}
        ${impactOf(visit, impact, owner, newNoun)}
      </div>
      <section class="card" aria-labelledby="choose">
        <h2 id="choose">${t('Rotation')}</h2>
        ${postForm(
          `${at}/regenerate`,
          html`${hiddenFields(kept)}<input type="hidden" name="confirmation" value=${confirmation} />
            ${options(form, owner, newNoun, impact.used_by, problem)}
            <div class="of-final">${nameField(name, error)}</div>
            <div class="actions">
              <button class="primary">${replacement ? t('Replace') : t('Regenerate')}</button><a class="button" href=${at}>${t('Cancel')}</a>
            </div>`,
          'stack rotation',
        )}
        ${
          replacement &&
          html`<form method="post" action=${`${at}/replace`}>${hiddenFields(kept)}<button class="quiet">${t('Edit')}</button></form>`
        }
      </section>
    </div>`,
  };
}

function options(
  form: URLSearchParams,
  { noun, client }: Owner,
  newNoun: string,
  sources: ShownReview['impact']['used_by'],
  problem: KeyturnError | undefined,
): VNode {
  return html`${endFields(readEntries(form, problem), {
    name: 'overlap_seconds',
    label: t('Grace period'),
    sources,
    none: t('None: the previous {noun} stops working now', { noun }),
    hint: t(
      'The previous {noun} and the new {newNoun} both work for this time, so programs can move one by one without failing.',
      { noun, newNoun },
    ),
  })}
  ${checkbox({
    name: 'finish_when_unused',
    label: t('End the grace period early, when all sources have moved'),
    hint: t(
      'A source has moved when it has used the new {newNoun}, and has not used the previous {noun} for at least a token lifetime and its longest pause between two uses. If it held several tokens at a time, as many with the new {newNoun} are awaited, for at most twice that time.',
      { newNoun, noun },
    ),
    checked: form.has('finish_when_unused'),
  })}
  ${
    client &&
    checkbox({
      name: 'new_client_id',
      label: t('Generate a new Client ID too'),
      hint: t('The previous Client ID works with the previous {noun} until the grace period ends.', { noun }),
      checked: form.has('new_client_id'),
    })
  }
  ${checkbox({
    name: 'revoke_tokens',
    label: t('The {noun} was leaked: revoke all active tokens and the previous {noun} now', { noun }),
    hint: t('There is no grace period then. Programs fail until they use the new {newNoun}.', { newNoun }),
    checked: form.has('revoke_tokens'),
  })}`;
}
