import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { limits, tokenLifetimes } from '../../../clients/client-details.ts';
import { claimLimits, readClaimText, writeClaimText } from '../../../clients/custom-claims.ts';
import { invalidField } from '../../../errors.ts';
import { t } from '../languages/translate.ts';
import {
  type Listed,
  type ShownAccessKey,
  type ShownClient,
  type ShownContact,
  unlessMissing,
  type Visit,
} from '../page.ts';
import { dialectField, readDialects } from './dialect-field.ts';
import { type Entries, entry } from './entries.ts';
import { choices, textArea, textField } from './forms.ts';
import { networkFields, readNetworkForm, toNetworkForm } from './network-fields.ts';
import { selfRotationField, selfRotationText } from './self-rotation-field.ts';

/** Owner, notes, token lifetime, default permissions and claims of clients and access keys: fields, forms and facts. */

/** Renders the fields of notes and claims. */
export function noteFields(entries: Entries): VNode {
  return html`${textArea({
    ...entry(entries, 'description'),
    label: t('Description'),
    maxlength: limits.description,
  })}
    ${textArea({
      ...entry(entries, 'labels'),
      label: t('Labels'),
      hint: t('One per line, such as team=logistics. You can filter lists by them.'),
    })}
    ${textArea({
      ...entry(entries, 'claims'),
      label: t('Claims'),
      hint: t(
        'Members of every introspection and JWT, one per line, such as tenant=acme, level=3 or regions=["eu","us"]. At most {claims}.',
        { claims: claimLimits.claims },
      ),
    })}`;
}

/**
 * Renders the fields of a client's details, in a section that is open if one of them has an error.
 * The owner is omitted for operators who cannot see contacts.
 */
export function detailFields(
  visit: Visit,
  entries: Entries,
  kind: ShownClient['kind'],
  { canPropose }: { canPropose: boolean },
): VNode {
  const names = ['owner_contact_id', 'description', 'labels', 'claims', 'contacts', 'access_token_ttl', 'metadata'];
  const isOpen =
    [...names, 'default_scope', 'dialects', 'allowed_networks'].some((name) => entries.errors.has(name)) ||
    entries.form.has('proposed');
  return html`<details open=${isOpen}>
    <summary>${t('Owner, notes, token lifetime, claims and networks')}</summary>
    <div class="stack">
      ${visit.can('integrations:view') && ownerField(entries)} ${noteFields(entries)}
      ${textArea({
        ...entry(entries, 'contacts'),
        label: t('Technical contacts'),
        hint: t('People to contact about it, one per line, such as e-mail addresses.'),
      })}
      ${textField({
        ...entry(entries, 'access_token_ttl'),
        label: t('Token lifetime in seconds'),
        type: 'number',
        hint: t(
          'From {min} to {max}. If the integration and the resource server both have one, the shorter applies. Leave this empty to use the default lifetime.',
          { min: tokenLifetimes.min, max: tokenLifetimes.max },
        ),
      })}
      ${kind === 'integration' && defaultScopeFields(entries)} ${dialectField(entries, kind)}
      ${selfRotationField(entries)} ${networkFields(entries, { canPropose })}
      ${textArea({
        ...entry(entries, 'metadata'),
        label: t('Metadata'),
        hint: t('A JSON object for your own programs, at most 16 KiB.'),
      })}
    </div>
  </details>`;
}

function ownerField(entries: Entries): VNode {
  return textField({
    ...entry(entries, 'owner_contact_id'),
    label: t('Owner'),
    'data-pick': 'contact',
    hint: t(
      'The contact who is responsible: a name, an e-mail address or an external ID. Leave this empty if there is no owner.',
    ),
  });
}

function defaultScopeFields(entries: Entries): VNode {
  return html`${choices({
    name: 'default_scope_kind',
    label: t('A token request without scope'),
    value: entries.form.get('default_scope_kind') ?? 'all',
    options: [
      { value: 'all', label: t('gets all permissions') },
      { value: 'some', label: t('gets the default permissions') },
      { value: 'none', label: t('is rejected') },
    ],
  })}
  ${textField({
    ...entry(entries, 'default_scope'),
    label: t('Default permissions'),
    placeholder: 'orders:read',
    hint: t('Scopes of the integration, separated by spaces.'),
  })}`;
}

/** Returns the contact who owns a client. */
export async function ownerOf(visit: Visit, { owner_contact_id: id }: ShownClient): Promise<ShownContact | undefined> {
  if (id === null) return undefined;
  return (await unlessMissing(visit.call<ShownContact>('GET /contacts/{id}', { params: { id } })))?.body;
}

/** Returns the name of an owner in the field. */
function nameOf({ name, email }: Pick<ShownContact, 'name' | 'email'>): string {
  return `${name} <${email}>`;
}

/** Converts a client or access key to the values of its form. @param owner the contact who owns the client. */
export function toNoteForm(
  shown: Pick<ShownAccessKey, 'description' | 'labels' | 'claims'>,
  form: URLSearchParams,
): void {
  form.set('description', shown.description ?? '');
  form.set(
    'labels',
    linesOf(shown.labels, (value) => value),
  );
  form.set('claims', linesOf(shown.claims, writeClaimText));
}

export function toDetailForm(client: ShownClient, owner: ShownContact | undefined, form: URLSearchParams): void {
  const { default_scope: scope, access_token_ttl: ttl, metadata } = client;
  toNoteForm(client, form);
  if (owner) form.set('owner_contact_id', nameOf(owner));
  form.set('contacts', client.contacts.join('\n'));
  form.set('access_token_ttl', ttl === null ? '' : String(ttl));
  form.set('dialects', client.dialects.join(' '));
  form.set('self_rotation', client.self_rotation ? 'on' : 'off');
  toNetworkForm(client, form);
  form.set('metadata', Object.keys(metadata).length > 0 ? JSON.stringify(metadata, undefined, 2) : '');
  if (client.kind !== 'integration') return;
  form.set('default_scope_kind', scope === null ? 'all' : scope ? 'some' : 'none');
  form.set('default_scope', scope ?? '');
}

/** Renders the submitted details of a client for its review. Details that were left empty are undefined. */
export function reviewedDetails(form: URLSearchParams): Record<string, VNode | string | undefined> {
  const entered = (name: string) => {
    const text = form.get(name)?.trim();
    return text ? html`<span class="lines">${text}</span>` : undefined;
  };
  const ttl = form.get('access_token_ttl')?.trim();
  const kind = form.get('default_scope_kind');
  return {
    [t('Owner')]: entered('owner_contact_id'),
    [t('Description')]: entered('description'),
    [t('Labels')]: entered('labels'),
    [t('Claims')]: entered('claims'),
    [t('Technical contacts')]: entered('contacts'),
    [t('Token lifetime')]: ttl ? t('{seconds} seconds', { seconds: ttl }) : undefined,
    [t('Default permissions')]:
      kind === 'some'
        ? entered('default_scope')
        : kind === 'none'
          ? t('none: requests without scope are rejected')
          : undefined,
    [t('Dialects')]: entered('dialects'),
    [t('Self-rotation')]: form.get('self_rotation') === 'on' ? selfRotationText() : undefined,
    [t('Allowed networks')]: entered('allowed_networks'),
    [t('Metadata')]: entered('metadata'),
  };
}

/** Converts submitted notes to members of a request. Fields that the form does not have are omitted. @throws {InvalidInput} */
export function readNoteForm(form: URLSearchParams): Record<string, unknown> {
  return {
    description: read(form, 'description', (text) => (text.trim() === '' ? null : text.replaceAll('\r\n', '\n'))),
    labels: read(form, 'labels', (text) => Object.fromEntries(pairsOf('labels', text))),
    claims: read(form, 'claims', (text) =>
      Object.fromEntries(pairsOf('claims', text).map(([name, value]) => [name, readClaimText(value)])),
    ),
  };
}

/** Converts submitted details to members of a request. @throws {InvalidInput} that names the field. */
export async function readDetailForm(visit: Visit): Promise<Record<string, unknown>> {
  const { form } = visit;
  const kind = form.get('default_scope_kind');
  return {
    ...readNoteForm(form),
    owner_contact_id: await readOwner(visit),
    contacts: read(form, 'contacts', (text) => linesIn(text).map((line) => line.trim())),
    access_token_ttl: read(form, 'access_token_ttl', (text) => (text.trim() === '' ? null : Number(text))),
    metadata: read(form, 'metadata', readMetadata),
    dialects: read(form, 'dialects', readDialects),
    self_rotation: read(form, 'self_rotation', (text) => text === 'on'),
    ...readNetworkForm(form),
    default_scope: kind === null ? undefined : kind === 'all' ? null : kind === 'none' ? '' : defaultScopeOf(form),
  };
}

function defaultScopeOf(form: URLSearchParams): string {
  const scopes = (form.get('default_scope') ?? '').split(/[\s,]+/).filter(Boolean);
  if (scopes.length === 0) throw invalidField('default_scope', t('name at least one scope, or choose another option'));
  return scopes.join(' ');
}

/** Finds the contact that an operator has entered. Rejects a text that matches several contacts. */
async function readOwner(visit: Visit): Promise<string | null | undefined> {
  const text = visit.form.get('owner_contact_id')?.trim();
  if (text === undefined) return undefined;
  if (text === '') return null;
  const [, email = text] = /<([^<>]+)>$/.exec(text) ?? [];
  const { body } = await visit.call<Listed<ShownContact>>('GET /contacts', { query: { q: email, limit: '200' } });
  const same = (one: string | null) => one !== null && one.toLowerCase() === email.toLowerCase();
  const named = body.data.filter((one) => nameOf(one) === text);
  const found =
    named.length > 0 ? named : body.data.filter((one) => same(one.email) || same(one.external_id) || same(one.name));
  const [owner, another] = found;
  if (!owner) {
    const similar = body.data.slice(0, 5).map(nameOf).join(', ');
    throw invalidField(
      'owner_contact_id',
      similar
        ? t('no contact has this name, e-mail address or external ID. Similar: {similar}', { similar })
        : t('no contact has this name, e-mail address or external ID'),
    );
  }
  if (another)
    throw invalidField('owner_contact_id', t('several contacts match; enter the e-mail address or the external ID'));
  return owner.id;
}

function readMetadata(text: string): unknown {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    throw invalidField('metadata', t('must be a JSON object such as {"crm_id": 4711}'));
  }
}

function read<Value>(form: URLSearchParams, name: string, convert: (text: string) => Value): Value | undefined {
  const text = form.get(name);
  return text === null ? undefined : convert(text);
}

export function linesIn(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim() !== '');
}

export function linesOf<Value>(members: Readonly<Record<string, Value>>, write: (value: Value) => string): string {
  return Object.entries(members)
    .map(([name, value]) => `${name}=${write(value)}`)
    .join('\n');
}

export function pairsOf(field: string, text: string): [string, string][] {
  return linesIn(text).map((line): [string, string] => {
    const at = line.indexOf('=');
    if (at < 1) throw invalidField(field, t('each line must be a name and a value, such as team=logistics'));
    return [line.slice(0, at).trim(), line.slice(at + 1)];
  });
}
