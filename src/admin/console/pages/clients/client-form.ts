import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { t } from '../../languages/translate.ts';
import type { ShownClient, ShownContact, ShownOffer, Visit } from '../../page.ts';
import { toDetailForm } from '../../parts/detail-fields.ts';
import { detourButton } from '../../parts/detour.ts';
import { type Entries, entry } from '../../parts/entries.ts';
import { choices, selectField, textField } from '../../parts/forms.ts';
import { permissionMatrix } from '../../parts/permission-matrix.ts';
import { addDeclaredScopes, declaredScopeFields, readDeclaredScopes } from './declared-scope-fields.ts';

/**
 * Renders the form fields of an integration.
 * @param offers resource servers to choose scopes from; if undefined, the scope is a text field.
 */
export function integrationFields(visit: Visit, entries: Entries, offers: readonly Offer[] | undefined): VNode {
  return html`${nameField(entries, t('For example, the program and the partner that runs it.'))}
    <fieldset class="stack">
      <legend>${t('Permissions')}</legend>
      <p class="hint">${t('The most that tokens of this integration may do. A token request can ask for less, and an access key can limit it further.')}</p>
      ${
        offers
          ? grantable(visit, entries, offers)
          : textField({
              ...entry(entries, 'scope'),
              label: t('Scopes'),
              placeholder: 'orders:read orders:create',
            })
      }
    </fieldset>
    ${choices({
      ...entry(entries, 'access_key'),
      label: t('Access key'),
      value: entries.form.get('access_key') ?? 'optional',
      options: [
        { value: 'optional', label: t('Optional'), hint: t('Token requests succeed with and without an access key.') },
        {
          value: 'required',
          label: t('Required'),
          hint: t('Each token request must contain the access key of a contact.'),
        },
      ],
    })}
    ${
      offers &&
      offers.length > 0 &&
      selectField({
        ...entry(entries, 'resource'),
        label: t('Resource server'),
        options: [
          ['', t('Determined by the token request or by the permissions')],
          ...offers.map(({ resource, name }) => [resource, `${name} (${resource})`] as const),
        ],
        hint: t('The API that tokens are for if the token request does not name one.'),
      })
    }`;
}

function grantable(visit: Visit, entries: Entries, offers: readonly Offer[]): VNode {
  const kinds = [...new Set(offers.flatMap(({ information }) => information))];
  const granted = new Set(entries.form.getAll('permission'));
  const named = offers.flatMap(({ scopes }) => scopes);
  if (kinds.length === 0 && named.length === 0 && granted.size === 0) {
    return html`<p>${t('There are no permissions to grant yet. They come with the API that receives the tokens. You can also grant permissions later.')}</p>${detourButton(visit)}`;
  }
  const offered = selectable(offers, granted);
  return permissionMatrix({ kinds, granted, named, offered, error: entry(entries, 'permission').error });
}

/** Renders the form fields of a resource server. */
export function resourceServerFields(entries: Entries): VNode {
  return html`${nameField(entries, t('The API that receives and checks access tokens.'))}
    ${textField({
      ...entry(entries, 'resource'),
      label: t('Resource identifier'),
      required: true,
      maxlength: 2_000,
      placeholder: 'https://api.example.com',
      hint: t('An absolute URI. It is the audience of the tokens for this API.'),
    })}
    ${textField({
      ...entry(entries, 'information'),
      label: t('Kinds of information'),
      placeholder: 'orders products contacts',
      hint: t(
        'Lower-case words, separated by spaces. Each kind has four permissions: create, read, update and delete.',
      ),
    })}
    ${declaredScopeFields(entries)}
    ${choices({
      ...entry(entries, 'token_format'),
      label: t('Access token format'),
      value: entries.form.get('token_format') ?? 'opaque',
      options: [
        {
          value: 'opaque',
          label: t('Opaque'),
          hint: t('The API asks Keyturn about each token (introspection). Revoked tokens are rejected immediately.'),
        },
        { value: 'jwt', label: 'JWT', hint: t('The API verifies the signature of each token itself (RFC 9068).') },
      ],
    })}
    ${selectField({
      ...entry(entries, 'token_typ'),
      label: t('JWT type'),
      value: entries.form.get('token_typ') ?? 'at+jwt',
      options: [
        ['at+jwt', 'at+jwt (RFC 9068)'],
        ['JWT', 'JWT'],
      ],
      hint: t(
        'The typ header of the tokens. Choose JWT only if the JWT library of the API rejects at+jwt. Opaque tokens have no type.',
      ),
    })}`;
}

function nameField(entries: Entries, hint: string): VNode {
  return textField({
    ...entry(entries, 'name'),
    label: t('Name'),
    required: true,
    maxlength: 200,
    hint,
  });
}

/** Converts the submitted form to the request body of the client endpoints. */
export function readClientForm(kind: ShownClient['kind'], form: URLSearchParams): Record<string, unknown> {
  const name = form.get('name')?.trim() ?? '';
  if (kind === 'resource_server') {
    const tokenFormat = form.get('token_format') ?? undefined;
    return {
      name,
      resource: form.get('resource')?.trim() ?? '',
      information: words(form.get('information')),
      scopes: readDeclaredScopes(form),
      token_format: tokenFormat,
      token_typ: tokenFormat === 'jwt' ? (form.get('token_typ') ?? undefined) : undefined,
    };
  }
  return {
    name,
    scope: form.has('scope') ? words(form.get('scope')).join(' ') : form.getAll('permission').join(' '),
    access_key: form.get('access_key') ?? undefined,
    resource: form.get('resource') || undefined,
  };
}

/** Converts an existing client to the values of its form. */
export function toClientForm(client: ShownClient, owner: ShownContact | undefined): URLSearchParams {
  const form = new URLSearchParams({ name: client.name, resource: client.resource ?? '' });
  toDetailForm(client, owner, form);
  if (client.kind === 'resource_server') {
    form.set('information', client.information.join(' '));
    addDeclaredScopes(form, client.scopes);
    form.set('token_format', client.token_format ?? 'opaque');
    form.set('token_typ', client.token_typ ?? 'at+jwt');
    return form;
  }
  form.set('access_key', client.access_key);
  for (const scope of words(client.scope)) form.append('permission', scope);
  return form;
}

function words(text: string | null): string[] {
  return (text ?? '').split(/[\s,]+/).filter(Boolean);
}

export type Offer = ShownOffer;

/**
 * Returns the APIs with the scopes that may be granted, or undefined if the operator must not see them.
 * @param organizationId the organization that they are granted to; by default that of the operator.
 */
export async function readOffers(visit: Visit, organizationId?: string): Promise<Offer[] | undefined> {
  if (!visit.can('integrations:view')) return undefined;
  const query = { organization_id: organizationId || undefined };
  return (await visit.call<{ data: Offer[] }>('GET /offers', { query })).body.data;
}

/** Returns the scopes that may be selected: those that may be granted, and those that are granted already. */
export function selectable(offers: readonly Offer[], granted: Iterable<string>): ReadonlySet<string> {
  return new Set([...offers.flatMap(({ scope }) => words(scope)), ...granted]);
}
