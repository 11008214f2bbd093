import type { KeyRing } from '../credentials/key-ring.ts';
import type { Log } from '../observability/log.ts';
import { type ChangeFeed, type CommittedChange, changesOf } from '../storage/change.ts';
import type { Database, Transaction } from '../storage/database.ts';
import { leaveOrganization } from '../storage/organization-limit.ts';
import {
  type AuditAnchor,
  auditKeys,
  hex,
  isSealed,
  isVersionInUse,
  macOfAnchor,
  macOfEvent,
  mayBeEmpty,
  type ProtectedEvent,
  textOfEvent,
} from './audit-chain.ts';
import { findEventOrganizations } from './event-organizations.ts';
import { protectPersonalValues } from './personal-values.ts';

/** Originator of an action: an operator over HTTP, the user who runs the command line, or Keyturn itself. */
export type Actor = { id: string; name: string; address: string | null };

export type AuditEvent = {
  at: Date;
  actor: Actor;
  /** `noun.verb`, for example `client.disable`. */
  action: string;
  targetType:
    | 'client'
    | 'contact'
    | 'organization'
    | 'identity_provider'
    | 'access_key'
    | 'operator_token'
    | 'signing_key'
    | 'deleted_contact'
    | 'root_key'
    | 'token'
    | 'webhook'
    | 'policy'
    | 'deployment'
    | 'configuration'
    | 'address';
  target: string;
  /** The organization of something that was deleted. Otherwise it is found by the target. */
  organizationId?: string | undefined;
  /** State before and after the action, as JSON values. */
  before?: Record<string, unknown>;
  after?: Record<string, unknown>;
};

/**
 * Appends an event in the change's own transaction, so that both are committed or neither is. It is written last, just
 * before the commit. The event must not contain a secret.
 */
export async function appendAuditEvent(transaction: Transaction, event: AuditEvent): Promise<void> {
  pendingEventsOf(transaction).push(event);
}

/** Adds members to the state after each event of a transaction so far. */
export function nameInEvents(transaction: Transaction, members: Record<string, unknown>): void {
  for (const event of pendingEventsOf(transaction)) event.after = { ...event.after, ...members };
}

/** Number of rows in one statement. */
const batchSize = 500;

const pending = new WeakMap<Transaction, AuditEvent[]>();

/**
 * Commits a change together with its audit events, then waits until this process has dropped the cached data that it
 * affects, so that the next read returns the change. With Redis it also waits for other processes (announcements.ts).
 */
export type CommitChange = <T>(work: (transaction: Transaction) => Promise<T>) => Promise<T>;

/** Does further work for the events of a transaction, before they are written. */
type AddNotices = (transaction: Transaction, events: readonly AuditEvent[]) => Promise<void>;

/** @param addNotices stores the notices about these events, in the transaction of the change. */
export function createCommitChange(
  { database, keyRing, feed, log }: { database: Database; keyRing: KeyRing; feed: ChangeFeed; log: Log },
  addNotices: AddNotices,
): CommitChange {
  return async (work) => {
    let changes: readonly CommittedChange[] = [];
    const result = await auditedTransaction(
      database,
      keyRing,
      async (transaction) => {
        const done = await work(transaction);
        changes = changesOf(transaction);
        return done;
      },
      addNotices,
    );
    // The change is already committed, so failures are only logged. Other processes also learn of it from the
    // database.
    await Promise.all([
      feed.committed(changes),
      feed.sync().catch((error: Error) => log.warn({ error: error.message }, 'failed to read changes after a commit')),
    ]);
    return result;
  };
}

/** Runs the work of changes and rolls it back, to find out whether it would succeed. */
export function createRehearsal({ database, keyRing }: { database: Database; keyRing: KeyRing }): CommitChange {
  return async <T>(work: (transaction: Transaction) => Promise<T>): Promise<T> => {
    const rollback = new Error('rolled back after a rehearsal');
    let result: { done: T } | undefined;
    try {
      await auditedTransaction(database, keyRing, async (transaction) => {
        result = { done: await work(transaction) };
        throw rollback;
      });
    } catch (error) {
      if (error !== rollback) throw error;
    }
    return (result as { done: T }).done;
  };
}

/**
 * Runs a transaction whose audit events are chained and written at its end, under the lock of the anchor. Writers
 * therefore wait for each other only during that time, and a transaction that holds the anchor waits for no other lock.
 */
export async function auditedTransaction<T>(
  database: Database,
  keyRing: KeyRing,
  work: (transaction: Transaction) => Promise<T>,
  addNotices?: AddNotices,
): Promise<T> {
  return await database.transaction(async (transaction) => {
    const events: AuditEvent[] = [];
    pending.set(transaction, events);
    const result = await work(transaction);
    pending.delete(transaction);
    if (events.length === 0) return result;
    // The chain is the same for all organizations.
    await leaveOrganization(transaction);
    await addNotices?.(transaction, events);
    await append(transaction, keyRing, events);
    return result;
  });
}

/**
 * Returns the events of a transaction so far. @throws outside an audited transaction or after its work, because they
 * would be lost.
 */
function pendingEventsOf(transaction: Transaction): AuditEvent[] {
  const events = pending.get(transaction);
  if (!events) throw new Error('audit events can be appended in an audited transaction only');
  return events;
}

async function append(transaction: Transaction, ring: KeyRing, events: readonly AuditEvent[]): Promise<void> {
  const [anchor] = await transaction.query<AuditAnchor>('SELECT * FROM audit_anchor FOR UPDATE');
  if (!anchor) throw new Error('the anchor of the audit log is missing');
  const version = await chooseVersion(transaction, ring, anchor);
  const key = auditKeys(ring).get(version) as Uint8Array;
  // A log that was tampered with accepts further events, so that operators can act, but is never sealed again:
  // verification keeps failing.
  const isWhole = anchor.seq === 0 ? await mayBeEmpty(transaction, createdBy(events)) : isSealed(ring, anchor);
  const organizationOf = await findEventOrganizations(transaction, events);
  let { seq, mac } = anchor;
  for (let start = 0; start < events.length; start += batchSize) {
    const rows: object[] = [];
    for (const event of events.slice(start, start + batchSize)) {
      seq += 1;
      const chained = toChained(event, seq, organizationOf(event));
      mac = macOfEvent(key, textOfEvent(mac, chained));
      rows.push({ ...chained, key_version: version, mac: `\\x${hex(mac)}` });
    }
    await transaction.query(
      `INSERT INTO audit_events (seq, at, actor, actor_name, address, action, target_type, target, before, after, organization,
         personal, actor_salt, subject_salt, key_version, mac)
       SELECT seq, at, actor, actor_name, address, action, target_type, target, before, after, organization, personal,
         actor_salt, subject_salt, key_version, mac
       FROM jsonb_populate_recordset(NULL::audit_events, $1::jsonb)`,
      [JSON.stringify(rows)],
    );
  }
  await transaction.query('UPDATE audit_anchor SET seq = $1, mac = $2, key_version = $3, seal = $4', [
    seq,
    mac,
    version,
    isWhole ? macOfAnchor(ring, version, { seq, mac }) : '',
  ]);
}

/** Returns the targets of the events that record a creation. */
function createdBy(events: readonly AuditEvent[]): string[] {
  return events.flatMap(({ action, target }) => (action.endsWith('.create') ? [target] : []));
}

/**
 * Chooses the version of the root key for the next events. Versions only increase along the chain: after the log has
 * left a version, nothing can be added under it, so a replaced key that leaks cannot be used to write a later part of
 * the log. While servers are restarted with a new key one after the other, those that have the old key first also write
 * under the new one.
 */
async function chooseVersion(transaction: Transaction, ring: KeyRing, anchor: AuditAnchor): Promise<string> {
  const { current, versions } = ring;
  if (anchor.seq === 0 || anchor.key_version === current) return current;
  if (!versions.includes(anchor.key_version)) {
    throw new Error(
      `The end of the audit log was sealed with root key version ${anchor.key_version}, which is not in KEYTURN_ROOT_KEY. Add it after the first version.`,
    );
  }
  const [row] = await transaction.query<{ was_left: boolean }>(
    `SELECT EXISTS (SELECT FROM audit_events WHERE key_version = $1)
       OR EXISTS (SELECT FROM audit_archives WHERE $1 = ANY (key_versions)) AS was_left`,
    [current],
  );
  // Everything created under a version leaves an event under it. If that event is missing, an earlier key was used to
  // replace the log.
  const isNew = !row?.was_left && !(await isVersionInUse(transaction, current));
  return isNew ? current : anchor.key_version;
}

/**
 * Converts an event to its stored form through JSON, so that the MAC covers exactly what is stored, including dates and
 * absent members.
 */
function toChained(event: AuditEvent, seq: number, organization: string | null): ProtectedEvent {
  const { at, actor, action, targetType, target, before, after } = event;
  const chained = {
    seq,
    at,
    actor: actor.id,
    actor_name: actor.name,
    address: actor.address,
    action,
    target_type: targetType,
    target,
    before: before ? JSON.parse(JSON.stringify(before)) : null,
    after: after ? JSON.parse(JSON.stringify(after)) : null,
    organization,
  };
  return { ...chained, ...protectPersonalValues(chained) };
}
