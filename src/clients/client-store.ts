import { NotFound } from '../errors.ts';
import { awaitingFirstUse } from '../secrets/hashed-secrets.ts';
import { parseSecrets, type SecretOwner, secretsJson } from '../secrets/secret-store.ts';
import { recordChange } from '../storage/change.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { countRows, type Page, type Slice, selectPage, type Total } from '../storage/page-by-text.ts';
import {
  type Client,
  type ClientKind,
  type KnownClient,
  registrationOf,
  withoutTokens,
  withRegistration,
} from './client.ts';
import { hasLabel, type LabelFilter } from './client-details.ts';
import { type ClientRow, toClient, toRow } from './client-row.ts';

/** A client as it is stored, and whether its organization is enabled. */
export type FoundClient = KnownClient & { isOrganizationEnabled: boolean };

/** Finds a client by any of its Client IDs, with all its secrets, current and previous. */
export async function findKnownClient(database: Queryable, clientId: string): Promise<FoundClient | undefined> {
  return (await findKnownClients(database, [clientId])).get(clientId);
}

/** Finds several clients with their secrets. Returns each under the requested Client ID. */
export async function findKnownClients(
  database: Queryable,
  clientIds: readonly string[],
): Promise<Map<string, FoundClient>> {
  const rows = await database.query<ClientRow & { asked: string; secrets: string; organization_enabled: boolean }>(
    `SELECT c.*, i.client_id AS asked, o.enabled AS organization_enabled, ${secretsJson('client', 'c.id')} AS secrets
     FROM client_ids i JOIN clients c ON c.id = i.client JOIN organizations o ON o.id = c.organization
     WHERE i.client_id = ANY ($1::text[])`,
    [clientIds],
  );
  const known = (row: (typeof rows)[number]) => ({
    client: toClient(row),
    secrets: parseSecrets(row.secrets),
    isOrganizationEnabled: row.organization_enabled,
  });
  return new Map(rows.map((row) => [row.asked, known(row)]));
}

/** Returns whether any client has an imported Client ID. */
export async function hasForeignClientIds(database: Queryable): Promise<boolean> {
  return (await database.query(`SELECT 1 FROM client_ids WHERE client_id NOT LIKE 'kti\\_%' LIMIT 1`)).length > 0;
}

/** Returns which of these Client IDs belong to a client, as its current ID or a previous one. */
export async function findTakenClientIds(database: Queryable, clientIds: readonly string[]): Promise<Set<string>> {
  const rows = await database.query<{ client_id: string }>(
    'SELECT client_id FROM taken_client_ids($1::text[]) AS taken (client_id)',
    [clientIds],
  );
  return new Set(rows.map(({ client_id: clientId }) => clientId));
}

/** Finds a client and locks it until the transaction ends, so that changes of one client wait for each other. */
export async function lockClient(transaction: Transaction, clientId: string): Promise<Client | undefined> {
  const rows = await transaction.query<ClientRow>(
    'SELECT c.* FROM client_ids i JOIN clients c ON c.id = i.client WHERE i.client_id = $1 FOR UPDATE OF c',
    [clientId],
  );
  return rows[0] && toClient(rows[0]);
}

/** Finds a client by its internal id, which does not change with the Client ID. */
export async function findClientById(database: Queryable, id: string): Promise<Client | undefined> {
  const rows = await database.query<ClientRow>('SELECT * FROM clients WHERE id = $1', [id]);
  return rows[0] && toClient(rows[0]);
}

/** Finds a client by its internal id and locks it until the transaction ends. */
export async function lockClientById(transaction: Transaction, id: string): Promise<Client | undefined> {
  const rows = await transaction.query<ClientRow>('SELECT * FROM clients WHERE id = $1 FOR UPDATE', [id]);
  return rows[0] && toClient(rows[0]);
}

export type ClientFilter = {
  /** Prefixes of words in the name, all of which must match; or a Client ID. */
  q?: string | undefined;
  enabled?: boolean | undefined;
  kind?: ClientKind | undefined;
  organizationId?: string | undefined;
  /** Clients of this owner. */
  ownerContactId?: string | undefined;
  /** Clients with this label; with any value if `value` is undefined. */
  label?: LabelFilter | undefined;
  /** Whether only clients are listed of which a secret awaits its first use. */
  awaitsFirstUse?: boolean | undefined;
  /** Ids of the only rows that are listed. */
  among?: readonly string[] | undefined;
};

/** Lists clients. Returns one row more than `limit` if there is another page. */
export async function listClients(database: Queryable, filter: ClientFilter & Slice): Promise<KnownClient[]> {
  const parameters: unknown[] = [];
  const page = { ...pageOf(filter, parameters), slice: filter };
  const secrets = secretsJson('client', 'page.id');
  const select = (query: string, order: string) => `SELECT page.*, ${secrets} AS secrets FROM (${query}) page ${order}`;
  const rows = await selectPage<ClientRow & { secrets: string }>(database, page, { select, parameters });
  return rows.map((row) => ({ client: toClient(row), secrets: parseSecrets(row.secrets) }));
}

/** Counts the clients of all pages of a list. */
export async function countClients(database: Queryable, filter: ClientFilter): Promise<Total> {
  return await countRows(database, (parameters) => pageOf(filter, parameters));
}

/** Describes the rows of a list. @param parameters the values of the placeholders are added to it. */
function pageOf(filter: ClientFilter, parameters: unknown[]): Omit<Page, 'slice'> {
  const { q, enabled, kind, organizationId, ownerContactId, label, awaitsFirstUse, among } = filter;
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const where: string[] = [];
  // Add only the requested conditions, so that each can use its index.
  if (enabled !== undefined) where.push(`enabled = ${bind(enabled)}`);
  if (kind) where.push(`kind = ${bind(kind)}`);
  if (organizationId) where.push(`organization = ${bind(organizationId)}`);
  if (ownerContactId) where.push(`owner_contact = ${bind(ownerContactId)}`);
  if (awaitsFirstUse) where.push(`id IN (SELECT client FROM secrets WHERE ${awaitingFirstUse})`);
  if (label) where.push(hasLabel(label, bind));
  return {
    table: 'clients',
    where,
    isOfOrganization: organizationId !== undefined,
    among: among && bind(among),
    search:
      q === undefined
        ? undefined
        : {
            words: 'array_to_tsvector(words_of(name))',
            walkedText: 'name',
            text: q,
            exact: (text: string) => `id IN (SELECT client FROM client_ids WHERE client_id = ${text})`,
          },
  };
}

export async function listResourceServers(database: Queryable): Promise<Client[]> {
  const rows = await database.query<ClientRow>('SELECT * FROM resource_servers() ORDER BY created_at, id');
  return rows.map(toClient);
}

/**
 * Lists resource servers and locks them against changes, so that what they offer is the same when the transaction
 * commits.
 */
export async function holdResourceServers(transaction: Transaction): Promise<Client[]> {
  const rows = await transaction.query<ClientRow>('SELECT * FROM hold_resource_servers()');
  return rows.map(toClient);
}

export async function insertClient(transaction: Transaction, client: Client): Promise<void> {
  await insertClients(transaction, [client]);
}

const columns = `id, client_id, kind, name, enabled, scope, access_key, reveal, auth_method, resource, information, token_format, token_typ,
  token_epoch, tokens_not_before, revision, created_at, updated_at, jwks, jwks_uri, certificate_subject, certificate_bound_tokens,
  dpop_bound_tokens, access_token_ttl, default_scope, claims, owner_contact, description, labels, metadata, contacts, scopes, dialects,
  self_rotation, organization, allowed_networks, network_mode`;

/** Inserts clients. Two statements, because row-level security of `client_ids` must see the rows of the first. */
export async function insertClients(transaction: Transaction, clients: readonly Client[]): Promise<void> {
  await transaction.query(
    `INSERT INTO clients (${columns}) SELECT ${columns} FROM jsonb_populate_recordset(NULL::clients, $1::jsonb)`,
    [JSON.stringify(clients.map(toRow))],
  );
  await transaction.query('INSERT INTO client_ids (client_id, client) SELECT * FROM unnest($1::text[], $2::uuid[])', [
    clients.map(({ clientId }) => clientId),
    clients.map(({ id }) => id),
  ]);
}

/** Adds a Client ID to a client. Client IDs are never removed from a client, so that none is reused for another one. */
async function addClientId(transaction: Transaction, client: Client, clientId: string): Promise<void> {
  await transaction.query(
    'INSERT INTO client_ids (client_id, client) VALUES ($1, $2) ON CONFLICT (client_id) DO NOTHING',
    [clientId, client.id],
  );
}

/**
 * Updates the mutable columns of a client, raises its revision, and records the change for all processes. Returns the
 * updated client.
 */
export async function saveClient(transaction: Transaction, client: Client, at: Date): Promise<Client> {
  const rows = await transaction.query<ClientRow>(
    `UPDATE clients c SET client_id = n.client_id, name = n.name, enabled = n.enabled, scope = n.scope, access_key = n.access_key,
       reveal = n.reveal, resource = n.resource, information = n.information, token_format = n.token_format, token_typ = n.token_typ,
       token_epoch = n.token_epoch, tokens_not_before = n.tokens_not_before, jwks = n.jwks, jwks_uri = n.jwks_uri,
       certificate_subject = n.certificate_subject, certificate_bound_tokens = n.certificate_bound_tokens,
       dpop_bound_tokens = n.dpop_bound_tokens, auth_method = n.auth_method, access_token_ttl = n.access_token_ttl,
       default_scope = n.default_scope, claims = n.claims, owner_contact = n.owner_contact, description = n.description,
       labels = n.labels, metadata = n.metadata, contacts = n.contacts, scopes = n.scopes, dialects = n.dialects, self_rotation = n.self_rotation,
       organization = n.organization, allowed_networks = n.allowed_networks, network_mode = n.network_mode,
       updated_at = $2, revision = c.revision + 1
     FROM jsonb_populate_record(NULL::clients, $1::jsonb) n WHERE c.id = n.id RETURNING c.*`,
    [JSON.stringify(toRow(client)), at],
  );
  await announceClient(transaction, client, at);
  return toClient(rows[0] as ClientRow);
}

export async function deleteClient(transaction: Transaction, client: Client, at: Date): Promise<void> {
  await announceClient(transaction, client, at);
  await transaction.query('DELETE FROM clients WHERE id = $1', [client.id]);
}

/** Finds what uses any of these scopes: up to 10 clients and 10 access keys, and the total number. */
export async function findUsersOfScopes(
  transaction: Queryable,
  scopes: readonly string[],
): Promise<{
  /** @property last_used_at when the client last got a token with one of the scopes, if they are declared. */
  clients: { client_id: string; name: string; last_used_at?: string }[];
  accessKeys: object[];
  totalClients: number;
  total: number;
}> {
  const clients = await transaction.query<
    Row & { client_id: string; name: string; last_used_at: Date | null; total: number }
  >(
    `SELECT client_id, name, count(*) OVER () AS total,
       (SELECT max(u.last_used_at) FROM client_scopes u WHERE u.client = clients.id AND u.scope = ANY ($1::text[])) AS last_used_at
     FROM clients
     WHERE kind = 'integration' AND scope && $1::text[] ORDER BY created_at LIMIT 10`,
    [scopes],
  );
  const keys = await transaction.query<Row & { id: string; name: string; contact: string; total: number }>(
    `SELECT id, name, contact, count(*) OVER () AS total FROM access_keys
     WHERE scope && $1::text[] ORDER BY created_at LIMIT 10`,
    [scopes],
  );
  return {
    clients: clients.map(({ client_id, name, last_used_at: at }) => ({
      client_id,
      name,
      ...(at ? { last_used_at: at.toISOString() } : {}),
    })),
    accessKeys: keys.map(({ id, name, contact }) => ({ id, name, contact_id: contact })),
    totalClients: clients[0]?.total ?? 0,
    total: (clients[0]?.total ?? 0) + (keys[0]?.total ?? 0),
  };
}

/** Returns every Client ID of a client, current and previous. @param id the client's id. */
export async function listClientIds(database: Queryable, id: string): Promise<string[]> {
  const rows = await database.query<{ client_id: string }>('SELECT client_id FROM client_ids WHERE client = $1', [id]);
  return rows.map(({ client_id: clientId }) => clientId);
}

/** Records that the client changed, so that every process drops it from its cache under each of its Client IDs. */
export async function announceClient(transaction: Transaction, client: Client, at: Date): Promise<void> {
  for (const target of await listClientIds(transaction, client.id)) {
    await recordChange(transaction, { kind: 'client', target, at });
  }
  if (client.kind === 'resource_server') {
    await recordChange(transaction, { kind: 'resource_servers', target: 'all', at });
  }
}

/** Presents a locked client as an owner of secrets. */
export function asSecretOwner(client: Client): SecretOwner {
  return {
    kind: 'client',
    id: client.id,
    prefix: 'kts_',
    pepper: 'client-secret-pepper',
    reveal: client.reveal,
    target: client.clientId,
    targetType: 'client',
    clientId: client.clientId,
    organizationId: client.organizationId,
    registration: registrationOf(client),
    bindsTokens: client.dpopBoundTokens || client.certificateBoundTokens,
    dialects: client.dialects,
    enabled: client.enabled,
    revision: client.revision,
    tokenEpoch: client.tokenEpoch,
    save: async (transaction, change, at) => {
      const clientId = change.clientId ?? client.clientId;
      if (clientId !== client.clientId) {
        await addClientId(transaction, client, clientId);
        // Cached trusts name the Client ID.
        await recordChange(transaction, { kind: 'trusts', target: 'all', at });
      }
      const registered = change.registration ? withRegistration(client, change.registration) : client;
      const changed = change.tokens === 'revoke' ? withoutTokens(registered, at.getTime()) : registered;
      await saveClient(transaction, { ...changed, clientId }, at);
    },
  };
}

/** Finds a client by any of its Client IDs and returns it, locked, as the owner of its secrets. @throws {NotFound} */
export async function requireClientOwner(transaction: Transaction, clientId: string): Promise<SecretOwner> {
  const client = await lockClient(transaction, clientId);
  if (!client) throw new NotFound('client');
  return asSecretOwner(client);
}
