import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { NotFound } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import type { Transaction } from '../storage/database.ts';
import { deleteSessions } from './session-store.ts';

/**
 * Ends one session of a contact, from the next request on.
 * @throws {NotFound} if the contact has no such session.
 */
export async function endSession(
  transaction: Transaction,
  deps: { clock: Clock },
  actor: Actor,
  { contactId, id }: { contactId: string; id: string },
): Promise<void> {
  const at = new Date(deps.clock());
  const [ended] = await deleteSessions(transaction, contactId, id, at);
  if (!ended) throw new NotFound('session');
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: 'session.end',
    targetType: 'contact',
    target: contactId,
    before: { session: id, method: ended.method, address: ended.address, user_agent: ended.userAgent },
  });
}

/** Ends all sessions of a contact, from the next request on. Returns how many there were. */
export async function endAllSessions(
  transaction: Transaction,
  deps: { clock: Clock },
  actor: Actor,
  contactId: string,
): Promise<number> {
  const at = new Date(deps.clock());
  const ended = await deleteSessions(transaction, contactId, undefined, at);
  if (ended.length === 0) return 0;
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: 'session.end_all',
    targetType: 'contact',
    target: contactId,
    before: { sessions: ended.length },
  });
  return ended.length;
}
