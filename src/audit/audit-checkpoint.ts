import type { KeyRing } from '../credentials/key-ring.ts';
import type { Queryable, Row } from '../storage/database.ts';
import { isSameMac, macOfCheckpoint } from './audit-chain.ts';

/** Position up to which the whole audit log was verified. */
export type AuditCheckpoint = { seq: number; mac: Uint8Array; digest: Uint8Array };

/** Returns the last checkpoint that the current root key has sealed, or undefined. */
export async function findCheckpoint(database: Queryable, ring: KeyRing): Promise<AuditCheckpoint | undefined> {
  // A checkpoint that an earlier root key has sealed proves nothing, because replaced keys may have leaked.
  const [row] = await database.query<Row & AuditCheckpoint & { seal: Uint8Array }>(
    'SELECT seq, mac, digest, seal FROM audit_checkpoints WHERE key_version = $1 ORDER BY seq DESC LIMIT 1',
    [ring.current],
  );
  return row && isSameMac(macOfCheckpoint(ring, ring.current, row), row.seal) ? row : undefined;
}

export async function saveCheckpoint(database: Queryable, ring: KeyRing, checkpoint: AuditCheckpoint): Promise<void> {
  await database.query(
    'INSERT INTO audit_checkpoints (seq, mac, digest, key_version, seal) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING',
    [checkpoint.seq, checkpoint.mac, checkpoint.digest, ring.current, macOfCheckpoint(ring, ring.current, checkpoint)],
  );
}
