import { createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyRing } from '../credentials/key-ring.ts';

/** A row of the log as its HMAC covers it; names are those of the columns. */
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

/** The HMAC of a row: over all of it, its place, and the HMAC of the row before. Undefined: that version is not in the ring. */
export function macOfEvent(
  ring: KeyRing,
  version: string,
  previousMac: Uint8Array,
  event: ChainedEvent,
): Buffer | undefined {
  return mac(ring, version, [
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

/** The HMAC of the anchor: without it, whoever cut rows off could put the anchor back to a row that was the last one once. */
export function macOfAnchor(
  ring: KeyRing,
  version: string,
  anchor: { seq: number; mac: Uint8Array },
): Buffer | undefined {
  return mac(ring, version, ['anchor', anchor.seq, Buffer.from(anchor.mac).toString('hex')]);
}

export function isSameMac(expected: Uint8Array | undefined, actual: Uint8Array): boolean {
  return expected !== undefined && expected.length === actual.length && timingSafeEqual(expected, actual);
}

function mac(ring: KeyRing, version: string, parts: readonly unknown[]): Buffer | undefined {
  const key = ring.key('audit-chain', version);
  return key && createHmac('sha256', key).update(JSON.stringify(parts)).digest();
}

/** The order of members is not kept by the database, and is none of what is said. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object') return value ?? null;
  const members = Object.entries(value).map(([name, member]) => [name, canonical(member)] as const);
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
}
