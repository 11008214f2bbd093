import type { Permission } from '../contacts/contact.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import type { Approval, ApprovalAct, ApprovalState, ApprovalSubject } from './approval.ts';

type ApprovalRow = Row & {
  id: string;
  organization: string;
  act: ApprovalAct;
  route: string;
  subject_type: ApprovalSubject['type'];
  subject: string;
  subject_name: string;
  permission: Permission;
  body: Record<string, unknown>;
  digest: Uint8Array;
  requester: string;
  requester_name: string;
  reason: string | null;
  state: ApprovalState;
  decided_by: string | null;
  decided_name: string | null;
  note: string | null;
  created_at: Date;
  decided_at: Date | null;
  used_at: Date | null;
  ends_at: Date;
};

export async function insertApproval(transaction: Transaction, approval: Approval): Promise<void> {
  await transaction.query(
    `INSERT INTO approvals (id, organization, act, route, subject_type, subject, subject_name, permission, body, digest,
       requester, requester_name, reason, state, created_at, ends_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11, $12, $13, $14, $15, $16)`,
    [
      approval.id,
      approval.organizationId,
      approval.act,
      approval.route,
      approval.subject.type,
      approval.subject.id,
      approval.subjectName,
      approval.permission,
      JSON.stringify(approval.body),
      approval.digest,
      approval.requester,
      approval.requesterName,
      approval.reason,
      approval.state,
      approval.createdAt,
      approval.endsAt,
    ],
  );
}

/** Saves the reason, the state and the decision. */
export async function saveApproval(transaction: Transaction, approval: Approval): Promise<void> {
  await transaction.query(
    `UPDATE approvals SET reason = $2, state = $3, decided_by = $4, decided_name = $5, note = $6, decided_at = $7,
       used_at = $8, ends_at = $9 WHERE id = $1`,
    [
      approval.id,
      approval.reason,
      approval.state,
      approval.decidedBy,
      approval.decidedName,
      approval.note,
      approval.decidedAt,
      approval.usedAt,
      approval.endsAt,
    ],
  );
}

export async function findApproval(database: Queryable, id: string): Promise<Approval | undefined> {
  const [row] = await database.query<ApprovalRow>('SELECT * FROM approvals WHERE id = $1', [id]);
  return row && toApproval(row);
}

export async function lockApproval(transaction: Transaction, id: string): Promise<Approval | undefined> {
  const [row] = await transaction.query<ApprovalRow>('SELECT * FROM approvals WHERE id = $1 FOR UPDATE', [id]);
  return row && toApproval(row);
}

/** Finds the latest open request of a requester for exactly this act. */
export async function findSameRequest(
  database: Queryable,
  requester: string,
  digest: Uint8Array,
  now: Date,
): Promise<Approval | undefined> {
  const [row] = await database.query<ApprovalRow>(
    `SELECT * FROM approvals WHERE requester = $1 AND digest = $2 AND state IN ('pending', 'approved') AND ends_at > $3
     ORDER BY created_at DESC LIMIT 1`,
    [requester, digest, now],
  );
  return row && toApproval(row);
}

/** An operator who lists requests: the operator's own, and those that need a permission of the operator. */
export type ApprovalViewer = { id: string; permissions: readonly Permission[] };

/** Lists requests, newest first. Returns one row more than `limit` if there is another page. */
export async function listApprovals(
  database: Queryable,
  viewer: ApprovalViewer,
  filter: {
    state?: ApprovalState | undefined;
    subject?: string | undefined;
    limit: number;
    after?: { at: Date; id: string } | undefined;
    before?: { at: Date; id: string } | undefined;
  },
): Promise<Approval[]> {
  const parameters: unknown[] = [viewer.id, viewer.permissions];
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const conditions = ['(requester = $1 OR permission = ANY ($2::text[]))'];
  if (filter.state) conditions.push(`state = ${bind(filter.state)}`);
  if (filter.subject) conditions.push(`subject = ${bind(filter.subject)}`);
  const at = (sign: string, { at: moment, id }: { at: Date; id: string }) =>
    conditions.push(`(created_at, id) ${sign} (${bind(moment)}, ${bind(id)}::uuid)`);
  if (filter.after) at('<', filter.after);
  if (filter.before) at('>', filter.before);
  const direction = filter.before ? 'ASC' : 'DESC';
  const rows = await database.query<ApprovalRow>(
    `SELECT * FROM approvals WHERE ${conditions.join(' AND ')}
     ORDER BY created_at ${direction}, id ${direction} LIMIT ${bind(filter.limit + 1)}`,
    parameters,
  );
  return rows.map(toApproval);
}

/** Finds the requests that wait for this operator's approval, the first to expire first, at most `limit`. */
export async function listAwaiting(
  database: Queryable,
  { id, permissions }: ApprovalViewer,
  now: Date,
  limit: number,
): Promise<Approval[]> {
  const rows = await database.query<ApprovalRow>(
    `SELECT * FROM approvals WHERE state = 'pending' AND ends_at > $1 AND requester <> $2 AND permission = ANY ($3::text[])
     ORDER BY ends_at, id LIMIT $4`,
    [now, id, permissions, limit],
  );
  return rows.map(toApproval);
}

/** Finds open requests whose time is over, locked. Others that are locked are skipped. */
export async function lockOverdue(transaction: Transaction, now: Date): Promise<Approval[]> {
  const rows = await transaction.query<ApprovalRow>(
    `SELECT * FROM approvals WHERE state IN ('pending', 'approved') AND ends_at <= $1
     ORDER BY ends_at LIMIT 100 FOR UPDATE SKIP LOCKED`,
    [now],
  );
  return rows.map(toApproval);
}

export async function hasOverdue(database: Queryable, now: Date): Promise<boolean> {
  const [row] = await database.query<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM approvals WHERE state IN ('pending', 'approved') AND ends_at <= $1) AS found`,
    [now],
  );
  return row?.found === true;
}

function toApproval(row: ApprovalRow): Approval {
  return {
    id: row.id,
    organizationId: row.organization,
    act: row.act,
    route: row.route,
    subject: { type: row.subject_type, id: row.subject },
    subjectName: row.subject_name,
    permission: row.permission,
    body: row.body,
    digest: row.digest,
    requester: row.requester,
    requesterName: row.requester_name,
    reason: row.reason,
    state: row.state,
    decidedBy: row.decided_by,
    decidedName: row.decided_name,
    note: row.note,
    createdAt: row.created_at,
    decidedAt: row.decided_at,
    usedAt: row.used_at,
    endsAt: row.ends_at,
  };
}
