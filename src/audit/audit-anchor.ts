import type { KeyRing } from '../credentials/key-ring.ts';
import type { Queryable, Row } from '../storage/database.ts';
import { isSameMac, macOfAnchor } from './audit-chain.ts';

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
 */
export async function mayBeEmpty(database: Queryable): Promise<boolean> {
  const [row] = await database.query<{ created: boolean }>(
    `SELECT EXISTS (SELECT FROM clients WHERE revision > 1 OR ${isEarlier}) OR EXISTS (SELECT FROM contacts WHERE revision > 1 OR ${isEarlier})
       AS created`,
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
       OR EXISTS (SELECT FROM audit_checkpoints WHERE key_version = $1) AS used`,
    [version],
  );
  return row?.used === true;
}

const isEarlier = 'pg_current_xact_id_if_assigned()::xid IS DISTINCT FROM xmin';
