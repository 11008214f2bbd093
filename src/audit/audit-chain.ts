import { createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyRing } from '../credentials/key-ring.ts';

/** A row of the audit log as its HMAC covers it. The names are those of the columns. */
export type ChainedEvent = {
  seq: number;
  at: Date;
  actor: string;
  actor_name: string;
  address: string | null;
  action: string;
  target_type: string;
  target: string;
  before: unknown;
  after: unknown;
};

/** Returns the text that the HMAC of a row is computed over: all of the row, its place, and the HMAC of the row before it. */
export function textOfEvent(previousMac: Uint8Array, event: ChainedEvent): string {
  return JSON.stringify([
    'event',
    Buffer.from(previousMac).toString('hex'),
    event.seq,
    event.at.toISOString(),
    event.actor,
    event.actor_name,
    event.address,
    event.action,
    event.target_type,
    event.target,
    canonical(event.before),
    canonical(event.after),
  ]);
}

/** Returns the HMAC of a row, or undefined if the version is not in the ring. @param text from {@link textOfEvent}. */
export function macOfEvent(ring: KeyRing, version: string, text: string): Buffer | undefined {
  return mac(ring, version, text);
}

/** Returns the HMAC of the anchor. Without it, somebody who cut rows off could put the anchor back to an earlier row. */
export function macOfAnchor(
  ring: KeyRing,
  version: string,
  anchor: { seq: number; mac: Uint8Array },
): Buffer | undefined {
  return mac(ring, version, JSON.stringify(['anchor', anchor.seq, Buffer.from(anchor.mac).toString('hex')]));
}

/** Returns the HMAC of a checkpoint. */
export function macOfCheckpoint(
  ring: KeyRing,
  version: string,
  { seq, mac: last, digest }: { seq: number; mac: Uint8Array; digest: Uint8Array },
): Buffer | undefined {
  const parts = ['checkpoint', seq, Buffer.from(last).toString('hex'), Buffer.from(digest).toString('hex')];
  return mac(ring, version, JSON.stringify(parts));
}

export function isSameMac(expected: Uint8Array | undefined, actual: Uint8Array): boolean {
  return expected !== undefined && expected.length === actual.length && timingSafeEqual(expected, actual);
}

function mac(ring: KeyRing, version: string, text: string): Buffer | undefined {
  const key = ring.key('audit-chain', version);
  return key && createHmac('sha256', key).update(text).digest();
}

/** Sorts the members of objects, because the database does not keep their order. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object') return value ?? null;
  const members = Object.entries(value).map(([name, member]) => [name, canonical(member)] as const);
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
}
