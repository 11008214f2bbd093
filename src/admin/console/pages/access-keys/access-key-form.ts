import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { textField } from '../../parts/fields.ts';
import { permissionMatrix } from '../../parts/permission-matrix.ts';
import type { ShownAccessKey } from '../../shown.ts';
import type { Offer } from '../clients/read-offers.ts';

/** Renders the form fields for an access key's permissions, expiry and allowed clients. */
export function accessKeyFields(
  form: URLSearchParams,
  offers: readonly Offer[],
  { used, isReadOnly = false }: { used?: ReadonlySet<string>; isReadOnly?: boolean } = {},
): VNode {
  const kinds = [...new Set(offers.flatMap(({ information }) => information))];
  const granted = new Set(form.getAll('permission'));
  return html`${textField({
    name: 'name',
    label: 'Name',
    value: form.get('name') ?? '',
    required: true,
    maxlength: 200,
    readonly: isReadOnly,
    hint: 'It must be unique among the access keys of this contact.',
  })}
    <fieldset class="stack">
      <legend>Permissions</legend>
      ${
        kinds.length === 0 && granted.size === 0
          ? html`<p>There are no permissions to grant yet. <a href="/console/resource-servers">Register a resource server first</a>.</p>`
          : permissionMatrix({ kinds, granted, used, isReadOnly })
      }
    </fieldset>
    ${textField({
      name: 'expires_at',
      label: 'Expires at (UTC)',
      type: 'datetime-local',
      value: form.get('expires_at') ?? '',
      readonly: isReadOnly,
      hint: 'Leave this empty if the key does not expire.',
    })}
    ${textField({
      name: 'clients',
      label: 'Allowed Client IDs',
      value: form.get('clients') ?? '',
      readonly: isReadOnly,
      placeholder: 'kti_…',
      hint: 'Separate them with spaces. Leave this empty to allow every client.',
    })}`;
}

/** Converts the submitted form to the request body of the access-key endpoints. */
export function readAccessKeyForm(form: URLSearchParams): Record<string, unknown> {
  const permissions: Record<string, string[]> = {};
  for (const scope of form.getAll('permission')) {
    const [kind = '', action = ''] = scope.split(':');
    if (!Object.hasOwn(permissions, kind)) permissions[kind] = [];
    permissions[kind]?.push(action);
  }
  const clients = (form.get('clients') ?? '').split(/[\s,]+/).filter(Boolean);
  const end = form.get('expires_at');
  return {
    name: form.get('name')?.trim() ?? '',
    permissions,
    clients: clients.length > 0 ? clients : null,
    expires_at: end ? toMoment(end) : null,
  };
}

/** Converts an existing access key to the values of its form. */
export function toAccessKeyForm(key: ShownAccessKey): URLSearchParams {
  const form = new URLSearchParams({
    name: key.name,
    clients: key.clients?.join(' ') ?? '',
    expires_at: key.expires_at?.slice(0, 16) ?? '',
  });
  for (const scope of scopesOf(key.permissions)) form.append('permission', scope);
  return form;
}

export function scopesOf(permissions: ShownAccessKey['permissions']): string[] {
  return Object.entries(permissions).flatMap(([kind, actions]) => actions.map((action) => `${kind}:${action}`));
}

/**
 * Converts a `datetime-local` value to an RFC 3339 time in UTC. Browsers omit seconds that are zero. The endpoint
 * rejects invalid times.
 */
function toMoment(local: string): string {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(local) ? `${local}:00Z` : `${local}Z`;
}
