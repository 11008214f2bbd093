import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { KeyRing } from '../credentials/key-ring.ts';
import type { Queryable } from '../storage/database.ts';
import {
  type AuditAnchor,
  type ChainedEvent,
  isSameMac,
  isSealed,
  isVersionInUse,
  macOfEvent,
  mayBeEmpty,
  textOfEvent,
} from './audit-chain.ts';
import {
  type AuditCheckpoint,
  findCheckpoint,
  readCheckpoint,
  saveCheckpoint,
  writeCheckpoint,
} from './audit-checkpoint.ts';

/** What is wrong with the log, and the first row that is wrong. */
type AuditFinding = {
  seq: number;
  problem:
    | 'changed' // the row is not what was written: changed, inserted or moved
    | 'missing' // the row was removed
    | 'cut_off' // the row and all rows after it were removed from the end
    | 'beyond_end' // the row was inserted after the end
    | 'anchor_changed' // the record of the end itself is not what was written
    | 'unknown_key' // the row was written under a root key that is not configured, after the last checkpoint
    | 'old_key' // the row was written under a root key that had been replaced before
    | 'not_the_checkpoint'; // the row is not the one that the given checkpoint names
};

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

const pageSize = 500;

/** Milliseconds after which other work of this process gets its turn. A page takes about 5, and longer if its events are large. */
const turnMs = 10;

type EventRow = ChainedEvent & { key_version: string; mac: Uint8Array };

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
  const chain = createChain(ring, sealed, start);
  const result = (finding: AuditFinding | null): AuditVerification => ({
    events: chain.last.seq,
    from: (start?.seq ?? 0) + 1,
    checkpoint: writeCheckpoint(chain.last),
    finding,
  });
  const read = (after: number) => readPage(database, after, end);
  // The next page is read while this one is checked.
  let next = read(chain.last.seq);
  while (chain.last.seq < end) {
    const texts = await next;
    const lastText = texts.at(-1);
    if (lastText === undefined) return result({ seq: chain.last.seq + 1, problem: 'cut_off' });
    next = read(parseRow(lastText).seq);
    next.catch(() => undefined);
    let turnEnd = performance.now() + turnMs;
    for (const text of texts) {
      const finding = chain.check(parseRow(text));
      if (finding) return result(finding);
      if (performance.now() < turnEnd) continue;
      await setImmediate();
      turnEnd = performance.now() + turnMs;
    }
    onProgress?.(chain.last.seq, end);
    await setImmediate();
  }
  await next;
  const finding =
    (await checkEnd(database, ring, anchor, chain)) ??
    (sealed && sealed.seq > end ? { seq: end + 1, problem: 'cut_off' as const } : null) ??
    (outside ? await checkOutside(database, outside, end) : null);
  if (!finding && !start && end > 0 && chain.last.version === ring.current) {
    await saveCheckpoint(database, ring, { ...chain.last, digest: chain.digest() });
  }
  return result(finding);
}

/** Reads each row as one JSON text, which takes the driver and this process half of the time that separate columns take. */
async function readPage(database: Queryable, after: number, end: number): Promise<string[]> {
  const rows = await database.query<{ text: string }>(
    `SELECT to_json(e)::text AS text FROM (
       SELECT seq, floor(extract(epoch FROM at) * 1000) AS at, actor, actor_name, address, action, target_type, target, before, after,
         key_version, encode(mac, 'hex') AS mac
       FROM audit_events WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3
     ) e ORDER BY seq`,
    [after, end, pageSize],
  );
  return rows.map(({ text }) => text);
}

function parseRow(text: string): EventRow {
  const row = JSON.parse(text) as Omit<EventRow, 'at' | 'mac'> & { at: number; mac: string };
  return Object.assign(row, { at: new Date(row.at), mac: Buffer.from(row.mac, 'hex') });
}

type Chain = {
  readonly last: { seq: number; mac: Uint8Array; version: string };
  readonly versions: ReadonlySet<string>;
  /** Rows must be given in order. */
  check(row: EventRow): AuditFinding | null;
  digest(): Buffer;
};

/**
 * @param sealed vouches for rows up to it, also for those whose root key is not configured any more.
 * @param start if given, rows up to it are not checked.
 */
function createChain(ring: KeyRing, sealed: AuditCheckpoint | undefined, start: AuditCheckpoint | undefined): Chain {
  const hash = createHash('sha256');
  const versions = new Set<string>();
  let last = start
    ? { seq: start.seq, mac: start.mac, version: ring.current }
    : { seq: 0, mac: new Uint8Array(0), version: '' };
  /** First row that no key has vouched for so far. */
  let unchecked: number | undefined;
  if (start) versions.add(ring.current);

  function check(row: EventRow): AuditFinding | null {
    const { seq, key_version: version } = row;
    if (seq !== last.seq + 1) return { seq: last.seq + 1, problem: 'missing' };
    if (version !== last.version && versions.has(version)) return { seq, problem: 'old_key' };
    const text = textOfEvent(last.mac, row);
    if (ring.versions.includes(version)) {
      if (!isSameMac(macOfEvent(ring, version, text), row.mac)) return { seq: unchecked ?? seq, problem: 'changed' };
    } else if (sealed && seq <= sealed.seq) unchecked ??= seq;
    else return { seq, problem: 'unknown_key' };
    versions.add(version);
    last = { seq, mac: row.mac, version };
    if (start) return null;
    hash.update(text);
    if (seq !== sealed?.seq) return null;
    const isSame = isSameMac(sealed.mac, row.mac) && isSameMac(sealed.digest, hash.copy().digest());
    if (!isSame) return { seq: unchecked ?? seq, problem: 'changed' };
    unchecked = undefined;
    return null;
  }

  return {
    get last() {
      return last;
    },
    versions,
    check,
    digest: () => hash.copy().digest(),
  };
}

async function checkEnd(
  database: Queryable,
  ring: KeyRing,
  anchor: (AuditAnchor & { newest: number }) | undefined,
  { last, versions }: Chain,
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
