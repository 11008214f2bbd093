import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { type Permission, permissions } from '../../../../contacts/contact.ts';
import type { KeyturnError } from '../../../../errors.ts';
import { rich, t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownOperatorToken, type Visit } from '../../page.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import {
  badge,
  copyable,
  emptyState,
  exactMoment,
  lastUse,
  pageHeading,
  permissionLabel,
  table,
} from '../../parts/elements.ts';
import { type Entries, entry, readEntries } from '../../parts/entries.ts';
import { checkbox, postForm, textField } from '../../parts/forms.ts';
import { madePage } from '../../parts/made-page.ts';
import { networkFields, readNetworkForm } from '../../parts/network-fields.ts';
import { notice, problemNotice } from '../../parts/notices.ts';

import { findShownToken } from './token-networks-page.ts';

const start = '/console/operator-tokens';
const section = 'operator-tokens';
const back = () => ({ path: start, label: t('Operator tokens') });
const dayMs = 86_400_000;

type Issued = ShownOperatorToken & { operator_token: string };

/** Pages about operator tokens with a name and an end: list, issue, rotate and end them. */
export const boundedTokenPages: readonly Page[] = [
  {
    method: 'get',
    path: '/operator-tokens',
    handle: async (visit) => {
      const { body } = await visit.call<{ data: ShownOperatorToken[] }>('GET /operator-tokens');
      return {
        title: t('Operator tokens'),
        section,
        body: html`${pageHeading({
          title: t('Operator tokens'),
          lead: t('For programs and the command line: with a name, an end, and a part of your permissions.'),
          actions: html`<a class="button primary" href=${`${start}/new`}>${t('New operator token')}</a>`,
        })}
        ${body.data.length === 0 ? emptyState(t('No operator tokens'), html`<p>${t('Give each program a token of its own, so that you can end it alone.')}</p>`) : list(visit, body.data)}`,
      };
    },
  },
  {
    method: 'get',
    path: '/operator-tokens/new',
    asksProof: true,
    handle: async (visit) => {
      const form = new URLSearchParams({ days: '90' });
      for (const permission of visit.operator.permissions) form.append('permissions', permission);
      return showForm(visit, form);
    },
  },
  {
    method: 'post',
    path: '/operator-tokens/new',
    handle: async (visit) => {
      const { form, once, now } = visit;
      const days = Number(form.get('days') || '0');
      const body = {
        name: form.get('name')?.trim() ?? '',
        permissions: form.getAll('permissions'),
        ...readNetworkForm(form),
        expires_at: days > 0 ? new Date(now + days * dayMs).toISOString() : null,
        break_glass: form.has('break_glass'),
      };
      const result = await attempt(() => visit.call<Issued>('POST /operator-tokens', { body, once }));
      if ('problem' in result) return showForm(visit, form, result.problem);
      return { seeOther: `${start}/new/made/${once}` };
    },
  },
  madePage<Issued>({
    path: '/operator-tokens/new',
    route: 'POST /operator-tokens',
    show: (_visit, issued) => made(issued),
  }),
  ...confirmedAct({
    path: '/operator-tokens/:id/rotate',
    asksProof: true,
    confirm: async (visit) => ({
      title: t('Rotate “{name}”?', { name: await nameOf(visit) }),
      section,
      body: html`<ul class="bullets">
        <li>${t('You get a new token with the same limits. It is shown once.')}</li>
        <li>${t('The previous token works for one more day. End it earlier when your program uses the new one.')}</li>
      </ul>`,
      button: t('Rotate'),
      back: back(),
    }),
    act: async (visit) => {
      await visit.call<Issued>('POST /operator-tokens/{id}/rotate', { ...of(visit), once: visit.once });
      return { seeOther: `${start}/${visit.params['id']}/rotate/made/${visit.once}` };
    },
  }),
  madePage<Issued>({
    path: '/operator-tokens/:id/rotate',
    route: 'POST /operator-tokens/{id}/rotate',
    params: ({ params: { id } }) => ({ id }),
    show: (_visit, issued) => made(issued),
  }),
  {
    method: 'post',
    path: '/operator-tokens/:id/acknowledge',
    permission: 'contacts:manage',
    handle: async (visit) => {
      await visit.call('POST /operator-tokens/{id}/acknowledge', of(visit));
      return { seeOther: '/console/', done: 'use-acknowledged' };
    },
  },
  ...confirmedAct({
    path: '/operator-tokens/:id/revoke',
    confirm: async (visit) => ({
      title: t('End “{name}”?', { name: await nameOf(visit) }),
      section,
      body: html`<ul class="bullets"><li>${t('Programs that use the token fail immediately.')}</li></ul>`,
      button: t('End token'),
      back: back(),
    }),
    act: async (visit) => {
      await visit.call('DELETE /operator-tokens/{id}', of(visit));
      return { seeOther: start, done: 'bounded-token-ended' };
    },
  }),
];

function of({ params }: Visit) {
  return { params: { id: params['id'] } };
}

async function nameOf(visit: Visit): Promise<string> {
  return (await findShownToken(visit)).name;
}

function list(visit: Visit, tokens: readonly ShownOperatorToken[]): VNode {
  return table({
    caption: t('Operator tokens'),
    columns: [
      { label: t('Name') },
      { label: t('Contact') },
      { label: t('Permissions') },
      { label: t('Expires') },
      { label: t('Last used') },
      { label: t('Act'), holdsActs: true },
    ],
    rows: tokens.map((token) => [
      html`<span class="strong">${token.name}</span> ${token.break_glass && badge('warn', t('break glass'))}<code class="under">${token.hint}</code>`,
      visit.can('integrations:view')
        ? html`<a href=${`/console/contacts/${token.contact_id}`}>${token.contact_name}</a>`
        : token.contact_name,
      html`${permissionsOf(token)}<span class="under">${token.allowed_networks?.join(', ') ?? t('from any network')}${token.allowed_networks && token.network_mode === 'watch' && ` (${t('watched')})`}</span>`,
      token.expires_at === null ? t('never') : exactMoment(token.expires_at),
      lastUse(token.last_used_at, visit.now),
      html`<span class="actions"
        ><a class="button" href=${`${start}/${token.id}/networks`}>${t('Networks…')}</a
        ><a class="button" href=${`${start}/${token.id}/rotate`}>${t('Rotate…')}</a
        ><a class="button danger" href=${`${start}/${token.id}/revoke`}>${t('End…')}</a></span
      >`,
    ]),
  });
}

function permissionsOf({ permissions: granted }: ShownOperatorToken): VNode {
  if (granted.length === permissions.length) return html`<span>${t('all')}</span>`;
  if (granted.length === 0) return html`<span>${t('none')}</span>`;
  return html`<ul>${granted.map((permission) => html`<li>${permissionLabel(permission)}</li>`)}</ul>`;
}

function showForm(visit: Visit, form: URLSearchParams, problem?: KeyturnError): Reply {
  return {
    ...(problem ? { status: problem.status } : {}),
    title: t('New operator token'),
    section,
    body: html`${pageHeading({ title: t('New operator token'), back: back() })} ${problem && problemNotice(problem)}
      <div class="card narrow">
        ${postForm(
          visit.path,
          html`${fields(visit, readEntries(form, problem))}
            <div class="actions"><button class="primary">${t('Issue token')}</button><a class="button" href=${start}>${t('Cancel')}</a></div>`,
        )}
      </div>`,
  };
}

function fields(visit: Visit, entries: Entries): VNode {
  const { form } = entries;
  const expiry = { ...entry(entries, 'expires_at'), name: 'days', value: form.get('days') ?? '' };
  return html`${textField({ ...entry(entries, 'name'), label: t('Name'), required: true, maxlength: 100, hint: t('What it is for, such as the name of a program.') })}
    <fieldset class="checks">
      <legend>${t('Permissions')}</legend>
      ${visit.operator.permissions.map((permission: Permission) =>
        checkbox({
          name: 'permissions',
          value: permission,
          label: permissionLabel(permission),
          checked: form.getAll('permissions').includes(permission),
        }),
      )}
    </fieldset>
    ${textField({ ...expiry, label: t('Days until it expires'), type: 'number', hint: t('Leave this empty for never, if the deployment allows it.') })}
    ${networkFields(entries, { canPropose: false })}
    ${checkbox({
      name: 'break_glass',
      label: t('For emergencies (break glass)'),
      hint: t('Each use is recorded in the audit log and shown on the home page.'),
      checked: form.has('break_glass'),
    })}`;
}

function made(issued: Issued): Reply {
  return {
    title: t('Operator token'),
    section,
    body: html`${pageHeading({ title: t('Operator token'), lead: issued.name, back: back() })}
      ${notice('ok', html`<p>${rich('<strong>Issued.</strong> Copy the token now. It is shown here for ten minutes and cannot be shown again later.')}</p>`)}
      <section class="card" aria-label="Token">
        ${copyable({ id: 'operator-token', label: t('Operator token'), value: issued.operator_token })}
        <p class="hint">${rich('It is the bearer token of the admin API, and works with <code>keyturn login</code>. It does not open the console.')}</p>
      </section>`,
  };
}
