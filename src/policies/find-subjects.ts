import type { Queryable, Row } from '../storage/database.ts';
import { type Policy, type PolicySubject, type Violation, violationsOf, warningsOf } from './policy.ts';
import { listPolicies } from './policy-store.ts';

/** A client or an access key as policies and the posture see it. */
export type FoundSubject = PolicySubject & {
  id: string;
  /** The Client ID, or the id of an access key. */
  publicId: string;
  name: string;
  contact: { id: string; name: string } | null;
  authMethod: string | null;
  /** Number of scopes that it has. */
  granted: number;
};

type SubjectRow = Row & {
  id: string;
  public_id: string;
  name: string;
  kind: FoundSubject['kind'];
  organization: string;
  enabled: boolean;
  auth_method: string | null;
  reveal: boolean;
  limited: boolean | null;
  has_owner: boolean | null;
  contact: string | null;
  contact_name: string | null;
  granted: number;
  created_at: Date;
  secret_since: Date | null;
  last_used_at: Date | null;
};

/** Selects the creation of the current secret. The credential that is not being replaced has no end. */
const secretSince = (owner: 'client' | 'access_key', id: string) =>
  `(SELECT max(created_at) FROM secrets WHERE ${owner} = ${id} AND retires_at IS NULL)`;

/** The columns of integrations and access keys are up to a day late, so the sources of usage decide. */
const lastUse = (table: string) =>
  `GREATEST(${table}, (SELECT max(last_used_at) FROM usage_sources WHERE owner = asked.id))`;

const ofClients = `
  SELECT c.id, c.client_id AS public_id, c.name, c.kind, c.organization, c.enabled, c.auth_method, c.reveal,
    c.allowed_networks IS NOT NULL AND c.network_mode = 'enforce' AS limited, c.owner_contact IS NOT NULL AS has_owner,
    NULL::uuid AS contact, NULL AS contact_name, cardinality(c.scope) AS granted, c.created_at,
    CASE WHEN c.auth_method LIKE 'client_secret%' THEN ${secretSince('client', 'c.id')} END AS secret_since,
    ${lastUse('c.last_used_at')} AS last_used_at
  FROM unnest($1::uuid[]) AS asked (id) CROSS JOIN LATERAL (SELECT * FROM clients WHERE id = asked.id LIMIT 1) c`;

const ofKeys = `
  SELECT k.id, k.id::text AS public_id, k.name, 'access_key' AS kind, o.organization, k.enabled, NULL AS auth_method, k.reveal,
    CASE WHEN k.standalone THEN k.allowed_networks IS NOT NULL AND k.network_mode = 'enforce' END AS limited,
    NULL::boolean AS has_owner, o.id AS contact, o.name AS contact_name, cardinality(k.scope) AS granted, k.created_at,
    ${secretSince('access_key', 'k.id')} AS secret_since, ${lastUse('k.last_used_at')} AS last_used_at
  FROM unnest($1::uuid[]) AS asked (id) CROSS JOIN LATERAL (SELECT * FROM access_keys WHERE id = asked.id LIMIT 1) k
  JOIN contacts o ON o.id = k.contact`;

/** Finds clients or access keys by their internal ids. */
export async function findSubjects(
  database: Queryable,
  table: 'clients' | 'access_keys',
  ids: readonly string[],
): Promise<FoundSubject[]> {
  if (ids.length === 0) return [];
  const rows = await database.query<SubjectRow>(table === 'clients' ? ofClients : ofKeys, [ids]);
  return rows.map((row) => ({
    id: row.id,
    publicId: row.public_id,
    name: row.name,
    kind: row.kind,
    organizationId: row.organization,
    enabled: row.enabled,
    usesSecret: row.auth_method?.startsWith('client_secret') ?? false,
    authMethod: row.auth_method,
    reveal: row.reveal,
    isLimitedToNetworks: row.limited,
    hasOwner: row.has_owner,
    contact: row.contact === null ? null : { id: row.contact, name: row.contact_name ?? '' },
    granted: row.granted,
    createdAt: row.created_at,
    secretSince: row.secret_since,
    lastUsedAt: row.last_used_at,
  }));
}

/**
 * Returns the policies in the stages warn and enforce that a client or an access key violates, for an answer about it.
 * @param id its internal id.
 */
export async function findWarnings(
  database: Queryable,
  table: 'clients' | 'access_keys',
  id: string,
  now: number,
): Promise<{ warnings?: ReturnType<typeof warningsOf> }> {
  const warnings = warningsOf(await findViolations(database, table, id, now));
  return warnings.length > 0 ? { warnings } : {};
}

async function findViolations(
  database: Queryable,
  table: 'clients' | 'access_keys',
  id: string,
  now: number,
): Promise<Violation[]> {
  const policies: readonly Policy[] = await listPolicies(database);
  if (policies.length === 0) return [];
  const [subject] = await findSubjects(database, table, [id]);
  return subject ? violationsOf(policies, subject, now) : [];
}
