import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import type { Policy, PolicyName } from './policy.ts';

const columns = `organization AS "organizationId", name, stage, days, grace_days AS "graceDays", since, updated_at AS "updatedAt"`;

/** Maximum number of policies that are listed. */
const maxListed = 10_000;

/**
 * Lists policies by organization and name: those of the deployment, and those of organizations.
 * @param organizationIds undefined lists those of all organizations.
 */
export async function listPolicies(database: Queryable, organizationIds?: readonly string[]): Promise<Policy[]> {
  return await database.query<Row & Policy>(
    `SELECT ${columns} FROM policies WHERE $1::uuid[] IS NULL OR organization = ANY ($1)
     ORDER BY organization <> '${deploymentOrganization}', organization, name LIMIT ${maxListed}`,
    [organizationIds ? [deploymentOrganization, ...organizationIds] : null],
  );
}

export async function lockPolicy(
  transaction: Transaction,
  organizationId: string,
  name: PolicyName,
): Promise<Policy | undefined> {
  const [row] = await transaction.query<Row & Policy>(
    `SELECT ${columns} FROM policies WHERE organization = $1 AND name = $2 FOR UPDATE`,
    [organizationId, name],
  );
  return row;
}

export async function savePolicy(transaction: Transaction, policy: Policy): Promise<void> {
  await transaction.query(
    `INSERT INTO policies (organization, name, stage, days, grace_days, since, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (organization, name) DO UPDATE SET stage = $3, days = $4, grace_days = $5, updated_at = $7`,
    [policy.organizationId, policy.name, policy.stage, policy.days, policy.graceDays, policy.since, policy.updatedAt],
  );
}

export async function deletePolicy(transaction: Transaction, organizationId: string, name: PolicyName): Promise<void> {
  await transaction.query('DELETE FROM policies WHERE organization = $1 AND name = $2', [organizationId, name]);
}
