import { type Command, Option } from 'commander';
import { subjectFields } from '../../clients/certificate-subject.ts';
import { type AuthMethod, hasCertificate } from '../../clients/client.ts';
import { callAdmin, type Json, type Page } from '../call-admin.ts';
import type { ShownDetails } from '../detail-options.ts';
import { type Admin, withAdmin } from '../stores.ts';
import { type OutputOptions, print, say, toJson } from '../terminal.ts';

/** Members of the admin API's client that are exported. */
type ExportedClient = Json & {
  client_id: string;
  name: string;
  status: string;
  scope: string;
  access_key: string;
  auth_method: AuthMethod;
  jwks: unknown;
  jwks_uri: string | null;
  tls_client_certificate_bound_access_tokens: boolean;
  dpop_bound_access_tokens: boolean;
  reveal: boolean;
  resource: string | null;
  secrets: { status: string; awaits_first_use: boolean }[];
} & ShownDetails;

type OwnedClient = ExportedClient & {
  /** The external ID or the e-mail address of its owner, which identifies the owner in another deployment. */
  owner: string | undefined;
  /** The hash of an imported secret that the client has not used yet. */
  client_secret_hash: string | undefined;
};

/** Columns that are included even if they are empty for every client. */
const alwaysThere = ['client_id', 'name', 'scope', 'enabled'];

/** Adds `clients export`, which prints clients for another server or another deployment of Keyturn. */
export function addExportCommand(clients: Command): void {
  clients
    .command('export')
    .description('export all integrations for another server, without secrets')
    .addOption(new Option('--format <format>', 'output format').choices(['json', 'csv']).default('json'))
    .option('--json', 'same as --format json')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients export > clients.json
  keyturn clients export --format csv > clients.csv`,
    )
    .action(async ({ format, json }: OutputOptions & { format: 'json' | 'csv' }) => {
      const found = await withAdmin(readAllClients);
      print(json || format === 'json' ? toJson(found.map(toRegistration)) : await toTable(found));
    });
}

async function readAllClients(admin: Admin): Promise<OwnedClient[]> {
  const found: OwnedClient[] = [];
  const owners = new Map<string | null, string>();
  const hashes = await readHashes(admin);
  let cursor: string | undefined;
  do {
    const query = { kind: 'integration', limit: '200', cursor };
    const page: Page<ExportedClient> = await callAdmin(admin, 'GET /clients', { query });
    for (const client of page.data) {
      const { owner_contact_id: id } = client;
      if (id !== null && !owners.has(id)) {
        const contact = await callAdmin<Json>(admin, 'GET /contacts/{id}', { params: { id } });
        owners.set(id, String(contact['external_id'] ?? contact['email']));
      }
      found.push({ ...client, owner: owners.get(id), client_secret_hash: hashes.get(client.client_id) });
    }
    cursor = page.next_cursor ?? undefined;
  } while (cursor);
  const left = found.filter((client) => client.client_secret_hash === undefined && awaitsFirstUse(client)).length;
  if (left > 0) {
    say(`warning: ${left} imported ${left === 1 ? 'secret awaits its' : 'secrets await their'} first use. The admin API does not
show their hashes, so the export lacks client_secret_hash. Export on the server, without --url, to include it.`);
  }
  return found;
}

/** Returns the hashes of imported secrets that were not used yet, which only the database has. */
async function readHashes(admin: Admin): Promise<ReadonlyMap<string, string>> {
  if ('token' in admin) return new Map();
  const { findCurrentHashes } = await import('../../secrets/hashed-secrets.ts');
  return await findCurrentHashes(admin.database);
}

function awaitsFirstUse({ secrets }: ExportedClient): boolean {
  return secrets.some(({ status, awaits_first_use: awaits }) => status === 'current' && awaits);
}

function toRegistration(client: OwnedClient): Json {
  return {
    client_id: client.client_id,
    client_name: client.name,
    enabled: client.status === 'enabled',
    scope: scopeField(client.scope),
    grant_types: ['client_credentials'],
    token_endpoint_auth_method: client.auth_method,
    ...demandsOf(client),
  };
}

/** Returns the members that differ from the defaults of a registration. */
function demandsOf(client: OwnedClient): Json {
  const isBound = client.tls_client_certificate_bound_access_tokens;
  return {
    ...(client.jwks ? { jwks: client.jwks } : {}),
    ...(client.jwks_uri ? { jwks_uri: client.jwks_uri } : {}),
    ...Object.fromEntries(subjectFields.filter((field) => client[field]).map((field) => [field, client[field]])),
    ...(isBound === hasCertificate({ authMethod: client.auth_method })
      ? {}
      : { tls_client_certificate_bound_access_tokens: isBound }),
    ...(client.dpop_bound_access_tokens ? { dpop_bound_access_tokens: true } : {}),
    ...(client.access_key === 'required' ? { access_key: 'required' } : {}),
    ...(client.reveal ? {} : { reveal: false }),
    ...(client.self_rotation ? { self_rotation: true } : {}),
    ...(client.allowed_networks
      ? { allowed_networks: client.allowed_networks, network_mode: client.network_mode }
      : {}),
    ...(client.resource ? { resource: client.resource } : {}),
    ...(client.client_secret_hash ? { client_secret_hash: client.client_secret_hash } : {}),
    ...detailsOf(client),
  };
}

function detailsOf(client: OwnedClient): Json {
  const { description, labels, metadata, contacts, access_token_ttl, default_scope, dialects, claims } = client;
  const scopes = default_scope && scopeField(default_scope);
  const given = { description, labels, metadata, contacts, access_token_ttl, default_scope: scopes, dialects, claims };
  const owners = { owner: client.owner, owner_contact_id: client.owner_contact_id };
  return Object.fromEntries(Object.entries({ ...owners, ...given }).filter(([, value]) => !isEmpty(value)));
}

/** An empty default scope is a value. */
function isEmpty(value: unknown): boolean {
  return (value ?? undefined) === undefined || (typeof value === 'object' && Object.keys(value as object).length === 0);
}

/** Returns a list of scopes as text, or as a list if an import would read the text as other scopes. */
function scopeField(scope: string): string | string[] {
  return /,|^\[/.test(scope) ? scope.split(' ') : scope;
}

async function toTable(clients: readonly OwnedClient[]): Promise<string> {
  const { clientColumns, toCsv } = await import('./clients-csv.ts');
  const rows = clients.map((client): Json => {
    const method = client.auth_method;
    return {
      client_id: client.client_id,
      name: client.name,
      scope: scopeField(client.scope),
      enabled: client.status === 'enabled',
      ...(method === 'client_secret_basic' ? {} : { token_endpoint_auth_method: method }),
      ...demandsOf(client),
      // An empty field would stand for no default scope.
      ...(client.default_scope === '' ? { default_scope: '[]' } : {}),
    };
  });
  const columns = clientColumns.filter((name) => alwaysThere.includes(name) || rows.some((row) => name in row));
  return toCsv([columns, ...rows.map((row) => columns.map((name) => toField(row[name])))]);
}

function toField(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
