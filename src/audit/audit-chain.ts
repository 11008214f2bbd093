import type { KeyRing } from '../credentials/key-ring.ts';
import { isSameMac } from '../credentials/signed-value.ts';
import { hmacOfKey } from '../credentials/verifier.ts';
import type { Queryable, Row } from '../storage/database.ts';
import { canonical } from './canonical-json.ts';
import {
  type EventValues,
  type PersonalColumns,
  type PersonalDigests,
  personalPaths,
  splitPath,
} from './personal-values.ts';

/** A row of the audit log as its HMAC covers it. The names are those of the columns. */
export type ChainedEvent = EventValues & {
  seq: number;
  at: Date;
  actor: string;
  /** The organization that it is about. Null for the deployment, and in rows from before organizations existed. */
  organization: string | null;
};

/** A row with the digests of its personal values. */
export type ProtectedEvent = ChainedEvent & PersonalColumns;

/**
 * Returns the text that the HMAC of a row is computed over: all of the row, its place, and the HMAC of the row before it.
 * Personal values are represented by their digests, except in rows of the first format, which have none.
 * @param previousMac its bytes, or these as hexadecimal digits.
 */
export function textOfEvent(previousMac: Uint8Array | string, event: ProtectedEvent): string {
  const previous = typeof previousMac === 'string' ? previousMac : hex(previousMac);
  // Null for a time that JavaScript cannot represent, which only a changed row can have.
  const at = event.at.toJSON();
  const { seq, actor, actor_name, address, action, target_type, personal, organization } = event;
  const before = canonical(event.before);
  const after = canonical(event.after);
  if (personal) {
    const target = maskValues(event.target, before, after, personal);
    const digests = [personal.actor, personal.actor_paths, personal.subject, personal.subject_paths];
    const about = [action, target_type, target, before, after, organization];
    return JSON.stringify(['event 2', previous, seq, at, actor, about, digests]);
  }
  const row = [
    ...['event', previous, seq, at, actor, actor_name, address, action, target_type, event.target],
    ...[before, after],
  ];
  // Rows without it have the text that they had before the column existed.
  return JSON.stringify(organization === null ? row : [...row, organization]);
}

/** Replaces each personal value of canonical states by null. Returns the target, or null if it is one of them. */
function maskValues(target: string, before: unknown, after: unknown, personal: PersonalDigests): string | null {
  let isMasked = false;
  for (const path of personalPaths(personal)) {
    if (path === 'target') isMasked = true;
    else {
      const [name, member] = splitPath(path);
      const state = name === 'before' ? before : after;
      if (typeof state === 'object' && state) Object.assign(state, { [member]: null });
    }
  }
  return isMasked ? null : target;
}

/** Returns the keys of the chain by version of the root key. */
export function auditKeys(ring: KeyRing): Map<string, Uint8Array> {
  return new Map(ring.versions.map((version) => [version, ring.key('audit-chain', version) as Buffer]));
}

/** Returns the HMAC of a row. @param text from {@link textOfEvent}. */
export function macOfEvent(key: Uint8Array, text: string): Buffer {
  return hmacOfKey(key)(text);
}

/** Returns the HMAC of the anchor. Without it, somebody who cut rows off could put the anchor back to an earlier row. */
export function macOfAnchor(
  ring: KeyRing,
  version: string,
  anchor: { seq: number; mac: Uint8Array },
): Buffer | undefined {
  return mac(ring, version, JSON.stringify(['anchor', anchor.seq, hex(anchor.mac)]));
}

/**
 * Returns the HMAC of a checkpoint.
 * @param archives SHA-256 of the archives up to `base`, which the checkpoint vouches for.
 */
export function macOfCheckpoint(
  ring: KeyRing,
  version: string,
  { seq, mac: last, digest, base }: { seq: number; mac: Uint8Array; digest: Uint8Array; base: number },
  archives: Uint8Array,
): Buffer | undefined {
  const parts = ['checkpoint', seq, hex(last), hex(digest)];
  // Checkpoints of a log without archives have the HMAC that they had before archives existed.
  return mac(ring, version, JSON.stringify(base === 0 ? parts : [...parts, base, hex(archives)]));
}

function mac(ring: KeyRing, version: string, text: string): Buffer | undefined {
  const key = ring.key('audit-chain', version);
  return key && macOfEvent(key, text);
}

/** Recorded end of the audit log. It is stored outside the log, so that a removal of its last rows is detected. */
export type AuditAnchor = Row & { seq: number; mac: Uint8Array; key_version: string; seal: Uint8Array };

/** Returns whether the seal of the anchor is valid. Always false for an empty log. */
export function isSealed(ring: KeyRing, anchor: AuditAnchor): boolean {
  return anchor.seq > 0 && isSameMac(macOfAnchor(ring, anchor.key_version, anchor), anchor.seal);
}

/**
 * Returns whether the log may be empty, because nothing exists whose creation would have left an event. A log that was
 * wiped together with its anchor is therefore not mistaken for a new one. Rows that the current transaction has created
 * do not count.
 * @param created the targets of events with which the current transaction has created something, which it may have
 * changed since.
 */
export async function mayBeEmpty(database: Queryable, created: readonly string[] = []): Promise<boolean> {
  const [row] = await database.query<{ created: boolean }>(
    `SELECT EXISTS (SELECT FROM clients WHERE (revision > 1 AND client_id <> ALL ($1::text[])) OR ${isEarlier})
       OR EXISTS (SELECT FROM contacts WHERE (revision > 1 AND id::text <> ALL ($1::text[])) OR ${isEarlier}) AS created`,
    [created],
  );
  return row?.created === false;
}

/**
 * Returns whether anything is stored under this version of the root key. Rows of the current transaction do not count.
 */
export async function isVersionInUse(database: Queryable, version: string): Promise<boolean> {
  const [row] = await database.query<{ used: boolean }>(
    `SELECT EXISTS (SELECT FROM secrets WHERE key_version = $1 AND ${isEarlier})
       OR EXISTS (SELECT FROM operator_tokens WHERE key_version = $1 AND ${isEarlier})
       OR EXISTS (SELECT FROM bounded_tokens WHERE key_version = $1 AND ${isEarlier})
       OR EXISTS (SELECT FROM audit_checkpoints WHERE key_version = $1) AS used`,
    [version],
  );
  return row?.used === true;
}

const isEarlier = 'pg_current_xact_id_if_assigned()::xid IS DISTINCT FROM xmin';

/** Returns bytes as hexadecimal digits. */
export function hex({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('hex');
}
