import type { ShownContact } from './shown.ts';

/** The fields of a contact in the form that endpoints take them. */
export function readContactForm(form: URLSearchParams): Record<string, unknown> {
  return {
    name: form.get('name')?.trim() ?? '',
    email: form.get('email')?.trim() ?? '',
    external_id: form.get('external_id')?.trim() || null,
    permissions: form.getAll('permissions'),
  };
}

/** A contact that is there, as its form. */
export function toContactForm(contact: ShownContact): URLSearchParams {
  const form = new URLSearchParams({
    name: contact.name,
    email: contact.email,
    external_id: contact.external_id ?? '',
  });
  for (const permission of contact.permissions) form.append('permissions', permission);
  return form;
}
