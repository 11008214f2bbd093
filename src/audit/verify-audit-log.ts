import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { KeyRing } from '../credentials/key-ring.ts';
import { isSameMac } from '../credentials/signed-value.ts';
import type { Queryable } from '../storage/database.ts';
import { type AuditAnchor, auditKeys, isSealed, isVersionInUse, mayBeEmpty } from './audit-chain.ts';
import { findCheckpoint, readCheckpoint, saveCheckpoint, writeCheckpoint } from './audit-checkpoint.ts';
import { type AuditFinding, type AuditRowsSettings, type AuditRowsState, createRowsCheck } from './audit-rows.ts';

export type AuditVerification = {
  /** Number of the last event that was verified. */
  events: number;
  /** Number of the first event that was verified. */
  from: number;
  /** To be kept outside the database: neither a shortened log nor an older copy of the database has it. */
  checkpoint: string;
  finding: AuditFinding | null;
};

export type VerifyOptions = {
  /** A checkpoint kept outside the database, which the log must still have. */
  checkpoint?: string | undefined;
  /** Verify only events after the last checkpoint that an earlier verification has sealed in the database. */
  recent?: boolean | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
};

const pageSize = 1_000;

/** Rows that are checked in a few milliseconds, less than the start of a thread takes. */
const fewRows = 200;

/**
 * Checks every row, their order, and the end of the log. If the whole log is right, seals a checkpoint in the database.
 * @throws {UsageError} if the given checkpoint has the wrong form.
 */
export async function verifyAuditLog(
  database: Queryable,
  ring: KeyRing,
  { checkpoint, recent = false, onProgress }: VerifyOptions = {},
): Promise<AuditVerification> {
  const outside = checkpoint === undefined ? undefined : readCheckpoint(checkpoint);
  const sealed = await findCheckpoint(database, ring);
  // One statement, so that both values come from the same snapshot.
  const [anchor] = await database.query<AuditAnchor & { newest: number }>(
    'SELECT a.*, (SELECT coalesce(max(seq), 0)::bigint FROM audit_events) AS newest FROM audit_anchor a',
  );
  const end = anchor?.seq ?? 0;
  const start = recent && sealed && sealed.seq <= end ? sealed : undefined;
  const settings = { current: ring.current, keys: auditKeys(ring), sealed, start };
  const rows = end - (start?.seq ?? 0) > fewRows ? checkInThread(settings) : checkHere(settings);
  try {
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
    const finding =
      state.finding ??
      (await checkEnd(database, ring, anchor, state)) ??
      (sealed && sealed.seq > end ? { seq: end + 1, problem: 'cut_off' as const } : null) ??
      (outside ? await checkOutside(database, outside, end) : null);
    const { last, digest } = state;
    if (!finding && !start && end > 0 && last.version === ring.current) {
      await saveCheckpoint(database, ring, { ...last, digest });
    }
    return { events: last.seq, from: (start?.seq ?? 0) + 1, checkpoint: writeCheckpoint(last), finding };
  } finally {
    await rows.close();
  }
}

type RowsCheck = { check(json: string): Promise<AuditRowsState>; close(): Promise<unknown> };

function checkHere(settings: AuditRowsSettings): RowsCheck {
  const check = createRowsCheck(settings);
  return { check: async (json) => check(json), close: async () => undefined };
}

/** Checks rows in a thread, because the hashing would delay the requests that this process serves. */
function checkInThread(settings: AuditRowsSettings): RowsCheck {
  const file = import.meta.url.endsWith('.ts') ? './audit-rows-worker.ts' : './audit-rows-worker.js';
  const thread = new Worker(new URL(file, import.meta.url), { workerData: settings });
  return {
    check: async (json) => {
      const answer = once(thread, 'message');
      thread.postMessage(json);
      const [state] = await answer;
      return state as AuditRowsState;
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
         target_type, target, before, after, key_version, encode(mac, 'hex'), organization)::text, ',' ORDER BY seq) || ']' AS json,
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
): Promise<AuditFinding | null> {
  if (seq > end) return { seq: end + 1, problem: 'cut_off' };
  const [row] = await database.query<{ mac: Uint8Array }>('SELECT mac FROM audit_events WHERE seq = $1', [seq]);
  return seq === 0 || (row && isSameMac(mac, row.mac)) ? null : { seq, problem: 'not_the_checkpoint' };
}
