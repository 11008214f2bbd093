import { createHash, randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { type FileHandle, link, open, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { KeyRing } from '../credentials/key-ring.ts';
import { isSameMac } from '../credentials/signed-value.ts';
import { Conflict, Forbidden, UsageError } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import type { Database, Queryable, Transaction } from '../storage/database.ts';
import { checkArchiveFile } from './archive-file.ts';
import { type AuditArchive, baseOf, findArchives, lastLineOf, sealArchive } from './audit-archive.ts';
import { hex } from './audit-chain.ts';
import { saveCheckpoint } from './audit-checkpoint.ts';
import { type Actor, appendAuditEvent, type CommitChange } from './audit-log.ts';
import { eventColumns, lineOf, type StoredEvent } from './stream-records.ts';
import { forgetStreams, requireDelivered } from './stream-store.ts';
import { checkAuditLog } from './verify-audit-log.ts';

type Deps = { database: Database; keyRing: KeyRing; clock: Clock; change: CommitChange };

export type ArchiveRequest = {
  /** Events before this time are archived. */
  before: Date;
  /** A directory, or a file that does not exist. */
  to: string;
  /** The receivers in this process's configuration. */
  streams: readonly string[];
  /** Receivers that are not used any more. Their positions are deleted. */
  forget: readonly string[];
  onProgress?: ((done: number, total: number) => void) | undefined;
};

/** Days whose events are never archived. Keyturn reads them to say who used something, and who may approve. */
const keptDays = 30;
const dayMs = 86_400_000;
const pageSize = 1_000;
/** Number of rows that one statement deletes, so that it ends before the time limit of statements. */
const deletedAtOnce = 10_000;
/** Arbitrary number of the advisory lock with which only one command archives at a time. */
const advisoryLock = 0x61_72_63_68;

/**
 * Writes the oldest events to a file, verifies what the file has, and deletes them in one transaction with the record of
 * the archive. If anything fails, nothing is deleted.
 * @returns the archive, and the path of its file.
 */
export async function archiveAuditLog(
  deps: Deps,
  actor: Actor,
  request: ArchiveRequest,
): Promise<{ archive: AuditArchive; path: string }> {
  const { database, keyRing, clock, change } = deps;
  const { before, to, streams, forget, onProgress } = request;
  if (before.getTime() > clock() - keptDays * dayMs) {
    throw new UsageError(`The time must be at least ${keptDays} days ago, because Keyturn reads later events.`);
  }
  const unknown = forget.find((name) => streams.includes(name));
  if (unknown) throw new UsageError(`The receiver ${unknown} is in KEYTURN_AUDIT_STREAMS. Remove it there first.`);
  await requirePrivilege(database);
  const range = await findRange(database, before);
  await requireDelivered(database, { until: range.last, streams, forget });

  const log = await checkAuditLog(database, keyRing, { split: range.last, onProgress });
  const { archives, state, finding } = log;
  const salts = await countSalts(database, range.last);
  const base = baseOf(archives);
  if (finding || !state.digests) {
    const what = finding ? `event ${finding.seq}, ${finding.problem}` : 'run `keyturn audit verify`';
    throw new Conflict('audit_log_changed', `The audit log was changed: ${what}. Nothing was archived.`);
  }
  const path = pathOf(to, base.seq + 1, range.last);
  const { archive, existed } = await writeArchive(database, keyRing, path, {
    first_seq: base.seq + 1,
    last_seq: range.last,
    previous_mac: base.mac,
    file: basename(path),
    archived_at: new Date(clock()),
    archived_by: actor.name,
  });
  const checked = await checkArchiveFile(keyRing, path, archive);
  if (checked.finding && existed) throw new UsageError(`${path} exists, with other content. Choose another file.`);
  if (checked.finding || !isSameMac(state.digests.until, checked.textDigest)) {
    throw new Conflict('archive_changed', `${path} does not have the events of the audit log. Nothing was deleted.`);
  }

  const { digests, last } = state;
  await change(async (transaction) => {
    await requireFirst(transaction, base.seq);
    await forgetStreams(transaction, forget);
    await requireDelivered(transaction, { until: archive.last_seq, streams, forget });
    await insertArchive(transaction, archive);
    if (last.version === keyRing.current) {
      // The events after the archive stay verified, also those whose root key is not configured any more.
      const checkpoint = { seq: last.seq, mac: last.mac, digest: digests.after, base: archive.last_seq };
      await saveCheckpoint(transaction, keyRing, checkpoint, [...archives, archive]);
    }
    // The deleted rows say it, because values can be erased until the rows are locked.
    if ((await deleteEvents(transaction, archive)) !== salts) {
      const message = `Personal values of the events were erased meanwhile. Delete ${path} and try again. Nothing was deleted.`;
      throw new Conflict('erased_meanwhile', message);
    }
    await appendAuditEvent(transaction, {
      at: archive.archived_at,
      actor,
      action: 'audit.archive',
      targetType: 'deployment',
      target: 'all',
      after: {
        first_event: archive.first_seq,
        last_event: archive.last_seq,
        file: archive.file,
        sha256: hex(archive.digest),
        ...(forget.length > 0 ? { forgotten_streams: forget } : {}),
      },
    });
  });
  return { archive, path };
}

async function requirePrivilege(database: Queryable): Promise<void> {
  const [row] = await database.query<{ name: string; may: boolean }>(
    `SELECT current_user::text AS name, has_table_privilege('audit_events', 'DELETE') AS may`,
  );
  if (row?.may) return;
  throw new Forbidden(
    `The database user ${row?.name} must not delete audit events. Set DATABASE_URL to the user that owns the tables, as for \`keyturn migrate\`.`,
  );
}

/** Finds the events to archive: all from the first one, up to the one before the first that is not old enough. */
async function findRange(database: Queryable, before: Date): Promise<{ last: number }> {
  const [row] = await database.query<{ oldest: number | null; newest: number | null; kept: number | null }>(
    `SELECT min(seq) AS oldest, max(seq) AS newest, min(seq) FILTER (WHERE at >= $1) AS kept FROM audit_events`,
    [before],
  );
  const { oldest, newest, kept } = row ?? {};
  if (oldest === null || oldest === undefined || kept === oldest) {
    throw new Conflict('nothing_to_archive', `There are no events before ${before.toISOString()}.`);
  }
  if (kept === null || kept === undefined) {
    throw new Conflict(
      'newest_event',
      `All events are before ${before.toISOString()}. The newest one, ${newest}, must stay. Choose an earlier time.`,
    );
  }
  return { last: kept - 1 };
}

/** Counts the salts of events. An erasure removes some. */
async function countSalts(database: Queryable, last: number): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    'SELECT count(actor_salt) + count(subject_salt) AS count FROM audit_events WHERE seq <= $1',
    [last],
  );
  return row?.count ?? 0;
}

/** Returns the path of the file, with a name that says which events it has if a directory is given. */
function pathOf(to: string, first: number, last: number): string {
  const isDirectory = statSync(to, { throwIfNoEntry: false })?.isDirectory();
  const digits = (seq: number) => String(seq).padStart(12, '0');
  return isDirectory ? join(to, `keyturn-audit-${digits(first)}-${digits(last)}.jsonl`) : to;
}

type Described = Pick<AuditArchive, 'first_seq' | 'last_seq' | 'previous_mac' | 'file' | 'archived_at' | 'archived_by'>;

/**
 * Writes the file of an archive so that it is complete on the disk when its name exists. Never replaces a file: if it
 * exists, it may be the one that an interrupted command has written.
 */
async function writeArchive(
  database: Queryable,
  ring: KeyRing,
  path: string,
  described: Described,
): Promise<{ archive: AuditArchive; existed: boolean }> {
  const part = `${path}.${randomUUID()}.part`;
  try {
    const file = await open(part, 'wx', 0o600);
    const archive = await writeEvents(database, ring, file, described)
      .then(async (written) => {
        await file.sync();
        return written;
      })
      .finally(() => file.close());
    const existed = await link(part, path).then(
      () => false,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') return true;
        throw error;
      },
    );
    await syncFile(path);
    await syncFile(dirname(path));
    return { archive, existed };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new UsageError(`The archive cannot be written: ${(error as Error).message}.`);
  } finally {
    await rm(part, { force: true });
  }
}

async function writeEvents(
  database: Queryable,
  ring: KeyRing,
  file: FileHandle,
  described: Described,
): Promise<AuditArchive> {
  const digest = createHash('sha256');
  const versions = new Set<string>();
  let [first, last, rotated]: (StoredEvent | undefined)[] = [];
  let seq = described.first_seq - 1;
  while (seq < described.last_seq) {
    const events = await database.query<StoredEvent>(
      `SELECT ${eventColumns} FROM audit_events WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT ${pageSize}`,
      [seq, described.last_seq],
    );
    if (events.length === 0) throw new Conflict('archived_meanwhile', archivedMeanwhile);
    const lines = events.map((event) => `${lineOf(event)}\n`).join('');
    digest.update(lines);
    await file.writeFile(lines);
    for (const event of events) versions.add(event.key_version);
    first ??= events[0];
    last = events.at(-1) as StoredEvent;
    rotated = events.findLast(({ action }) => action === 'root_key.rotate') ?? rotated;
    seq = last.seq;
  }
  const { at } = first as StoredEvent;
  const { mac } = last as StoredEvent;
  const archive = sealArchive(ring, {
    ...described,
    first_at: at,
    mac,
    digest: digest.digest(),
    key_versions: [...versions],
    root_key_rotated_at: rotated?.at ?? null,
  });
  await file.writeFile(lastLineOf(archive));
  return archive;
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  await file.sync().finally(() => file.close());
}

const archivedMeanwhile = 'Another command archives or has archived these events. Nothing was deleted.';

/** Lets one transaction archive at a time. @throws {Conflict} if another one does, or has done so since. */
async function requireFirst(transaction: Transaction, base: number): Promise<void> {
  const [lock] = await transaction.query<{ taken: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS taken', [
    advisoryLock,
  ]);
  // Another statement, so that it sees what the last holder of the lock has committed.
  const archives = lock?.taken ? await findArchives(transaction) : undefined;
  if (!archives || baseOf(archives).seq !== base) throw new Conflict('archived_meanwhile', archivedMeanwhile);
}

async function insertArchive(transaction: Transaction, archive: AuditArchive): Promise<void> {
  const { first_seq, last_seq, first_at, previous_mac, mac, digest, key_versions } = archive;
  const { root_key_rotated_at, file, archived_at, archived_by, key_version, file_seal, seal } = archive;
  await transaction.query(
    `INSERT INTO audit_archives (first_seq, last_seq, first_at, previous_mac, mac, digest, key_versions, root_key_rotated_at,
       file, archived_at, archived_by, key_version, file_seal, seal)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    [
      ...[first_seq, last_seq, first_at, previous_mac, mac, digest, key_versions, root_key_rotated_at],
      ...[file, archived_at, archived_by, key_version, file_seal, seal],
    ],
  );
}

/** Deletes the events of an archive. Returns how many keys of their personal values they had. */
async function deleteEvents(transaction: Transaction, { first_seq, last_seq }: AuditArchive): Promise<number> {
  let deleted = 0;
  let salts = 0;
  for (let seq = first_seq; seq <= last_seq; seq += deletedAtOnce) {
    const [row] = await transaction.query<{ count: number; salts: number }>(
      `WITH deleted AS (DELETE FROM audit_events WHERE seq >= $1 AND seq <= $2 RETURNING actor_salt, subject_salt)
       SELECT count(*) AS count, count(actor_salt) + count(subject_salt) AS salts FROM deleted`,
      [seq, Math.min(seq + deletedAtOnce - 1, last_seq)],
    );
    deleted += row?.count ?? 0;
    salts += row?.salts ?? 0;
  }
  if (deleted !== last_seq - first_seq + 1) throw new Conflict('archived_meanwhile', archivedMeanwhile);
  return salts;
}
