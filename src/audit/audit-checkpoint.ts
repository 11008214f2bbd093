import type { KeyRing } from '../credentials/key-ring.ts';
import { isSameMac } from '../credentials/signed-value.ts';
import { UsageError } from '../errors.ts';
import type { Log } from '../observability/log.ts';
import type { Queryable, Row } from '../storage/database.ts';
import { type AuditArchive, digestOfArchives } from './audit-archive.ts';
import { type AuditAnchor, hex, isSealed, macOfCheckpoint, mayBeEmpty } from './audit-chain.ts';

/** Position up to which the whole audit log was verified. */
export type AuditCheckpoint = {
  seq: number;
  mac: Uint8Array;
  /** SHA-256 of the texts of the events after `base`. */
  digest: Uint8Array;
  /** The last event that was archived at that time; 0 if there was none. */
  base: number;
};

/**
 * Returns the last checkpoint that the current root key has sealed, or undefined.
 * @param base considers only checkpoints whose digest begins after this event.
 */
export async function findCheckpoint(
  database: Queryable,
  ring: KeyRing,
  archives: readonly AuditArchive[],
  base?: number,
): Promise<AuditCheckpoint | undefined> {
  // A checkpoint that an earlier root key has sealed proves nothing, because replaced keys may have leaked.
  const [row] = await database.query<Row & AuditCheckpoint & { seal: Uint8Array }>(
    `SELECT seq, mac, digest, base, seal FROM audit_checkpoints WHERE key_version = $1 AND base = coalesce($2, base)
     ORDER BY seq DESC, base DESC LIMIT 1`,
    [ring.current, base ?? null],
  );
  if (!row) return undefined;
  const seal = macOfCheckpoint(ring, ring.current, row, digestOfArchives(archives, row.base));
  return isSameMac(seal, row.seal) ? row : undefined;
}

/** @param archives all archives, up to `base` at least. */
export async function saveCheckpoint(
  database: Queryable,
  ring: KeyRing,
  checkpoint: AuditCheckpoint,
  archives: readonly AuditArchive[],
): Promise<void> {
  const { seq, mac, digest, base } = checkpoint;
  const seal = macOfCheckpoint(ring, ring.current, checkpoint, digestOfArchives(archives, base));
  await database.query(
    `INSERT INTO audit_checkpoints (seq, mac, digest, base, key_version, seal) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT DO NOTHING`,
    [seq, mac, digest, base, ring.current, seal],
  );
}

/**
 * Parses a checkpoint in the form `42:9f86…`: the number and the HMAC of the last event.
 * @throws {UsageError} if it has another form.
 */
export function readCheckpoint(text: string): { seq: number; mac: Buffer } {
  const [, seq, mac = ''] = /^(\d{1,15}):([0-9a-f]{64}|)$/.exec(text) ?? [];
  if (seq === undefined || (mac === '' && seq !== '0')) {
    throw new UsageError(
      'The checkpoint must be a number, a colon and 64 hexadecimal digits, as `keyturn audit checkpoint` prints it.',
    );
  }
  return { seq: Number(seq), mac: Buffer.from(mac, 'hex') };
}

export function writeCheckpoint({ seq, mac }: { seq: number; mac: Uint8Array }): string {
  return `${seq}:${hex(mac)}`;
}

/** Returns the end of the log as a checkpoint, or undefined if its anchor is missing or was tampered with. */
export async function currentCheckpoint(database: Queryable, ring: KeyRing): Promise<string | undefined> {
  const [anchor] = await database.query<AuditAnchor>('SELECT * FROM audit_anchor');
  if (!anchor) return undefined;
  const isWhole = anchor.seq === 0 ? await mayBeEmpty(database) : isSealed(ring, anchor);
  return isWhole ? writeCheckpoint(anchor) : undefined;
}

const everyMs = 3_600_000;

/**
 * Writes a checkpoint of the audit log to the server's own log, at once and then every hour if there are new events.
 * Logs are usually collected outside the database, where a user of the database cannot change them.
 * @returns a function that stops it.
 */
export function logCheckpoints(database: Queryable, ring: KeyRing, log: Log): () => void {
  let last: string | undefined;
  const write = async () => {
    const checkpoint = await currentCheckpoint(database, ring);
    if (checkpoint === undefined) {
      log.error('audit log was changed: its recorded end is wrong; run `keyturn audit verify`');
    } else if (checkpoint !== last) log.info({ checkpoint }, 'audit checkpoint');
    last = checkpoint;
  };
  // Errors are not logged if the database does not respond: the next hour's checkpoint covers this one.
  const tick = () => void write().catch(() => undefined);
  tick();
  const timer = setInterval(tick, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
