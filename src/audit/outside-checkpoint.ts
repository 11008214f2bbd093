import type { KeyRing } from '../credentials/key-ring.ts';
import { UsageError } from '../errors.ts';
import type { Queryable } from '../storage/database.ts';
import { type AuditAnchor, isSealed, mayBeEmpty } from './audit-anchor.ts';

/**
 * Parses a checkpoint in the form `42:9f86…`: the number and the HMAC of the last event.
 * @throws {UsageError} if it has another form.
 */
export function readCheckpoint(text: string): { seq: number; mac: Buffer } {
  const [, seq, mac = ''] = /^(\d{1,15}):([0-9a-f]{64}|)$/.exec(text) ?? [];
  if (seq === undefined || (mac === '' && seq !== '0')) {
    throw new UsageError(
      'A checkpoint is a number, a colon and 64 hexadecimal digits, as `keyturn audit checkpoint` prints it.',
    );
  }
  return { seq: Number(seq), mac: Buffer.from(mac, 'hex') };
}

export function writeCheckpoint({ seq, mac }: { seq: number; mac: Uint8Array }): string {
  return `${seq}:${Buffer.from(mac).toString('hex')}`;
}

/** Returns the end of the log as a checkpoint, or undefined if its anchor is missing or was tampered with. */
export async function currentCheckpoint(database: Queryable, ring: KeyRing): Promise<string | undefined> {
  const [anchor] = await database.query<AuditAnchor>('SELECT * FROM audit_anchor');
  if (!anchor) return undefined;
  const isWhole = anchor.seq === 0 ? await mayBeEmpty(database) : isSealed(ring, anchor);
  return isWhole ? writeCheckpoint(anchor) : undefined;
}
