import type { ShownClient } from './shown.ts';

/** The fields of a client in the form that endpoints take them. */
export function readClientForm(kind: ShownClient['kind'], form: URLSearchParams): Record<string, unknown> {
  const name = form.get('name')?.trim() ?? '';
  if (kind === 'resource_server') {
    return {
      name,
      resource: form.get('resource')?.trim() ?? '',
      information: words(form.get('information')),
      token_format: form.get('token_format') ?? undefined,
    };
  }
  return {
    name,
    scope: form.has('scope') ? words(form.get('scope')).join(' ') : form.getAll('permission').join(' '),
    access_key: form.get('access_key') ?? undefined,
    resource: form.get('resource') || undefined,
  };
}

/** A client that is there, as its form. */
export function toClientForm(client: ShownClient): URLSearchParams {
  const form = new URLSearchParams({ name: client.name, resource: client.resource ?? '' });
  if (client.kind === 'resource_server') {
    form.set('information', client.information.join(' '));
    form.set('token_format', client.token_format ?? 'opaque');
    return form;
  }
  form.set('access_key', client.access_key);
  for (const scope of words(client.scope)) form.append('permission', scope);
  return form;
}

function words(text: string | null): string[] {
  return (text ?? '').split(/[\s,]+/).filter(Boolean);
}
