import type { Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { isUuid } from '../text/is-uuid.ts';

/** The part of an audit event that says what it is about. */
type About = { target: string; organizationId?: string | undefined };

/**
 * Finds the organizations that audit events are about, in one statement. The result is null for that of the deployment.
 */
export async function findEventOrganizations(
  transaction: Transaction,
  events: readonly About[],
): Promise<(event: About) => string | null> {
  const targets = [...new Set(events.map(({ target }) => target))];
  const rows = await transaction.query<{ target: string; organization: string }>(
    `SELECT i.client_id AS target, c.organization FROM client_ids i JOIN clients c ON c.id = i.client
     WHERE i.client_id = ANY ($1::text[]) AND c.organization <> $3
     UNION ALL SELECT id::text, organization FROM contacts WHERE id = ANY ($2::uuid[]) AND organization <> $3
     UNION ALL SELECT id::text, organization FROM access_keys WHERE id = ANY ($2::uuid[]) AND organization <> $3
     UNION ALL SELECT id::text, id FROM organizations WHERE id = ANY ($2::uuid[]) AND id <> $3`,
    [targets, targets.filter(isUuid), deploymentOrganization],
  );
  const found = new Map(rows.map(({ target, organization }) => [target, organization]));
  return ({ target, organizationId }) => {
    const organization = organizationId ?? found.get(target);
    return organization === undefined || organization === deploymentOrganization ? null : organization;
  };
}
