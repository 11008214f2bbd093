import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { otherScopes, toPermissions, toScope } from '../../../../access-keys/access-key.ts';
import { shellQuote } from '../../../../text/quote-text.ts';
import { rich, t, translate } from '../../languages/translate.ts';
import type { Reply, ShownAccessKey, Visit } from '../../page.ts';
import { noteFields, readNoteForm, toNoteForm } from '../../parts/detail-fields.ts';
import { detourButton } from '../../parts/detour.ts';
import { codeBlock, copyable, fromNow, lastUse, pageHeading, statusBadges, table } from '../../parts/elements.ts';
import { type Entries, entry } from '../../parts/entries.ts';
import { checkbox, textArea, textField } from '../../parts/forms.ts';
import { networkFields, readNetworkForm, toNetworkForm } from '../../parts/network-fields.ts';
import { notice } from '../../parts/notices.ts';
import { permissionMatrix } from '../../parts/permission-matrix.ts';
import { linesOfClients, readClientLines } from '../../parts/picker.ts';
import { type Offer, selectable } from '../clients/client-form.ts';

/** Renders the form fields for an access key's permissions, expiry and allowed clients. */
export function accessKeyFields(
  visit: Visit,
  entries: Entries,
  offers: readonly Offer[],
  {
    used,
    isReadOnly = false,
    canPropose = false,
  }: { used?: ReadonlySet<string>; isReadOnly?: boolean; canPropose?: boolean } = {},
): VNode {
  const kinds = [...new Set(offers.flatMap(({ information }) => information))];
  const named = offers.flatMap(({ scopes }) => scopes);
  const granted = new Set(entries.form.getAll('permission'));
  const { error } = entry(entries, 'permission');
  return html`${textField({
    ...entry(entries, 'name'),
    label: t('Name'),
    required: true,
    maxlength: 200,
    readonly: isReadOnly,
    hint: t('It must be unique among the access keys of this contact.'),
  })}
    <fieldset class="stack">
      <legend>${t('Permissions')}</legend>
      ${
        kinds.length === 0 && named.length === 0 && granted.size === 0
          ? html`<p>${t('There are no permissions to grant yet. They come with the API that receives the tokens.')}</p>${!isReadOnly && detourButton(visit)}`
          : permissionMatrix({ kinds, granted, named, offered: selectable(offers, granted), used, isReadOnly, error })
      }
    </fieldset>
    ${textField({
      ...entry(entries, 'expires_at'),
      label: t('Expires at (UTC)'),
      type: 'datetime-local',
      readonly: isReadOnly,
      hint: t('Leave this empty if the key does not expire.'),
    })}
    ${textArea({
      ...entry(entries, 'clients'),
      label: t('Allowed integrations'),
      rows: 3,
      readonly: isReadOnly,
      'data-pick': 'integration resource_server',
      hint: t('Names or Client IDs, one per line. Leave this empty to allow every integration.'),
    })}
    ${networkFields(entries, { canPropose, isReadOnly })}
    ${(visit.core.standaloneKeys || entries.form.has('standalone')) && standaloneFields(entries, isReadOnly)}
    ${
      !isReadOnly &&
      html`<details open=${['description', 'labels', 'claims'].some((name) => entries.errors.has(name))}>
        <summary>${t('Description, labels and claims')}</summary>
        <div class="stack">${noteFields(entries)}</div>
      </details>`
    }`;
}

function standaloneFields(entries: Entries, isReadOnly: boolean): VNode {
  return html`<fieldset class="stack">
    <legend>${t('Use without an integration')}</legend>
    ${checkbox({
      name: 'standalone',
      label: t('The key works alone'),
      hint: t(
        'Programs send the key itself to the API, as a bearer token or in X-API-Key. Everybody who has the key can do so.',
      ),
      checked: entries.form.has('standalone'),
      disabled: isReadOnly,
    })}
    ${textField({
      ...entry(entries, 'requests_per_minute'),
      label: t('Requests per minute'),
      readonly: isReadOnly,
      hint: t('For a key that works alone. Leave this empty for no limit.'),
    })}
  </fieldset>`;
}

/** Converts the submitted form to the request body of the access-key endpoints. @throws {InvalidInput} */
export async function readAccessKeyForm(visit: Visit): Promise<Record<string, unknown>> {
  const { form } = visit;
  const scope = form.getAll('permission');
  const clients = await readClientLines(visit, 'clients');
  const end = form.get('expires_at');
  const perMinute = form.get('requests_per_minute')?.trim();
  return {
    name: form.get('name')?.trim() ?? '',
    permissions: toPermissions(scope),
    scope: otherScopes(scope).join(' '),
    clients: clients.length > 0 ? clients : null,
    ...readNetworkForm(form),
    standalone: form.has('standalone'),
    requests_per_minute: perMinute ? Number(perMinute) : null,
    expires_at: end ? toMoment(end) : null,
    ...readNoteForm(form),
  };
}

/** Converts an existing access key to the values of its form. */
export async function toAccessKeyForm(visit: Visit, key: ShownAccessKey): Promise<URLSearchParams> {
  const form = new URLSearchParams({
    name: key.name,
    clients: await linesOfClients(visit, key.clients ?? []),
    expires_at: endInForm(key),
    requests_per_minute: key.requests_per_minute?.toString() ?? '',
  });
  if (key.standalone) form.set('standalone', 'on');
  toNetworkForm(key, form);
  toNoteForm(key, form);
  for (const scope of scopesOf(key)) form.append('permission', scope);
  return form;
}

/** Returns the expiry as the value of its field, which has no seconds. */
export function endInForm(key: ShownAccessKey): string {
  return key.expires_at?.slice(0, 16) ?? '';
}

export function scopesOf({ permissions, scope }: Pick<ShownAccessKey, 'permissions' | 'scope'>): string[] {
  return [...toScope(permissions), ...scope.split(' ').filter(Boolean)];
}

/**
 * Converts a `datetime-local` value to an RFC 3339 time in UTC. Browsers omit seconds that are zero. The endpoint
 * rejects invalid times.
 */
function toMoment(local: string): string {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(local) ? `${local}:00Z` : `${local}Z`;
}

/**
 * Renders a table of access keys, one per row.
 * @param of `one contact` omits the contact column, because the page's heading already names the contact.
 */
export function accessKeyTable(
  visit: Visit,
  keys: readonly ShownAccessKey[],
  of: 'all contacts' | 'one contact',
): VNode {
  return table({
    caption: t('Access keys'),
    columns: [
      { label: t('Name') },
      ...(of === 'all contacts' ? [{ label: t('Contact') }] : []),
      { label: t('Status') },
      { label: t('Permissions') },
      { label: t('Used permissions'), isNumber: true },
      { label: t('Last used') },
      { label: t('Expires') },
    ],
    rows: keys.map((key) => [
      html`<a class="strong" href=${`/console/access-keys/${key.id}`}>${key.name}</a><code class="under">${key.hint}</code>`,
      ...(of === 'all contacts'
        ? [html`<a href=${`/console/contacts/${key.contact_id}`}>${key.contact_name}</a>`]
        : []),
      statusBadges(key, visit.now),
      permissionsInWords(key),
      t('{used, number} of {granted, number}', { used: key.usage.used, granted: key.usage.granted }),
      lastUse(key.last_used_at, visit.now),
      key.expires_at ? fromNow(key.expires_at, visit.now) : html`<span class="muted">${t('never')}</span>`,
    ]),
  });
}

/** Renders the access keys that may be used with one client, in fewer columns, because it is part of another page. */
export function keysOfClientTable(visit: Visit, keys: readonly ShownAccessKey[]): VNode {
  return table({
    caption: t('Access keys'),
    columns: [
      { label: t('Name') },
      { label: t('Contact') },
      { label: t('Status') },
      { label: t('Works with') },
      { label: t('Last used') },
    ],
    rows: keys.map((key) => [
      html`<a class="strong" href=${`/console/access-keys/${key.id}`}>${key.name}</a><code class="under">${key.hint}</code>`,
      html`<a href=${`/console/contacts/${key.contact_id}`}>${key.contact_name}</a>`,
      statusBadges(key, visit.now),
      worksWith(key),
      lastUse(key.last_used_at, visit.now),
    ]),
  });
}

function worksWith({ clients, standalone }: ShownAccessKey): string {
  if (standalone) return t('alone, or with any integration');
  if (clients === null) return t('any integration');
  const others = clients.length - 1;
  return others === 0
    ? t('only this integration')
    : t('this and {others, plural, one {# other} other {# others}}', { others });
}

function permissionsInWords({ permissions, scope }: ShownAccessKey): VNode {
  const kinds = Object.entries(permissions);
  const others = scope.split(' ').filter(Boolean);
  if (kinds.length + others.length === 0) return html`<span class="muted">${t('none')}</span>`;
  return html`<ul>
    ${kinds.map(([kind, actions]) => html`<li><strong class="strong">${kind}</strong> ${actions.map(translate).join(', ')}</li>`)}
    ${others.map((name) => html`<li><code>${name}</code></li>`)}
  </ul>`;
}

/** Renders the only page that contains the value of an access key. */
export function showAccessKey(
  { core, can }: Visit,
  shown: { title: string; said: VNode; id: string; name: string; value: string; standalone: boolean },
): Reply {
  const alone = `curl -sS -H ${shellQuote(`Authorization: Bearer ${shown.value}`)} https://your-api.example`;
  const curl = `curl -sS -u "$CLIENT_ID:$CLIENT_SECRET" \\\n  -d grant_type=client_credentials -d access_key=${shellQuote(shown.value)} \\\n  ${shellQuote(`${core.issuer}/oauth2/token`)}`;
  return {
    title: shown.title,
    section: 'access-keys',
    body: html`${pageHeading({ title: shown.title, lead: shown.name })} ${notice('ok', shown.said)}
      <section class="card" aria-label=${t('Access key')}>${copyable({ id: 'access-key', label: t('Access key'), value: shown.value })}</section>
      <section class="card" aria-labelledby="ask">
        <h2 id="ask">${t('Use the key')}</h2>
        ${
          shown.standalone &&
          html`<p>${rich('Send the key to the API itself, as a bearer token or in the header <code>X-API-Key</code>.')}</p>
            ${codeBlock({ id: 'alone', label: t('curl command for the API'), code: alone })}`
        }
        <p>${shown.standalone ? t('It also works together with the Client ID and secret of an integration. It identifies the contact that the integration acts for.') : t('Send the key together with the Client ID and secret of an integration. It identifies the contact that the integration acts for.')}</p>
        ${codeBlock({ id: 'curl', label: t('curl command'), code: curl })}
      </section>
      ${can('integrations:view') && html`<p><a class="button" href=${`/console/access-keys/${shown.id}`}>${t('Go to {name}', { name: shown.name })}</a></p>`}`,
  };
}
