import { Conflict, type InvalidInput, invalidField } from '../errors.ts';
import type { Row, Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import {
  type Ceiling,
  type CeilingRow,
  ceilingExceeded,
  type Grant,
  type HeldOrganization,
  nameGrants,
  noCeiling,
  readCeiling,
  scopesBeyond,
} from './ceiling.ts';
import type { Client, ClientKind } from './client.ts';
import { offeredScopes } from './offered-scopes.ts';

/** Locks on organizations, with which their ceilings hold against concurrent changes. */

const columns = 'id, max_scopes, max_integrations, max_access_keys, max_key_life, reveal';

/** Returns a locked organization. @throws {InvalidInput} if there is none with this id. */
export type Held = (id: string) => HeldOrganization;

/**
 * Locks organizations, so that their ceilings hold against concurrent changes. They are locked before clients, contacts
 * and access keys, so that no two transactions wait for each other. The organization of the deployment needs no lock.
 * @throws {InvalidInput} if there is none with one of these ids.
 */
export async function holdOrganizations(transaction: Transaction, ids: readonly string[]): Promise<Held> {
  const limited = [...new Set(ids)].filter((id) => id !== deploymentOrganization);
  const rows =
    limited.length === 0
      ? []
      : await transaction.query<Row & CeilingRow & { id: string }>(
          `SELECT ${columns} FROM organizations
           WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE`,
          [limited],
        );
  const held = new Map(rows.map((row) => [row.id, { id: row.id, ceiling: readCeiling(row) }]));
  return (id) => {
    if (id === deploymentOrganization) return { id, ceiling: noCeiling };
    const organization = held.get(id);
    if (!organization) throw organizationNotFound();
    return organization;
  };
}

export function organizationNotFound(): InvalidInput {
  const message = 'organization not found';
  return invalidField('organization_id', message);
}

/**
 * Locks the organizations that a change of a client, a contact or an access key concerns: its own, and the one that it
 * moves to.
 * @param query finds its organization by its id, `$1`, as the column `organization`.
 */
export async function holdOrganizationsOf(
  transaction: Transaction,
  query: string,
  id: string,
  movesTo?: string,
): Promise<Held> {
  const rows = await transaction.query<{ organization: string }>(query, [id]);
  const ids = rows.map(({ organization }) => organization);
  const held = await holdOrganizations(transaction, movesTo === undefined ? ids : [...ids, movesTo]);
  return (organization) => {
    if (ids.includes(organization) || organization === movesTo) return held(organization);
    throw new Conflict('changed_meanwhile', 'The organization was changed by someone else. Try again.');
  };
}

/** The rows that are locked for a change of a client. @property ceilings of all organizations that a resource server concerns. */
export type HeldForClient = { held: Held; ceilings: ReadonlyMap<string, Ceiling> };

type Granting = {
  scope?: unknown;
  resource?: unknown;
  information?: unknown;
  scopes?: unknown;
  organizationId?: string | undefined;
};

/** Returns whether a request changes what a client is granted or offers. */
function isGranting({ scope, resource, information, scopes, organizationId }: Granting): boolean {
  return [scope, resource, information, scopes, organizationId].some((each) => each !== undefined);
}

/** Locks what the registration of a client concerns. */
export async function holdForNewClient(
  transaction: Transaction,
  kind: ClientKind,
  organizationId: string,
): Promise<HeldForClient> {
  const ceilings = kind === 'resource_server' ? await holdLimitedOrganizations(transaction) : new Map();
  return { held: await holdOrganizations(transaction, [organizationId]), ceilings };
}

/** Locks what a change of a client concerns, before the client. Undefined if it grants and offers nothing new. */
export async function holdForClient(
  transaction: Transaction,
  clientId: string,
  given: Granting,
): Promise<HeldForClient | undefined> {
  if (!isGranting(given)) return undefined;
  const query = 'FROM client_ids i JOIN clients c ON c.id = i.client WHERE i.client_id = $1';
  const [row] = await transaction.query<{ kind: ClientKind }>(`SELECT c.kind ${query}`, [clientId]);
  // A resource server belongs to the deployment, whose organization is not locked, so no two transactions lock in two orders.
  if (row?.kind === 'resource_server') return await holdForNewClient(transaction, row.kind, deploymentOrganization);
  const held = await holdOrganizationsOf(transaction, `SELECT c.organization ${query}`, clientId, given.organizationId);
  return { held, ceilings: new Map() };
}

/**
 * Checks that an integration may move to another organization, and deletes the copies of its secrets if they must not be
 * shown again there.
 * @returns the members of the client that change.
 */
export async function moveClient(
  transaction: Transaction,
  client: Client,
  organizationId: string | undefined,
  held: HeldForClient | undefined,
): Promise<Pick<Client, 'organizationId' | 'reveal'>> {
  const { organizationId: from, reveal } = client;
  if (organizationId === undefined || organizationId === from || !held) return { organizationId: from, reveal };
  const to = held.held(organizationId);
  if (client.kind === 'integration') await requireRoom(transaction, to, 'integrations', 1);
  if (!reveal || to.ceiling.reveal) return { organizationId, reveal };
  await transaction.query('UPDATE secrets SET sealed = NULL WHERE client = $1', [client.id]);
  return { organizationId, reveal: false };
}

const counted = {
  integrations: {
    noun: 'integrations',
    query: `SELECT count(*) AS count FROM clients WHERE organization = $1 AND kind = 'integration'`,
  },
  accessKeys: {
    noun: 'enabled access keys',
    query: 'SELECT count(*) AS count FROM access_keys WHERE organization = $1 AND enabled',
  },
} as const;

/** Returns how many more integrations or access keys a held organization may have; null for any number. */
export async function roomFor(
  transaction: Transaction,
  { id, ceiling }: HeldOrganization,
  kind: keyof typeof counted,
): Promise<number | null> {
  const max = ceiling[kind];
  if (max === null) return null;
  const [row] = await transaction.query<{ count: number }>(counted[kind].query, [id]);
  return max - (row?.count ?? 0);
}

/**
 * Checks that a held organization may have as many more integrations or access keys.
 * @throws {Conflict} `ceiling_exceeded`
 */
export async function requireRoom(
  transaction: Transaction,
  organization: HeldOrganization,
  kind: keyof typeof counted,
  added: number,
): Promise<void> {
  const max = organization.ceiling[kind];
  if (max === null || added === 0) return;
  const room = (await roomFor(transaction, organization, kind)) ?? 0;
  if (added > room) {
    throw ceilingExceeded(`The organization may have at most ${max} ${counted[kind].noun}, and has ${max - room}.`);
  }
}

/**
 * Finds integrations and enabled access keys of organizations with a ceiling of scopes.
 * @param organization the only one, or null for all.
 * @param scope only those that have one of these scopes; null for all.
 */
export async function findLimitedGrants(
  transaction: Transaction,
  organization: string | null,
  scope: readonly string[] | null,
): Promise<Grant[]> {
  return await transaction.query<Grant>(
    `SELECT 'client' AS kind, c.client_id AS id, c.name, c.organization, c.scope, c.resource
     FROM clients c JOIN organizations o ON o.id = c.organization
     WHERE (o.id = $1 OR $1 IS NULL AND o.max_scopes IS NOT NULL) AND c.kind = 'integration' AND ($2::text[] IS NULL OR c.scope && $2)
     UNION ALL
     SELECT 'access_key', k.id::text, k.name, k.organization, k.scope, NULL
     FROM access_keys k JOIN organizations o ON o.id = k.organization
     WHERE (o.id = $1 OR $1 IS NULL AND o.max_scopes IS NOT NULL) AND k.enabled AND ($2::text[] IS NULL OR k.scope && $2)`,
    [organization, scope],
  );
}

/** Locks every organization with a ceiling of scopes, before a resource server offers more. */
async function holdLimitedOrganizations(transaction: Transaction): Promise<ReadonlyMap<string, Ceiling>> {
  const rows = await transaction.query<Row & CeilingRow & { id: string }>(
    `SELECT ${columns} FROM organizations
     WHERE max_scopes IS NOT NULL ORDER BY id FOR NO KEY UPDATE`,
  );
  return new Map(rows.map((row) => [row.id, readCeiling(row)]));
}

/**
 * Checks that nobody gets a scope beyond a ceiling because a resource server offers it too.
 * @param ceilings of the locked organizations. @param changed the resource server as it is after the change.
 * @param servers all resource servers, with the changed one.
 * @throws {Conflict} `ceiling_exceeded` with the clients and access keys.
 */
export async function requireNoneBeyond(
  transaction: Transaction,
  ceilings: ReadonlyMap<string, Ceiling>,
  changed: Client,
  servers: readonly Client[],
): Promise<void> {
  if (ceilings.size === 0) return;
  const grants = await findLimitedGrants(transaction, null, offeredScopes(changed));
  const beyond = grants.filter(
    (grant) => scopesBeyond(ceilings.get(grant.organization) ?? noCeiling, grant, servers).length > 0,
  );
  if (beyond.length === 0) return;
  throw ceilingExceeded(
    'Clients or access keys would get scopes here that the ceiling of their organization does not allow. Choose other names, or raise the ceilings first.',
    nameGrants(beyond),
  );
}
