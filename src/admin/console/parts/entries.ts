import type { KeyturnError } from '../../../errors.ts';
import { type Message, msg, t, translate } from '../languages/translate.ts';

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
    const field =
      scopeFieldOf(path) ?? fieldOf(path.replace(/^(?:replace|ceiling|portal)\./, '').split(/[.[]/)[0] ?? '');
    if (field && !errors.has(field)) errors.set(field, toSentence(translate(message)));
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

const labels: Readonly<Record<string, Message>> = {
  name: msg('Name'),
  description: msg('Description'),
  labels: msg('Labels'),
  claims: msg('Claims'),
  metadata: msg('Metadata'),
  integrations: msg('Integrations'),
  access_keys: msg('Access keys'),
  expires_at: msg('Expires at (UTC)'),
  allowed_networks: msg('Allowed networks'),
  requests_per_minute: msg('Requests per minute'),
  token_typ: msg('JWT type'),
  access_key: msg('Access key'),
  proof: msg('Keys or certificate'),
  permission: msg('Permissions'),
  permissions: msg('Operator permissions'),
  information: msg('Kinds of information'),
  scopes: msg('Named scopes'),
  resource: msg('Resource'),
  seconds: msg('New end'),
  ends_at: msg('Date and time'),
  email: msg('E-mail address'),
  external_id: msg('External ID'),
  clients: msg('Allowed integrations'),
  access_key_id: msg('On behalf of'),
  client_id: msg('Integration'),
  owner_contact_id: msg('Owner'),
  contacts: msg('Technical contacts'),
  access_token_ttl: msg('Token lifetime'),
  default_scope: msg('Default permissions'),
  dialects: msg('Dialects'),
  days: msg('Days'),
  grace_days: msg('Days of the grace period'),
  stage: msg('Stage'),
  key_days: msg('Longest life of an access key'),
  organization_id: msg('Organization'),
  self_rotation: msg('Self-rotation'),
  url: msg('URL'),
  kinds: msg('Kinds'),
  receiver: msg('Receiver'),
  client: msg('Integration'),
  issuer: msg('Issuer'),
  audience: msg('Audience'),
  conditions: msg('Conditions'),
  max_lifetime: msg('Longest lifetime of a token'),
  ca: msg('CAs of the issuer in PEM'),
};

const scopeMembers: Readonly<Record<string, Message>> = {
  name: msg('name'),
  description: msg('description'),
  means: msg('means'),
  aliases: msg('other names'),
  deprecated: msg('deprecated names'),
  sensitive: msg('sensitive'),
};

/** Returns what people call a form field. */
export function labelOf(field: string): string {
  const [, row, member = ''] = /^scopes\.(\d+)\.([a-z]+)$/.exec(field) ?? [];
  if (row !== undefined) {
    return t('Named scope {row}, {member}', { row: Number(row) + 1, member: t(scopeMembers[member] ?? member) });
  }
  const label = labels[field];
  if (label) return t(label);
  const words = field.replaceAll('_', ' ');
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}

function toSentence(message: string): string {
  const text = `${message.charAt(0).toUpperCase()}${message.slice(1)}`;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
