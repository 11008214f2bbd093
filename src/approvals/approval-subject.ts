import type { Queryable, Row } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import type { ApprovalSubject } from './approval.ts';

/** The subject of an act, as an approver sees it. */
export type FoundSubject = {
  name: string;
  organizationId: string;
  /** When its current secret was generated; null if it has none. */
  generatedAt: Date | null;
  lastUsedAt: Date | null;
  /** Numbers of sources in the last 30 days, and of what belongs to it. */
  sources: number;
  clients: number;
  accessKeys: number;
  contacts: number;
};

const none = `NULL::timestamptz AS "generatedAt", NULL::timestamptz AS "lastUsedAt", 0 AS sources, 0 AS clients,
  0 AS "accessKeys", 0 AS contacts`;
const ofCredential = (column: 'client' | 'access_key', thing: string) => `
  (SELECT max(created_at) FROM secrets WHERE ${column} = ${thing}.id AND ended_as IS NULL) AS "generatedAt",
  ${thing}.last_used_at AS "lastUsedAt",
  (SELECT count(*)::int FROM usage_sources WHERE owner = ${thing}.id AND last_used_at > $2) AS sources, 0 AS clients,
  0 AS "accessKeys", 0 AS contacts`;

const queries: Readonly<Record<Exclude<ApprovalSubject['type'], 'root_key' | 'deleted_contact'>, string>> = {
  client: `SELECT c.name, c.organization AS "organizationId", ${ofCredential('client', 'c')}
    FROM client_ids i JOIN clients c ON c.id = i.client WHERE i.client_id = $1`,
  access_key: `SELECT k.name, o.organization AS "organizationId", ${ofCredential('access_key', 'k')}
    FROM access_keys k JOIN contacts o ON o.id = k.contact WHERE k.id = $1::uuid`,
  contact: `SELECT c.name, c.organization AS "organizationId", ${none
    .replace('0 AS clients', '(SELECT count(*)::int FROM clients WHERE owner_contact = c.id) AS clients')
    .replace('0 AS "acc', '(SELECT count(*)::int FROM access_keys WHERE contact = c.id) AS "acc')}
    FROM contacts c WHERE c.id = $1::uuid AND $2::timestamptz IS NOT NULL`,
  organization: `SELECT o.name, o.id AS "organizationId", ${none
    .replace('0 AS clients', '(SELECT count(*)::int FROM clients WHERE organization = o.id) AS clients')
    .replace('0 AS contacts', '(SELECT count(*)::int FROM contacts WHERE organization = o.id) AS contacts')}
    FROM organizations o WHERE o.id = $1::uuid AND $2::timestamptz IS NOT NULL`,
};

const monthMs = 30 * 86_400_000;

/** Finds what an act is about. Returns undefined if it does not exist, or is out of reach. */
export async function findSubject(
  database: Queryable,
  { type, id }: ApprovalSubject,
  now: number,
): Promise<FoundSubject | undefined> {
  if (type === 'root_key' || type === 'deleted_contact') {
    const organizationId = deploymentOrganization;
    const nothing = { generatedAt: null, lastUsedAt: null, sources: 0, clients: 0, accessKeys: 0, contacts: 0 };
    // Not the name of the contact, which is to be erased.
    return { name: type === 'root_key' ? 'Root key' : 'Deleted contact', organizationId, ...nothing };
  }
  const [row] = await database.query<Row & FoundSubject>(queries[type], [id, new Date(now - monthMs)]);
  return row;
}
