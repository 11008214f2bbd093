import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { type Permission, permissions } from '../../../../contacts/contact.ts';
import type { Visit } from '../../page.ts';
import { permissionLabel } from '../../parts/elements.ts';
import { checkbox, textField } from '../../parts/fields.ts';
import type { ShownContact } from '../../shown.ts';

const meanings: Readonly<Record<Permission, string>> = {
  'integrations:view': 'See integrations, access keys, contacts and their usage.',
  'integrations:edit': 'Change, disable and enable integrations and access keys. Create and regenerate access keys.',
  'api_key:manage': 'Generate, show, regenerate and delete credentials. Issue and revoke tokens.',
  'contacts:manage': 'Manage contacts, their permissions and operator tokens.',
  'audit:view': 'See the audit log and verify it.',
};

/**
 * Renders the form fields of a contact. Operators can grant or withdraw only the permissions that they have themselves.
 */
export function contactFields(visit: Visit, form: URLSearchParams): VNode {
  const granted = form.getAll('permissions');
  return html`${textField({ name: 'name', label: 'Name', value: form.get('name') ?? '', required: true, maxlength: 200 })}
    ${textField({ name: 'email', label: 'E-mail address', type: 'email', value: form.get('email') ?? '', required: true, maxlength: 254 })}
    ${textField({
      name: 'external_id',
      label: 'External ID',
      value: form.get('external_id') ?? '',
      maxlength: 200,
      hint: 'The ID of this contact in your own system, such as a customer number. It must be unique.',
    })}
    <fieldset class="checks">
      <legend>Operator permissions</legend>
      <p class="hint">A contact that only uses access keys needs no permissions. You can grant and withdraw only permissions that you have yourself.</p>
      ${permissions.map((permission) => {
        const isGranted = granted.includes(permission);
        const mayChange = visit.can(permission);
        return html`${checkbox({
          name: 'permissions',
          value: permission,
          label: permissionLabel(permission),
          hint: meanings[permission],
          checked: isGranted,
          disabled: !mayChange,
        })}
        ${isGranted && !mayChange && html`<input type="hidden" name="permissions" value=${permission} />`}`;
      })}
    </fieldset>`;
}

/** Converts the submitted form to the request body of the contact endpoints. */
export function readContactForm(form: URLSearchParams): Record<string, unknown> {
  return {
    name: form.get('name')?.trim() ?? '',
    email: form.get('email')?.trim() ?? '',
    external_id: form.get('external_id')?.trim() || null,
    permissions: form.getAll('permissions'),
  };
}

/** Converts an existing contact to the values of its form. */
export function toContactForm(contact: ShownContact): URLSearchParams {
  const form = new URLSearchParams({
    name: contact.name,
    email: contact.email,
    external_id: contact.external_id ?? '',
  });
  for (const permission of contact.permissions) form.append('permissions', permission);
  return form;
}
