import type { KeyRing } from '../credentials/key-ring.ts';
import type { Database, Transaction } from '../storage/database.ts';
import { macOfAnchor, macOfEvent } from './audit-chain.ts';
import type { AuditEvent } from './audit-log.ts';

const pending = new WeakMap<Transaction, AuditEvent[]>();

/**
 * A transaction whose audit events are chained and written at its end, under the lock of the anchor: so writers wait for each other
 * for that moment alone, and whoever holds the anchor waits for nobody.
 */
export async function auditedTransaction<T>(
  database: Database,
  keyRing: KeyRing,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  return await database.transaction(async (transaction) => {
    const events: AuditEvent[] = [];
    pending.set(transaction, events);
    const result = await work(transaction);
    pending.delete(transaction);
    if (events.length > 0) await append(transaction, keyRing, events);
    return result;
  });
}

/** The events of a transaction so far. @throws where they would be lost: outside of an audited transaction, or after its work. */
export function pendingEventsOf(transaction: Transaction): AuditEvent[] {
  const events = pending.get(transaction);
  if (!events) throw new Error('audit events can be appended in an audited transaction only');
  return events;
}

async function append(transaction: Transaction, ring: KeyRing, events: readonly AuditEvent[]): Promise<void> {
  const [anchor] = await transaction.query<{ seq: number; mac: Uint8Array }>(
    'SELECT seq, mac FROM audit_anchor FOR UPDATE',
  );
  if (!anchor) throw new Error('the anchor of the audit log is missing');
  const version = ring.current;
  let { seq, mac } = anchor;
  for (const event of events) {
    seq += 1;
    mac = await insert(transaction, ring, version, mac, seq, event);
  }
  await transaction.query('UPDATE audit_anchor SET seq = $1, mac = $2, key_version = $3, seal = $4', [
    seq,
    mac,
    version,
    macOfAnchor(ring, version, { seq, mac }),
  ]);
}

async function insert(
  transaction: Transaction,
  ring: KeyRing,
  version: string,
  previousMac: Uint8Array,
  seq: number,
  event: AuditEvent,
): Promise<Uint8Array> {
  const { at, actor, action, targetType, target } = event;
  // As JSON and back: what is stored is what is covered, also where a date or an absent member was handed over.
  const before = event.before ? JSON.stringify(event.before) : null;
  const after = event.after ? JSON.stringify(event.after) : null;
  const mac = macOfEvent(ring, version, previousMac, {
    seq,
    at,
    actor: actor.id,
    actor_name: actor.name,
    address: actor.address,
    action,
    target_type: targetType,
    target,
    before: before && JSON.parse(before),
    after: after && JSON.parse(after),
  }) as Buffer;
  await transaction.query(
    `INSERT INTO audit_events (seq, at, actor, actor_name, address, action, target_type, target, before, after, key_version, mac)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10::jsonb, $11, $12)`,
    [seq, at, actor.id, actor.name, actor.address, action, targetType, target, before, after, version, mac],
  );
  return mac;
}
