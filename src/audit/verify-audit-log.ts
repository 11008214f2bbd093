import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { KeyRing } from '../credentials/key-ring.ts';
import { isSameMac } from '../credentials/signed-value.ts';
import { UsageError } from '../errors.ts';
import type { Queryable } from '../storage/database.ts';
import { type AuditArchive, baseOf, checkArchives, findArchives } from './audit-archive.ts';
import { type AuditAnchor, auditKeys, isSealed, isVersionInUse, mayBeEmpty } from './audit-chain.ts';
import {
  type AuditCheckpoint,
  findCheckpoint,
  readCheckpoint,
  saveCheckpoint,
  writeCheckpoint,
} from './audit-checkpoint.ts';
import { type AuditFinding, type AuditRowsSettings, type AuditRowsState, createRowsCheck } from './audit-rows.ts';
import { type AuditValuesState, createValuesCheck } from './audit-values.ts';

export type AuditVerification = {
  /** Number of the last event that was verified. */
  events: number;
  /** Number of the first event that was verified. */
  from: number;
  /** To be kept outside the database: neither a shortened log nor an older copy of the database has it. */
  checkpoint: string;
  /** The parts before the table, which are in files. */
  archives: AuditArchive[];
  /** Number of verified events whose personal values were erased. */
  erased: number;
  finding: AuditFinding | null;
};

export type VerifyOptions = {
  /** A checkpoint kept outside the database, which the log must still have. */
  checkpoint?: string | undefined;
  /** Verify only events after the last checkpoint that an earlier verification has sealed in the database. */
  recent?: boolean | undefined;
  /** HMACs of archived events by their numbers, from verified files. */
  archivedMacs?: ReadonlyMap<number, Uint8Array> | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
};

const pageSize = 1_000;

/** Rows that are checked in a few milliseconds, less than the start of a thread takes. */
const fewRows = 200;

/**
 * Checks every row after the archived ones, their order, the end of the log, and the records of archives. If all of it is
 * right, seals a checkpoint in the database.
 * @throws {UsageError} if the given checkpoint has the wrong form, or names an archived event whose HMAC is not given.
 */
export async function verifyAuditLog(
  database: Queryable,
  ring: KeyRing,
  { checkpoint, recent = false, archivedMacs, onProgress }: VerifyOptions = {},
): Promise<AuditVerification> {
  const outside = checkpoint === undefined ? undefined : readCheckpoint(checkpoint);
  const {
    archives,
    anchor,
    start,
    state,
    finding: found,
  } = await checkAuditLog(database, ring, { recent, onProgress });
  const end = anchor?.seq ?? 0;
  const base = baseOf(archives);
  const finding = found ?? (outside ? await checkOutside(database, outside, end, archives, archivedMacs) : null);
  const { last, digest, erased } = state;
  if (!finding && !start && end > 0 && last.version === ring.current) {
    await saveCheckpoint(database, ring, { ...last, digest, base: base.seq }, archives);
  }
  const from = (start?.seq ?? base.seq) + 1;
  return { events: last.seq, from, checkpoint: writeCheckpoint(last), archives, erased, finding };
}

type CheckOptions = Pick<VerifyOptions, 'recent' | 'onProgress'> & {
  /** Row at which a further digest ends, and another one begins. */
  split?: number;
};

/** Checks the log in the database, and returns what is known about it then. */
export async function checkAuditLog(
  database: Queryable,
  ring: KeyRing,
  options: CheckOptions,
): Promise<{
  archives: AuditArchive[];
  anchor: AuditAnchor | undefined;
  start: AuditCheckpoint | undefined;
  state: CheckedRows;
  finding: AuditFinding | null;
}> {
  const archives = await findArchives(database);
  const base = baseOf(archives);
  const sealed = await findCheckpoint(database, ring, archives, base.seq);
  const latest = await findCheckpoint(database, ring, archives);
  // One statement, so that all values come from the same snapshot.
  const [anchor] = await database.query<AuditAnchor & { oldest: number | null; newest: number }>(
    `SELECT a.*, (SELECT min(seq) FROM audit_events) AS oldest, (SELECT coalesce(max(seq), 0)::bigint FROM audit_events) AS newest
     FROM audit_anchor a`,
  );
  const end = anchor?.seq ?? 0;
  const start = options.recent && sealed && sealed.seq <= end ? sealed : undefined;
  const settings = { current: ring.current, keys: auditKeys(ring), sealed, base, start, split: options.split };
  const rows = end - (start?.seq ?? base.seq) > fewRows ? checkInThreads(settings) : checkHere(settings);
  try {
    const state = await checkRows(database, rows, end, options);
    const finding =
      checkArchives(ring, archives, sealed ? base.seq : 0) ??
      // Lists would show a row that was inserted in the place of an archived one.
      (anchor?.oldest && anchor.oldest <= base.seq ? { seq: anchor.oldest, problem: 'changed' as const } : null) ??
      state.finding ??
      (await checkEnd(database, ring, anchor, state)) ??
      (latest && latest.seq > end ? { seq: end + 1, problem: 'cut_off' as const } : null) ??
      (state.unexplained === undefined ? null : { seq: state.unexplained, problem: 'erased_without_event' as const });
    // Rows that were archived meanwhile are not missing.
    const isMoved = finding && (await findArchives(database)).length > archives.length;
    return isMoved ? await checkAuditLog(database, ring, options) : { archives, anchor, start, state, finding };
  } finally {
    await rows.close();
  }
}

async function checkRows(
  database: Queryable,
  rows: RowsCheck,
  end: number,
  { onProgress }: CheckOptions,
): Promise<CheckedRows> {
  let state = await rows.check('[]');
  // The next page is read while this one is checked.
  let next = readPage(database, state.last.seq, end);
  while (!state.finding && state.last.seq < end) {
    const page = await next;
    if (page) {
      next = readPage(database, page.last, end);
      next.catch(() => undefined);
      state = await rows.check(page.json);
      onProgress?.(state.last.seq, end);
    } else state = { ...state, finding: { seq: state.last.seq + 1, problem: 'cut_off' } };
  }
  await next;
  return state;
}

type CheckedRows = AuditRowsState & Omit<AuditValuesState, 'changed'>;
type RowsCheck = { check(json: string): Promise<CheckedRows>; close(): Promise<unknown> };

function join(rows: AuditRowsState, { changed, ...values }: AuditValuesState): CheckedRows {
  const { finding } = rows;
  const isChangedFirst = changed !== undefined && (!finding || changed < finding.seq);
  return { ...rows, ...values, finding: isChangedFirst ? { seq: changed, problem: 'changed' } : finding };
}

function checkHere(settings: AuditRowsSettings): RowsCheck {
  const rows = createRowsCheck(settings);
  const values = createValuesCheck();
  return { check: async (json) => join(rows(json), values(json)), close: async () => undefined };
}

/**
 * Checks rows in threads, because the hashing would delay the requests that this process serves. The personal values of a
 * page are checked at the same time as its chain.
 */
function checkInThreads(settings: AuditRowsSettings): RowsCheck {
  const rows = startThread<AuditRowsState>(settings);
  const values = startThread<AuditValuesState>(undefined);
  return {
    check: async (json) => join(...(await Promise.all([rows.check(json), values.check(json)]))),
    close: () => Promise.all([rows.close(), values.close()]),
  };
}

function startThread<State>(workerData: AuditRowsSettings | undefined) {
  const file = import.meta.url.endsWith('.ts') ? './audit-rows-worker.ts' : './audit-rows-worker.js';
  const thread = new Worker(new URL(file, import.meta.url), { workerData });
  return {
    async check(json: string): Promise<State> {
      const answer = once(thread, 'message');
      thread.postMessage(json);
      const [state] = await answer;
      return state as State;
    },
    close: () => thread.terminate(),
  };
}

/** Reads rows as one JSON text, which takes the driver a fraction of the time that columns take. */
async function readPage(
  database: Queryable,
  after: number,
  end: number,
): Promise<{ json: string; last: number } | undefined> {
  const [page] = await database.query<{ json: string | null; last: number }>(
    `SELECT '[' || string_agg(json_build_array(seq, floor(extract(epoch FROM at) * 1000), actor, actor_name, address, action,
         target_type, target, before, after, key_version, encode(mac, 'hex'), organization, personal, actor_salt, subject_salt)::text, ',' ORDER BY seq) || ']' AS json,
       max(seq)::bigint AS last
     FROM (SELECT * FROM audit_events WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3) e`,
    [after, end, pageSize],
  );
  return page && page.json !== null ? { json: page.json, last: page.last } : undefined;
}

async function checkEnd(
  database: Queryable,
  ring: KeyRing,
  anchor: (AuditAnchor & { newest: number }) | undefined,
  { last, versions }: AuditRowsState,
): Promise<AuditFinding | null> {
  const next = last.seq + 1;
  if (!anchor) return { seq: next, problem: 'anchor_changed' };
  if (anchor.seq === 0) {
    if (anchor.newest > 0 || anchor.mac.length > 0) return { seq: next, problem: 'anchor_changed' };
    return (await mayBeEmpty(database)) ? null : { seq: 1, problem: 'cut_off' };
  }
  if (!isSealed(ring, anchor) || !isSameMac(anchor.mac, last.mac) || anchor.key_version !== last.version) {
    return { seq: next, problem: 'anchor_changed' };
  }
  if (!versions.has(ring.current) && (await isVersionInUse(database, ring.current))) {
    return { seq: last.seq, problem: 'old_key' };
  }
  return anchor.newest > anchor.seq ? { seq: next, problem: 'beyond_end' } : null;
}

async function checkOutside(
  database: Queryable,
  { seq, mac }: { seq: number; mac: Uint8Array },
  end: number,
  archives: readonly AuditArchive[],
  archivedMacs: VerifyOptions['archivedMacs'],
): Promise<AuditFinding | null> {
  if (seq === 0) return null;
  if (seq > end) return { seq: end + 1, problem: 'cut_off' };
  const archive = archives.find(({ last_seq }) => seq <= last_seq);
  const [row] = await database.query<{ mac: Uint8Array }>('SELECT mac FROM audit_events WHERE seq = $1', [seq]);
  const stored = archive?.last_seq === seq ? archive.mac : (archivedMacs?.get(seq) ?? row?.mac);
  if (archive && !stored) {
    throw new UsageError(`Event ${seq} of the checkpoint is archived: give its file with --archive, ${archive.file}.`);
  }
  return stored && isSameMac(mac, stored) ? null : { seq, problem: 'not_the_checkpoint' };
}
