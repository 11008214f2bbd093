import type { Permission } from '../contacts/contact.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { type ApprovalAct, type ApprovalSettings, guardedActs } from './approval.ts';

/** Returns the settings of one organization, without those of the deployment. */
export async function findOwnSettings(database: Queryable, organizationId: string): Promise<ApprovalSettings> {
  return stricterOf(await read(database, [organizationId]));
}

/**
 * Returns the settings that apply to things of an organization: its own and those of the deployment, the stricter of
 * both.
 * @param database not limited to an organization, whose operators do not see the settings of the deployment.
 */
export async function findSettingsFor(database: Queryable, organizationId: string): Promise<ApprovalSettings> {
  return stricterOf(await read(database, [organizationId, deploymentOrganization]));
}

async function read(database: Queryable, organizations: readonly string[]): Promise<ApprovalSettings[]> {
  return await database.query<Row & ApprovalSettings>(
    `SELECT acts, reveal_hours AS "revealHours" FROM approval_settings WHERE organization = ANY ($1::uuid[])`,
    [organizations],
  );
}

/** Returns the acts that need approval by any of the settings. */
function stricterOf(settings: readonly ApprovalSettings[]): ApprovalSettings {
  const hours = settings.flatMap(({ revealHours }) => revealHours ?? []);
  return {
    acts: guardedActs.filter((act) => settings.some(({ acts }) => acts.includes(act))),
    revealHours: hours.length > 0 ? Math.min(...hours) : null,
  };
}

export async function saveSettings(
  transaction: Transaction,
  organizationId: string,
  { acts, revealHours }: ApprovalSettings,
): Promise<void> {
  await transaction.query(
    `INSERT INTO approval_settings (organization, acts, reveal_hours) VALUES ($1, $2, $3)
     ON CONFLICT (organization) DO UPDATE SET acts = $2, reveal_hours = $3`,
    [organizationId, acts, revealHours],
  );
}

/** The permissions that the requests of each act need. */
const permissionsOf: Readonly<Record<ApprovalAct, readonly Permission[]>> = {
  reveal: ['api_key:manage'],
  revoke_all: ['api_key:manage'],
  delete: ['api_key:manage', 'contacts:manage'],
  erase: ['contacts:manage'],
  root_key: ['api_key:manage'],
  policies: ['contacts:manage'],
};

/**
 * Finds an act that fewer than two people could request and approve, and the permission that they lack. People count who
 * have the permission and an operator token or an account at an identity provider.
 * @param database not limited to an organization: people of the deployment can approve for every organization.
 */
export async function findUnapprovable(
  database: Queryable,
  organizationId: string,
  { acts, revealHours }: ApprovalSettings,
  now: Date,
): Promise<{ act: ApprovalAct; permission: Permission } | undefined> {
  for (const act of [...(revealHours === null ? [] : (['reveal'] as const)), ...acts]) {
    for (const permission of permissionsOf[act]) {
      if ((await countApprovers(database, { organizationId, permission, but: null }, now)) < 2)
        return { act, permission };
    }
  }
  return undefined;
}

/** Counts the people who can approve. @param but the requester, who cannot. */
export async function countApprovers(
  database: Queryable,
  { organizationId, permission, but }: { organizationId: string; permission: Permission; but: string | null },
  now: Date,
): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    `SELECT count(DISTINCT lower(c.email))::int AS count FROM contacts c
     WHERE c.organization IN ($1, $2) AND $3 = ANY (c.permissions) AND c.id::text IS DISTINCT FROM $4 AND (
       EXISTS (SELECT FROM operator_tokens WHERE contact = c.id) OR EXISTS (SELECT FROM contact_identities WHERE contact = c.id)
       OR EXISTS (SELECT FROM bounded_tokens b WHERE b.contact = c.id AND NOT b.break_glass AND $3 = ANY (b.permissions)
         AND coalesce(b.expires_at, 'infinity') > $5))`,
    [organizationId, deploymentOrganization, permission, but, now],
  );
  return row?.count ?? 0;
}
