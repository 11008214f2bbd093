import type { ShownAccessKey } from './shown.ts';

/** The fields of an access key in the form that endpoints take them. */
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

/** An access key that is there, as its form. */
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

/** A browser leaves the seconds out where they are none; what is no moment is for the endpoint to say. */
function toMoment(local: string): string {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(local) ? `${local}:00Z` : `${local}Z`;
}
