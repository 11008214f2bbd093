import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { InvalidInput, type KeyturnError } from '../../../../errors.ts';
import { rich, t } from '../../languages/translate.ts';
import {
  attempt,
  type CreatedHandover,
  type Page,
  type Reply,
  type ShownHandover,
  type ShownReview,
  unlessMissing,
  type Visit,
} from '../../page.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import { badge, copyable, exactMoment, facts, fromNow, inWords, pageHeading } from '../../parts/elements.ts';
import { type Entries, entry, readEntries } from '../../parts/entries.ts';
import { checkbox, choices, postForm, selectField, textField } from '../../parts/forms.ts';
import { madePage } from '../../parts/made-page.ts';
import { notice, problemNotice } from '../../parts/notices.ts';
import { requirePicked } from '../../parts/picker.ts';
import { impactOf } from './regeneration-parts.ts';
import type { Owner, RotationSubject } from './rotation-subject.ts';

/** Creates the pages that hand a new secret over by a link, show the link once, and withdraw it. */
export function handoverPages<R>(subject: RotationSubject<R>): Page[] {
  const { permission, route } = subject;
  const path = `${subject.path}/handover`;
  return [
    {
      method: 'get',
      path,
      permission,
      asksProof: true,
      handle: async (visit) => showForm(visit, subject, await subject.findOwner(visit)),
    },
    { method: 'post', path, permission, handle: (visit) => create(visit, subject) },
    madePage<CreatedHandover>({
      path,
      route: `POST ${route}/handover`,
      permission,
      params: (visit) => subject.paramsOf(visit),
      show: async (visit, created) => showCreated(await subject.findOwner(visit), created),
    }),
    ...confirmedAct({
      path: `${path}/withdraw`,
      permission,
      confirm: async (visit) => {
        const { name, section, at, noun } = await subject.findOwner(visit);
        return {
          title: t('Withdraw the link of {name}?', { name }),
          section,
          body: html`<p>${t('The link can no longer be opened. The {noun} does not change.', { noun })}</p>`,
          button: t('Withdraw link'),
          back: { path: at, label: name },
        };
      },
      act: async (visit) => {
        const { at } = await subject.findOwner(visit);
        await visit.call(`DELETE ${route}/handover`, { params: subject.paramsOf(visit) });
        return { seeOther: at, done: 'handover-withdrawn' };
      },
    }),
  ];
}

async function create<R>(visit: Visit, subject: RotationSubject<R>): Promise<Reply> {
  const { form, once } = visit;
  const owner = await subject.findOwner(visit);
  const result = await attempt(async () => {
    const body = {
      confirmation: form.get('confirmation') ?? undefined,
      ...(await readReceiver(visit)),
      expires_in: Number(form.get('expires_in')),
      overlap_seconds: Number(form.get('overlap_seconds')),
      grace_period_from: form.get('grace_period_from') ?? undefined,
      finish_when_unused: form.has('finish_when_unused'),
    };
    await visit.call(`POST ${subject.route}/handover`, { params: subject.paramsOf(visit), body, once });
  });
  if ('problem' in result) return await showForm(visit, subject, owner, result.problem);
  return { seeOther: `${visit.path}/made/${once}` as `/console/${string}` };
}

async function readReceiver(visit: Visit): Promise<{ email: string } | { contact_id: string }> {
  const receiver = visit.form.get('receiver')?.trim() ?? '';
  if (receiver === '') throw new InvalidInput('Required.', [{ path: 'receiver', message: t('must not be empty') }]);
  // An address of its own, unless it is that of a contact.
  if (/^[^\s<>@]+@[^\s<>@]+$/.test(receiver)) {
    const found = await attempt(() => requirePicked(visit, 'receiver', receiver, ['contact']));
    return 'done' in found ? { contact_id: found.done.id } : { email: receiver };
  }
  return { contact_id: (await requirePicked(visit, 'receiver', receiver, ['contact'])).id };
}

async function showForm<R>(
  visit: Visit,
  subject: RotationSubject<R>,
  owner: Owner,
  problem?: KeyturnError,
): Promise<Reply> {
  const { name, at, section, noun } = owner;
  const back = { path: at, label: name };
  const title = t('Hand over a new {noun} of {name}', { noun, name });
  const review = await attempt(async () => {
    const params = subject.paramsOf(visit);
    return (await visit.call<ShownReview>(`POST ${subject.route}/regeneration/review`, { params, body: {} })).body;
  });
  if ('problem' in review) {
    const status = review.problem.status;
    return { status, title, section, body: html`${pageHeading({ title, back })} ${problemNotice(review.problem)}` };
  }
  const { confirmation, impact } = review.done;
  return {
    ...(problem ? { status: problem.status } : {}),
    title,
    section,
    body: html`${pageHeading({
      title,
      lead: t(
        'Creates a link for the person who installs the new {noun}. It is generated when the link is opened, and shown once. Until then, nothing changes.',
        { noun },
      ),
      back,
    })}
    ${problem && problemNotice(problem)}
    <div class=${`grid ${impact.used_by.length > 0 ? '' : 'two'}`}>
      ${impactOf(visit, impact, owner, noun)}
      <section class="card" aria-labelledby="choose">
        <h2 id="choose">${t('Hand-over')}</h2>
        ${postForm(
          visit.path,
          html`<input type="hidden" name="confirmation" value=${confirmation} />
            ${fields(readEntries(visit.form, problem), noun)}
            <div class="actions">
              <button class="primary">${t('Create link')}</button><a class="button" href=${at}>${t('Cancel')}</a>
            </div>`,
        )}
      </section>
    </div>`,
  };
}

function fields(entries: Entries, noun: string): VNode {
  const { form } = entries;
  return html`${textField({
    ...entry(entries, 'receiver'),
    error: entries.errors.get('receiver') ?? entries.errors.get('email'),
    label: t('Receiver'),
    required: true,
    maxlength: 254,
    'data-pick': 'contact',
    hint: t('The name of a contact, or an e-mail address. The receiver signs in to the portal, or enters a code.'),
  })}
  ${selectField({
    ...entry(entries, 'expires_in'),
    value: form.get('expires_in') ?? '259200',
    label: t('The link can be opened for'),
    options: ['3600', '86400', '259200', '604800', '1209600'].map((value) => [value, inWords(Number(value))] as const),
  })}
  ${selectField({
    ...entry(entries, 'overlap_seconds'),
    value: form.get('overlap_seconds') ?? '604800',
    label: t('Grace period'),
    options: ['3600', '86400', '604800', '1209600', '2592000'].map((value) => [value, inWords(Number(value))] as const),
    hint: t('The previous {noun} and the new one both work for this time.', { noun }),
  })}
  ${choices({
    name: 'grace_period_from',
    label: t('The grace period begins'),
    value: form.get('grace_period_from') ?? 'opened',
    error: entries.errors.get('grace_period_from'),
    options: [
      { value: 'opened', label: t('when the link is opened') },
      { value: 'created', label: t('now'), hint: t('It must be longer than the link can be opened.') },
    ],
  })}
  ${checkbox({
    name: 'finish_when_unused',
    label: t('End the grace period early, when all sources have moved'),
    checked: form.has('finish_when_unused'),
  })}`;
}

function showCreated({ name, at, section, noun }: Owner, { url, code, email, expires_at }: CreatedHandover): Reply {
  const title = t('Link created');
  return {
    title,
    section,
    body: html`${pageHeading({ title, lead: name, back: { path: at, label: name } })}
      ${notice('ok', html`<p>${rich('<strong>Send this link to {email}.</strong> It can be opened once, until {at}, and is shown here for ten minutes.', { email, at: exactMoment(expires_at) })}</p>`)}
      <section class="card" aria-label=${t('Link')}>
        ${copyable({ id: 'link', label: t('Link'), value: url })}
        ${
          code === null
            ? html`<p class="hint">${t('The page of the link sends a code to this address. After five wrong codes, the link ends.')}</p>`
            : html`${copyable({ id: 'code', label: t('Code'), value: code })}
              <p class="hint">${t('Pass the code on by another channel than the link, such as the phone. After five wrong codes, the link ends.')}</p>`
        }
      </section>
      <p class="hint">${t('The {noun} does not change until the link is opened.', { noun })}</p>`,
  };
}

const stateBadges: Readonly<Record<ShownHandover['state'], () => VNode>> = {
  open: () => badge('ok', t('can be opened')),
  opened: () => badge('plain', t('opened')),
  expired: () => badge('warn', t('not opened in time')),
  withdrawn: () => badge('plain', t('withdrawn')),
  replaced: () => badge('plain', t('replaced')),
  too_many_codes: () => badge('bad', t('ended after five wrong codes')),
};

/** Renders the latest link of a client or access key, and from where it was opened. Returns undefined if there is none. */
export async function handoverSection(
  visit: Visit,
  {
    route,
    params,
    at,
    mayAct,
  }: {
    route: RotationSubject<unknown>['route'];
    params: Record<string, string>;
    at: string;
    mayAct: boolean;
  },
): Promise<VNode | undefined> {
  const found = await unlessMissing(visit.call<ShownHandover>(`GET ${route}/handover`, { params }));
  if (!found) return undefined;
  const { body: handover } = found;
  const { opened, ended_at: endedAt } = handover;
  return html`<section class="card" aria-labelledby="handover">
    <h2 id="handover">${t('Hand-over')}</h2>
    ${facts({
      [t('Link')]: stateBadges[handover.state](),
      [t('Receiver')]: handover.email,
      [t('Created')]: rich('{at} by {name}', {
        at: fromNow(handover.created_at, visit.now),
        name: handover.created_by,
      }),
      [t('Can be opened until')]: handover.state === 'open' ? exactMoment(handover.expires_at) : undefined,
      [t('Grace period')]: t('{length}, from when it is {from, select, opened {opened} other {created}}', {
        length: inWords(handover.overlap_seconds),
        from: handover.grace_period_from,
      }),
      [t('Wrong codes')]: handover.wrong_codes > 0 ? String(handover.wrong_codes) : undefined,
      [t('Opened')]:
        opened && endedAt
          ? rich('{at} from <code>{address}</code>', { at: exactMoment(endedAt), address: opened.address })
          : undefined,
      [t('Opened with')]: opened?.user_agent || undefined,
    })}
    ${
      handover.state === 'open' &&
      mayAct &&
      html`<div class="actions"><a class="button" href=${`${at}/handover/withdraw`}>${t('Withdraw link…')}</a></div>`
    }
    ${opened && html`<p class="hint">${t('If the receiver did not see the secret, undo the rotation and create another link.')}</p>`}
  </section>`;
}
