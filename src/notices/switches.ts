import type { Queryable, Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { type NoticeKind, noticeKinds } from './notice.ts';

/** Where kinds of notices are switched: for an organization, and for one receiver of mails in it. */
export type SwitchScope = {
  /** That of the deployment for all organizations. */
  organizationId: string;
  /** The receiver, as the channel `mail` names it. Null: everybody in the organization. */
  receiver: string | null;
};

/** The settings of one scope. A kind without one has that of the scope above. */
type Switches = ReadonlyMap<NoticeKind, boolean>;

const everybody = '';

/** Returns the settings of one scope. */
export async function findSwitches(database: Queryable, { organizationId, receiver }: SwitchScope): Promise<Switches> {
  const rows = await database.query<{ kind: NoticeKind; enabled: boolean }>(
    'SELECT kind, enabled FROM notice_switches WHERE organization = $1 AND receiver = $2',
    [organizationId, receiver ?? everybody],
  );
  return new Map(rows.map(({ kind, enabled }) => [kind, enabled]));
}

/** Returns the settings of an organization for everybody in it. */
export async function listSwitches(database: Queryable, organizationId: string): Promise<Switches> {
  return await findSwitches(database, { organizationId, receiver: null });
}

/**
 * Returns the kinds that are sent to a receiver, or in an organization: those that are not switched off. The setting of a
 * receiver wins over that of the organization, and that over the one of the deployment. Mandatory kinds are always sent.
 */
export async function findEnabledKinds(database: Queryable, scope: SwitchScope): Promise<ReadonlySet<NoticeKind>> {
  const scopes: SwitchScope[] = [
    { organizationId: deploymentOrganization, receiver: null },
    { ...scope, receiver: null },
    ...(scope.receiver === null ? [] : [scope]),
  ];
  const enabled = new Map<NoticeKind, boolean>();
  for (const each of scopes) for (const [kind, isOn] of await findSwitches(database, each)) enabled.set(kind, isOn);
  const kinds = Object.keys(noticeKinds) as NoticeKind[];
  return new Set(kinds.filter((kind) => noticeKinds[kind].isMandatory || (enabled.get(kind) ?? true)));
}

/** Changes the settings of one scope. @param changes null removes a setting, so that the scope above decides. */
export async function saveSwitches(
  transaction: Transaction,
  { organizationId, receiver }: SwitchScope,
  changes: ReadonlyMap<NoticeKind, boolean | null>,
): Promise<void> {
  const target = [organizationId, receiver ?? everybody];
  const set = [...changes].filter(([, enabled]) => enabled !== null);
  await transaction.query(
    'DELETE FROM notice_switches WHERE organization = $1 AND receiver = $2 AND kind = ANY ($3::text[])',
    [...target, [...changes.keys()]],
  );
  await transaction.query(
    `INSERT INTO notice_switches (organization, receiver, kind, enabled)
     SELECT $1, $2, kind, enabled FROM unnest($3::text[], $4::boolean[]) AS s (kind, enabled)
     ON CONFLICT (organization, receiver, kind) DO UPDATE SET enabled = excluded.enabled`,
    [...target, set.map(([kind]) => kind), set.map(([, enabled]) => enabled)],
  );
}
