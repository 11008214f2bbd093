import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { KeyturnError } from '../../../../errors.ts';
import { msg, rich, t } from '../../languages/translate.ts';
import {
  attempt,
  type IssuedAuthorizationToken,
  type Listed,
  type Page,
  type Reply,
  type ShownAccessKey,
  type ShownAuthorizationToken,
  type ShownClient,
  unlessMissing,
  type Visit,
} from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { copyable, facts, pageHeading, timeLeft } from '../../parts/elements.ts';
import { type Entries, entry, readEntries } from '../../parts/entries.ts';
import { postForm, selectField, textField } from '../../parts/forms.ts';
import { madePage } from '../../parts/made-page.ts';
import { scopesInWords } from '../../parts/named-scopes.ts';
import { notice, problemNotice } from '../../parts/notices.ts';
import { permissionMatrix } from '../../parts/permission-matrix.ts';
import { requirePicked } from '../../parts/picker.ts';
import { type Offer, readOffers } from './client-form.ts';

const path = '/clients/:client_id/authorization-token';
const route = 'POST /clients/{client_id}/authorization-token';
const title = msg('API authorization token');

/** Pages that issue, show and revoke the access token that an operator issues for a client. */
export const authorizationTokenPages: readonly Page[] = [
  {
    method: 'get',
    path,
    permission: 'api_key:manage',
    asksProof: true,
    handle: async (visit) => {
      const client = await findClient(visit);
      const form = new URLSearchParams();
      for (const scope of scopesOf(client)) form.append('permission', scope);
      return await showForm(visit, client, form);
    },
  },
  { method: 'post', path, permission: 'api_key:manage', handle: issue },
  madePage<IssuedAuthorizationToken>({
    path,
    route,
    permission: 'api_key:manage',
    params: ({ params: { client_id } }) => ({ client_id }),
    show: showToken,
  }),
  {
    method: 'post',
    path: `${path}/revoke`,
    permission: 'api_key:manage',
    handle: async ({ call, params: { client_id } }) => {
      await call('DELETE /clients/{client_id}/authorization-token', { params: { client_id } });
      return { seeOther: clientPath(client_id), done: 'token-revoked' };
    },
  },
];

async function issue(visit: Visit): Promise<Reply> {
  const { form, once } = visit;
  const client = await findClient(visit);
  const params = { client_id: client.client_id };
  const chosen = form.getAll('permission');
  // If every scope is selected, omit `scope`: an access key then narrows the token, whereas a named scope that the key
  // lacks would be rejected.
  const isAll = !form.has('choosing') || chosen.length === scopesOf(client).length;
  const result = await attempt(async () => {
    const key = form.get('access_key_id')?.trim();
    const body = {
      scope: isAll ? undefined : chosen.join(' '),
      resource: form.get('resource') || undefined,
      access_key_id: key ? (await requirePicked(visit, 'access_key_id', key, ['access_key'])).id : undefined,
    };
    return await visit.call<IssuedAuthorizationToken>(route, { params, body, once });
  });
  if ('problem' in result) return await showForm(visit, client, form, result.problem);
  return { seeOther: clientPath(client.client_id, `/authorization-token/made/${once}`) };
}

async function showToken(visit: Visit, { access_token: token, scope }: IssuedAuthorizationToken): Promise<Reply> {
  const { client_id, name } = await findClient(visit);
  const at = clientPath(client_id);
  // Read the token's current state: when this page is reloaded, the token may have been revoked.
  const live = await unlessMissing(
    visit.call<ShownAuthorizationToken>('GET /clients/{client_id}/authorization-token', { params: { client_id } }),
  );
  return {
    title: t(title),
    section: 'integrations',
    body: html`${pageHeading({ title: t(title), back: { path: at, label: name } })}
      ${notice('ok', html`<p>${rich('<strong>Issued.</strong> Copy the token now. It is shown here for ten minutes and cannot be shown again later. An earlier token was revoked.')}</p>`)}
      <section class="card" aria-label=${t('Token')}>
        ${copyable({ id: 'access-token', label: t('Access token'), value: token })}
        ${facts({
          [t('Time left')]: live && timeLeft(live.body.expires_at, visit.now),
          [t('Permissions')]: scopesInWords(scope),
        })}
        <p class="hint">${rich('Send it as <code>Authorization: Bearer …</code> to the API.')}</p>
        <div class="actions">
          <a class="button" href=${`${at}/authorization-token`}>${t('Issue new token…')}</a>
          ${postForm(`${at}/authorization-token/revoke`, html`<button class="danger">${t('Revoke')}</button>`)}
        </div>
      </section>`,
  };
}

/**
 * Renders the form for the token's scopes, resource and access key. By default, the token gets all scopes of the
 * client.
 */
async function showForm(
  visit: Visit,
  client: ShownClient,
  form: URLSearchParams,
  problem?: KeyturnError,
): Promise<Reply> {
  const back = { path: clientPath(client.client_id), label: client.name };
  const entries = readEntries(form, problem);
  return {
    ...(problem ? { status: problem.status } : {}),
    title: t(title),
    section: 'integrations',
    body: html`${pageHeading({
      title: t(title),
      lead: t(
        'Issues an access token for this integration. The Client ID and secret do not change. An earlier token is revoked immediately.',
      ),
      back,
    })}
    ${problem && problemNotice(problem)}
    <div class="card narrow">
      ${postForm(
        visit.path,
        html`${mayDo(client, entries, (await readOffers(visit)) ?? [])} ${await onBehalfOf(visit, client, entries)} ${await forResource(visit, client, entries)}
          <div class="actions">
            <button class="primary">${t('Issue token')}</button><a class="button" href=${back.path}>${t('Cancel')}</a>
          </div>`,
      )}
    </div>`,
  };
}

function mayDo(client: ShownClient, entries: Entries, offers: readonly Offer[]): VNode {
  const scopes = scopesOf(client);
  if (scopes.length === 0)
    return html`<p>${t('This integration has no permissions yet. The token only identifies it.')}</p>`;
  return html`<fieldset class="stack">
    <legend>${t('Permissions')}</legend>
    <input type="hidden" name="choosing" value="on" />
    ${permissionMatrix({ kinds: [], named: offers.flatMap(({ scopes: named }) => named), granted: new Set(entries.form.getAll('permission')), offered: new Set(scopes), error: entry(entries, 'permission').error })}
  </fieldset>`;
}

async function onBehalfOf(visit: Visit, client: ShownClient, entries: Entries): Promise<VNode | undefined> {
  const { body } = await visit.call<Listed<ShownAccessKey>>('GET /access-keys', {
    query: { status: 'enabled', client_id: client.client_id, limit: '200' },
  });
  const keys = body.data;
  const isRequired = client.access_key === 'required';
  if (keys.length === 0 && !isRequired) return undefined;
  if (body.next_cursor !== null) {
    return textField({
      ...entry(entries, 'access_key_id'),
      label: t('On behalf of'),
      'data-pick': 'access_key',
      hint: isRequired
        ? t('The name of an access key.')
        : t('The name of an access key. Leave this empty for a token without an access key.'),
    });
  }
  return selectField({
    ...entry(entries, 'access_key_id'),
    label: t('On behalf of'),
    options: [
      ['', isRequired ? t('Choose an access key') : t('No contact (without an access key)')],
      ...keys.map(({ id, name, contact_name: contact }) => [id, `${contact}: ${name}`] as const),
    ],
  });
}

async function forResource(visit: Visit, client: ShownClient, entries: Entries): Promise<VNode | undefined> {
  const offers = (await readOffers(visit)) ?? [];
  if (offers.length < 2) return undefined;
  return selectField({
    ...entry(entries, 'resource'),
    label: t('Resource server'),
    options: [
      [
        '',
        client.resource
          ? t('Default of this integration ({resource})', { resource: client.resource })
          : t('The resource server that offers the permissions'),
      ],
      ...offers.map(({ name, resource }) => [resource, `${name} (${resource})`] as const),
    ],
  });
}

async function findClient({ call, params: { client_id } }: Visit): Promise<ShownClient> {
  return (await call<ShownClient>('GET /clients/{client_id}', { params: { client_id } })).body;
}

function scopesOf({ scope }: ShownClient): string[] {
  return scope.split(' ').filter(Boolean);
}
