import { createHash, randomUUID } from 'node:crypto';
import { type Actor, appendAuditEvent, type CommitChange } from '../audit/audit-log.ts';
import { findLatestEvents } from '../audit/read-events.ts';
import { findContact } from '../contacts/contact-store.ts';
import type { Grantor } from '../contacts/grantor.ts';
import { Conflict, Forbidden, NotFound } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import type { Database, Queryable, Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { isUuid } from '../text/is-uuid.ts';
import { type Approval, type GuardedRequest, pendingMs, stateAt, usableMs } from './approval.ts';
import {
  findSameRequest,
  hasOverdue,
  insertApproval,
  lockApproval,
  lockOverdue,
  saveApproval,
} from './approval-store.ts';

type Deps = { clock: Clock };

/** Returns what identifies a request: the same act with other parameters or another body has another digest. */
export function digestOf({ route, params, body }: GuardedRequest): Uint8Array {
  return createHash('sha256')
    .update(JSON.stringify([route, params, body]))
    .digest();
}

/**
 * Asks for approval of an act. A request that already waits, or was approved and not used, is returned instead.
 * @param requester the operator, who repeats the act once it is approved.
 */
export async function requestApproval(
  transaction: Transaction,
  deps: Deps,
  requester: Grantor,
  guarded: GuardedRequest,
  subject: { name: string; organizationId: string },
): Promise<Approval> {
  const at = new Date(deps.clock());
  const digest = digestOf(guarded);
  const same = await findSameRequest(transaction, requester.id, digest, at);
  if (same) return same;
  const approval: Approval = {
    id: randomUUID(),
    organizationId: requester.organizationId ?? deploymentOrganization,
    act: guarded.act,
    route: guarded.route,
    subject: guarded.subject,
    subjectName: subject.name,
    permission: guarded.permission,
    body: JSON.parse(JSON.stringify(guarded.body ?? {})) as Record<string, unknown>,
    digest,
    requester: requester.id,
    requesterName: requester.name,
    reason: null,
    state: 'pending',
    decidedBy: null,
    decidedName: null,
    note: null,
    createdAt: at,
    decidedAt: null,
    usedAt: null,
    endsAt: new Date(at.getTime() + pendingMs),
  };
  await insertApproval(transaction, approval);
  await audit(transaction, requester, at, 'request', approval);
  return approval;
}

/** Stores the reason of a request. @throws {NotFound} for requests of others. {Conflict} once it is decided. */
export async function explainRequest(
  transaction: Transaction,
  deps: Deps,
  operator: Grantor,
  id: string,
  reason: string,
): Promise<Approval> {
  const approval = await requirePending(transaction, deps, operator, id);
  if (approval.requester !== operator.id) throw new Forbidden('Only the requester can give the reason.');
  const explained = { ...approval, reason };
  await saveApproval(transaction, explained);
  await audit(transaction, operator, new Date(deps.clock()), 'explain', explained);
  return explained;
}

/**
 * Approves or refuses a request. Its requester can only withdraw it.
 * @throws {Forbidden} unless the operator is another person than the requester and has the permission that the act needs.
 * @throws {Conflict} `approval_decided` once it is decided, used or expired.
 */
export async function decide(
  transaction: Transaction,
  deps: Deps,
  operator: Grantor,
  { id, verdict, note }: { id: string; verdict: 'approved' | 'refused'; note: string | null },
): Promise<Approval> {
  const at = new Date(deps.clock());
  const approval = await requirePending(transaction, deps, operator, id);
  const isOwn = approval.requester === operator.id;
  if (verdict === 'approved') await requireSecondPerson(transaction, operator, approval, at);
  const decided: Approval = {
    ...approval,
    state: verdict === 'refused' && isOwn ? 'withdrawn' : verdict,
    decidedBy: operator.id,
    decidedName: operator.name,
    note,
    decidedAt: at,
    endsAt: verdict === 'approved' ? new Date(at.getTime() + usableMs) : approval.endsAt,
  };
  await saveApproval(transaction, decided);
  await audit(transaction, operator, at, decided.state === 'approved' ? 'approve' : decided.state, decided);
  return decided;
}

/**
 * Uses an approved request, in the transaction of the act.
 * @throws {Conflict} `approval_not_usable` unless it was approved for exactly this act of this requester and has not
 *   been used.
 */
export async function useApproval(
  transaction: Transaction,
  deps: Deps,
  operator: Actor,
  guarded: GuardedRequest,
  id: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const approval = await lockApproval(transaction, id);
  const isSame = approval?.requester === operator.id && Buffer.compare(approval.digest, digestOf(guarded)) === 0;
  if (!approval || !isSame) throw notUsable('This approval is not for this request.');
  const state = stateAt(approval, at.getTime());
  if (state !== 'approved') throw notUsable(`This approval cannot be used, because it is ${state}.`);
  const used: Approval = { ...approval, state: 'used', usedAt: at };
  await saveApproval(transaction, used);
  await audit(transaction, operator, at, 'use', used);
}

function notUsable(message: string): Conflict {
  return new Conflict('approval_not_usable', message);
}

/** Records that an act went through without the approval that it needs. */
export async function recordBypass(
  transaction: Transaction,
  deps: Deps,
  actor: Actor,
  { act, route, subject }: GuardedRequest,
): Promise<void> {
  await appendAuditEvent(transaction, {
    at: new Date(deps.clock()),
    actor,
    action: 'approval.bypass',
    targetType: subject.type,
    target: subject.id,
    after: { act, request: route },
  });
}

/** Records that requests expired whose time is over. */
export async function expireApprovals({
  database,
  clock,
  change,
}: Deps & { database: Database; change: CommitChange }): Promise<void> {
  const now = new Date(clock());
  if (!(await hasOverdue(database, now))) return;
  const keyturn: Actor = { id: 'keyturn', name: 'Keyturn', address: null };
  await change(async (transaction) => {
    for (const approval of await lockOverdue(transaction, now)) {
      const expired: Approval = { ...approval, state: 'expired' };
      await saveApproval(transaction, expired);
      await audit(transaction, keyturn, now, 'expire', expired);
    }
  });
}

/** Returns whether an operator sees a request: its requester, and those with the permission that it needs. */
export function maySee({ id, permissions }: Grantor, { requester, permission }: Approval): boolean {
  return requester === id || permissions.includes(permission);
}

async function requirePending(transaction: Transaction, deps: Deps, operator: Grantor, id: string): Promise<Approval> {
  const approval = await lockApproval(transaction, id);
  if (!approval || !maySee(operator, approval)) throw new NotFound('approval');
  const state = stateAt(approval, deps.clock());
  if (state !== 'pending')
    throw new Conflict('approval_decided', `This request is ${state}, so nothing can be decided.`);
  return approval;
}

const recentMs = 7 * 86_400_000;
/** Actions that give a person access as a contact. */
const accessActions = [
  'contact.create',
  'contact.invite',
  'operator_token.issue',
  'operator_token.issue_bounded',
  'operator_token.rotate_bounded',
  'console.link',
  'portal.link',
];

/**
 * Requires another person than the requester. A requester who has given the other one access lately could have taken it
 * for themselves, and so approve their own request.
 */
async function requireSecondPerson(
  database: Queryable,
  operator: Grantor,
  approval: Approval,
  at: Date,
): Promise<void> {
  if (operator.id === approval.requester) throw new Forbidden('You cannot approve your own request.');
  if (!operator.permissions.includes(approval.permission)) throw new NotFound('approval');
  if (operator.breakGlass) throw new Forbidden('An operator token for emergencies cannot approve requests.');
  const [contact, requester] = [
    await findIfContact(database, operator.id),
    await findIfContact(database, approval.requester),
  ];
  if (!contact) {
    throw new Forbidden('Only a contact can approve. Use the console, or --url with the operator token of a contact.');
  }
  if (requester && requester.email.toLowerCase() === contact.email.toLowerCase()) {
    throw new Forbidden('You cannot approve your own request: the requester has your e-mail address.');
  }
  const events = await findLatestEvents(database, { targets: [contact.id], actions: accessActions });
  const since = at.getTime() - recentMs;
  if (events.some((event) => event.actor === approval.requester && new Date(event.at).getTime() > since)) {
    throw new Forbidden('The requester has given you access in the last 7 days, so somebody else has to approve this.');
  }
}

async function findIfContact(database: Queryable, id: string) {
  return isUuid(id) ? await findContact(database, id) : undefined;
}

async function audit(
  transaction: Transaction,
  actor: Actor,
  at: Date,
  verb: string,
  approval: Approval,
): Promise<void> {
  const { id, act, route, subject, reason, note, state, permission, requester, organizationId } = approval;
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `approval.${verb}`,
    targetType: subject.type,
    target: subject.id,
    after: {
      id,
      act,
      request: route,
      state,
      permission,
      requester,
      requester_organization: organizationId,
      reason,
      note,
    },
  });
}
