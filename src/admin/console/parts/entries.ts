import type { KeyturnError } from '../../../errors.ts';

/** The values of a submitted form, and the errors of its fields by name. */
export type Entries = { form: URLSearchParams; errors: ReadonlyMap<string, string> };

/** Returns the entries of a form. @param problem why it was rejected; its fields are those of the admin API. */
export function readEntries(form: URLSearchParams, problem?: KeyturnError): Entries {
  return { form, errors: problem ? errorsOf(problem) : new Map() };
}

/** Returns the name, the value and the error of one field, as the functions that render fields take them. */
export function entry({ form, errors }: Entries, name: string) {
  return { name, value: form.get(name) ?? '', error: errors.get(name) };
}

/** Returns the errors of a rejected request by form field, as sentences. */
export function errorsOf(problem: KeyturnError): Map<string, string> {
  const issues = problem.extension?.['issues'] as { path: string; message: string }[] | undefined;
  const errors = new Map<string, string>();
  for (const { path, message } of issues ?? readMessage(problem.message)) {
    const field = scopeFieldOf(path) ?? fieldOf(path.replace(/^(?:replace|ceiling)\./, '').split(/[.[]/)[0] ?? '');
    if (field && !errors.has(field)) errors.set(field, toSentence(message));
  }
  return errors;
}

/** Reads a message that begins with the name of a field: `resource: …`, or a name in backticks. */
function readMessage(message: string): { path: string; message: string }[] {
  const [, path, rest] = /^([a-z_]+(?:[.[][\w.[\]]*)?): (.+)$/s.exec(message) ?? [];
  if (path && rest) return [{ path, message: rest }];
  const [, quoted] = /^(?:auth_method )?`([a-z_]+)`/.exec(message) ?? [];
  return quoted ? [{ path: quoted, message }] : [];
}

/** Form fields that stand for members of the admin API with other names. */
const fieldNames: Readonly<Record<string, string>> = {
  replace: 'proof',
  jwks: 'proof',
  jwks_uri: 'proof',
  certificate: 'proof',
  private_key_jwt: 'proof',
  tls_client_auth: 'proof',
  self_signed_tls_client_auth: 'proof',
  scope: 'permission',
  retires_at: 'seconds',
  key_lifetime: 'key_days',
};

function fieldOf(member: string): string {
  return member.startsWith('tls_client_auth_') ? 'proof' : (fieldNames[member] ?? member);
}

/** Returns the field of a declared scope: `scopes.`, its position and its member. */
function scopeFieldOf(path: string): string | undefined {
  const [, index, member] = /^scopes\.(\d+)\.([a-z]+)/.exec(path) ?? [];
  if (index === undefined || member === undefined) return undefined;
  return `scopes.${index}.${member === 'information' || member === 'action' ? 'means' : member}`;
}

const labels: Readonly<Record<string, string>> = {
  proof: 'Keys or certificate',
  permission: 'Permissions',
  permissions: 'Operator permissions',
  information: 'Kinds of information',
  scopes: 'Named scopes',
  resource: 'Resource',
  seconds: 'New end',
  ends_at: 'Date and time',
  email: 'E-mail address',
  external_id: 'External ID',
  clients: 'Allowed integrations',
  access_key_id: 'On behalf of',
  client_id: 'Integration',
  owner_contact_id: 'Owner',
  contacts: 'Technical contacts',
  access_token_ttl: 'Token lifetime',
  default_scope: 'Default permissions',
  dialects: 'Dialects',
  key_days: 'Longest life of an access key',
  organization_id: 'Organization',
  self_rotation: 'Self-rotation',
};

/** Returns what people call a form field. */
export function labelOf(field: string): string {
  const [, row, member] = /^scopes\.(\d+)\.([a-z]+)$/.exec(field) ?? [];
  if (row !== undefined) return `Named scope ${Number(row) + 1}, ${member === 'aliases' ? 'other names' : member}`;
  const words = field.replaceAll('_', ' ');
  return labels[field] ?? `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}

function toSentence(message: string): string {
  const text = `${message.charAt(0).toUpperCase()}${message.slice(1)}`;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
