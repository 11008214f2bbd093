import { type Ceiling, type CeilingRow, readCeiling } from '../clients/ceiling.ts';
import { hasLabel, type LabelFilter, type Labels } from '../clients/client-details.ts';
import { type ChangeKind, recordChanges } from '../storage/change.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { deploymentOrganization, ownCreated } from '../storage/organization-limit.ts';
import { countRows, type Page, type Slice, selectPage, type Total } from '../storage/page-by-text.ts';
import type { Organization } from './organization.ts';
import { effectiveSettings, noPortalSettings, type PortalSettings } from './portal-settings.ts';

type OrganizationRow = Row &
  CeilingRow & {
    id: string;
    name: string;
    external_id: string | null;
    enabled: boolean;
    labels: Labels;
    portal: Partial<PortalSettings>;
    revision: number;
    created_at: Date;
    updated_at: Date;
  };

export async function findOrganization(database: Queryable, id: string): Promise<Organization | undefined> {
  const rows = await database.query<OrganizationRow>('SELECT * FROM organizations WHERE id = $1', [id]);
  return rows[0] && toOrganization(rows[0]);
}

/**
 * Finds the settings of the portal of an organization, with those of the deployment where it has none. The name is that
 * of the organization of the deployment if neither has one.
 * @param database not limited to the organization.
 */
export async function findPortalSettings(
  database: Queryable,
  organizationId: string = deploymentOrganization,
): Promise<PortalSettings> {
  const rows = await database.query<Pick<OrganizationRow, 'id' | 'name' | 'portal'>>(
    'SELECT id, name, portal FROM organizations WHERE id IN ($1, $2)',
    [organizationId, deploymentOrganization],
  );
  const settingsOf = (id: string) => ({ ...noPortalSettings, ...rows.find((row) => row.id === id)?.portal });
  const { name = null } = rows.find(({ id }) => id === deploymentOrganization) ?? {};
  const deployment = settingsOf(deploymentOrganization);
  return effectiveSettings(settingsOf(organizationId), { ...deployment, name: deployment.name ?? name });
}

/** Finds an organization and locks it until the transaction ends, so that nothing is added to it or granted meanwhile. */
export async function lockOrganization(transaction: Transaction, id: string): Promise<Organization | undefined> {
  const rows = await transaction.query<OrganizationRow>('SELECT * FROM organizations WHERE id = $1 FOR UPDATE', [id]);
  return rows[0] && toOrganization(rows[0]);
}

export type OrganizationFilter = {
  /** Beginnings of words in the name, all of which must match; or an external id. */
  q?: string | undefined;
  enabled?: boolean | undefined;
  label?: LabelFilter | undefined;
};

/** Lists organizations. Returns one row more than `limit` if there is another page. */
export async function listOrganizations(
  database: Queryable,
  filter: OrganizationFilter & Slice,
): Promise<Organization[]> {
  const parameters: unknown[] = [];
  const page = { ...pageOf(filter, parameters), slice: filter };
  const rows = await selectPage<OrganizationRow>(database, page, {
    select: (query, order) => `SELECT * FROM (${query}) page ${order}`,
    parameters,
  });
  return rows.map(toOrganization);
}

/** Counts the organizations of all pages of a list. */
export async function countOrganizations(database: Queryable, filter: OrganizationFilter): Promise<Total> {
  return await countRows(database, (parameters) => pageOf(filter, parameters));
}

/** Describes the rows of a list. @param parameters the values of the placeholders are added to it. */
function pageOf({ q, enabled, label }: OrganizationFilter, parameters: unknown[]): Omit<Page, 'slice'> {
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const where: string[] = [];
  if (enabled !== undefined) where.push(`enabled = ${bind(enabled)}`);
  if (label) where.push(hasLabel(label, bind));
  return {
    table: 'organizations',
    where,
    search:
      q === undefined
        ? undefined
        : {
            words: 'array_to_tsvector(words_of(name))',
            walkedText: 'name',
            text: q,
            exact: (text: string) => `external_id = ${text}`,
          },
  };
}

/** Numbers of the objects of an organization. Only access keys that are enabled count. */
export type Holdings = { integrations: number; accessKeys: number; contacts: number };

/**
 * Counts what belongs to each organization, in one statement for a page of them.
 * @param most highest number that is counted of each kind; everything is counted by default.
 */
export async function countHoldings(
  database: Queryable,
  ids: readonly string[],
  most: number | null = null,
): Promise<ReadonlyMap<string, Holdings>> {
  // The order makes PostgreSQL use the index, also if it expects that most rows belong to the organization.
  const end = most === null ? '' : `ORDER BY ${ownCreated} DESC, id DESC LIMIT ${most}`;
  const rows = await database.query<Row & Holdings & { id: string }>(
    `SELECT o.id,
       (SELECT count(*) FROM (SELECT FROM clients WHERE organization = o.id AND kind = 'integration' ${end}) c) AS integrations,
       (SELECT count(*) FROM (SELECT FROM contacts WHERE organization = o.id ${end}) c) AS contacts,
       (SELECT count(*) FROM (SELECT FROM access_keys WHERE organization = o.id AND enabled ${end}) k) AS "accessKeys"
     FROM unnest($1::uuid[]) AS o (id)`,
    [ids],
  );
  return new Map(
    rows.map(({ id, integrations, accessKeys, contacts }) => [id, { integrations, accessKeys, contacts }]),
  );
}

export async function insertOrganization(transaction: Transaction, organization: Organization): Promise<void> {
  await transaction.query(
    `INSERT INTO organizations (id, name, external_id, enabled, labels, max_scopes, max_integrations, max_access_keys,
       max_key_life, reveal, portal, updated_at, created_at)
     VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7, $8, $9, $10, $11::jsonb, $12, $13)`,
    [...valuesOf(organization), organization.updatedAt, organization.createdAt],
  );
}

/** Saves the changeable members, increments the revision, and returns the saved organization. */
export async function saveOrganization(
  transaction: Transaction,
  organization: Organization,
  at: Date,
): Promise<Organization> {
  const rows = await transaction.query<OrganizationRow>(
    `UPDATE organizations SET name = $2, external_id = $3, enabled = $4, labels = $5::jsonb, max_scopes = $6::jsonb,
       max_integrations = $7, max_access_keys = $8, max_key_life = $9, reveal = $10, portal = $11::jsonb, updated_at = $12, revision = revision + 1
     WHERE id = $1 RETURNING *`,
    [...valuesOf(organization), at],
  );
  return toOrganization(rows[0] as OrganizationRow);
}

function valuesOf({ id, name, externalId, enabled, labels, ceiling, portal }: Organization): unknown[] {
  return [
    id,
    name,
    externalId,
    enabled,
    JSON.stringify(labels),
    ceiling.scopes && JSON.stringify(ceiling.scopes),
    ceiling.integrations,
    ceiling.accessKeys,
    ceiling.keyLifetimeSeconds,
    ceiling.reveal,
    JSON.stringify(portal),
  ];
}

export async function deleteOrganizationRow(transaction: Transaction, id: string): Promise<void> {
  await transaction.query('DELETE FROM organizations WHERE id = $1', [id]);
}

const changesPerStatement = 10_000;

/** Records that every client and access key of an organization changed, so that every process drops them from its caches. */
export async function announceHoldings(transaction: Transaction, id: string, at: Date): Promise<void> {
  const changes = await transaction.query<{ kind: ChangeKind; target: string }>(
    `SELECT 'client' AS kind, i.client_id AS target FROM client_ids i JOIN clients c ON c.id = i.client WHERE c.organization = $1
     UNION ALL
     SELECT 'access_key', id::text FROM access_keys WHERE organization = $1`,
    [id],
  );
  for (let start = 0; start < changes.length; start += changesPerStatement) {
    await recordChanges(transaction, changes.slice(start, start + changesPerStatement), at);
  }
}

/** Deletes the sealed copies of an organization's client secrets and access keys, which cannot be shown again then. */
export async function deleteCopies(transaction: Transaction, id: string): Promise<void> {
  const clients = await transaction.query<{ id: string }>(
    'UPDATE clients SET reveal = false, revision = revision + 1 WHERE organization = $1 AND reveal RETURNING id',
    [id],
  );
  const keys = await transaction.query<{ id: string }>(
    'UPDATE access_keys SET reveal = false, revision = revision + 1 WHERE organization = $1 AND reveal RETURNING id',
    [id],
  );
  const idsOf = (rows: readonly { id: string }[]) => rows.map((row) => row.id);
  await transaction.query(
    'UPDATE secrets SET sealed = NULL WHERE client = ANY ($1::uuid[]) OR access_key = ANY ($2::uuid[])',
    [idsOf(clients), idsOf(keys)],
  );
}

/**
 * Something of an organization that is live: an enabled client, an enabled access key that has not expired, or a contact
 * with an operator token, also one of the deployment whose token is limited to the organization.
 */
export type LiveThing = { kind: 'client' | 'access_key' | 'operator_token'; id: string; name: string };

export async function findLive(transaction: Transaction, id: string, now: Date): Promise<LiveThing[]> {
  return await transaction.query<LiveThing>(
    `SELECT 'client' AS kind, client_id AS id, name FROM clients WHERE organization = $1 AND enabled
     UNION ALL
     SELECT 'access_key', id::text, name FROM access_keys
     WHERE organization = $1 AND enabled AND coalesce(expires_at, 'infinity') > $2
     UNION ALL
     SELECT 'operator_token', id::text, name FROM (
       SELECT c.id, c.name FROM contacts c JOIN operator_tokens t ON t.contact = c.id WHERE c.organization = $1
       UNION
       SELECT c.id, c.name FROM contacts c JOIN bounded_tokens b ON b.contact = c.id
       WHERE (c.organization = $1 OR b.organization = $1) AND coalesce(b.expires_at, 'infinity') > $2
     ) operators`,
    [id, now],
  );
}

/** Returns the Client IDs and the ids of the contacts of an organization. */
export async function findMembers(
  transaction: Transaction,
  id: string,
): Promise<{ clientIds: string[]; contactIds: string[] }> {
  const clients = await transaction.query<{ client_id: string }>(
    'SELECT client_id FROM clients WHERE organization = $1 ORDER BY id',
    [id],
  );
  const contacts = await transaction.query<{ id: string }>(
    'SELECT id FROM contacts WHERE organization = $1 ORDER BY id',
    [id],
  );
  return { clientIds: clients.map((row) => row.client_id), contactIds: contacts.map((row) => row.id) };
}

/** Finds enabled access keys that expire later than a ceiling allows, or never. */
export async function findOutliving(
  transaction: Transaction,
  id: string,
  seconds: number,
): Promise<{ kind: 'access_key'; id: string; name: string }[]> {
  return await transaction.query<{ kind: 'access_key'; id: string; name: string }>(
    `SELECT 'access_key' AS kind, id, name FROM access_keys
     WHERE organization = $1 AND enabled AND coalesce(expires_at, 'infinity') > created_at + make_interval(secs => $2)`,
    [id, seconds],
  );
}

/** Returns whether this is the organization of the deployment itself. */
export function isDeployment({ id }: Pick<Organization, 'id'>): boolean {
  return id === deploymentOrganization;
}

function toOrganization(row: OrganizationRow): Organization {
  const ceiling: Ceiling = readCeiling(row);
  return {
    id: row.id,
    name: row.name,
    externalId: row.external_id,
    enabled: row.enabled,
    labels: row.labels,
    ceiling,
    portal: { ...noPortalSettings, ...row.portal },
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
