import type { KeyRing } from '../credentials/key-ring.ts';
import { isSameMac } from '../credentials/signed-value.ts';
import { UsageError } from '../errors.ts';
import { auditKeys, macOfAnchor, macOfEvent, textOfEvent } from './audit-chain.ts';
import type { AuditFinding } from './audit-rows.ts';
import { createErasures, type Erasures } from './erasures.ts';
import { findErasedParts } from './personal-values.ts';
import { type StreamedEvent, type StreamedHead, toProtected } from './stream-records.ts';

export type StreamVerification = {
  /** Number of different events in the file, and of those that it has more than once. */
  events: number;
  repeated: number;
  /** Numbers of the first and last event. */
  from: number;
  to: number;
  /** The highest head of the log in the file; null if it has none. The file is complete up to there. */
  head: number | null;
  /** Number of events whose personal values were erased before they were sent. */
  erased: number;
  finding: AuditFinding | null;
};

/**
 * Verifies what a target of a stream has received: every event, that none is missing from the first one up to the last
 * head, and that the heads are those of this log.
 * @param lines JSON lines, syslog messages, or OTLP logs as a collector writes them. Other lines are ignored.
 * @throws {UsageError} if there is no event.
 */
export async function verifyStream(ring: KeyRing, lines: AsyncIterable<string>): Promise<StreamVerification> {
  const events = new Map<number, StreamedEvent>();
  const heads: StreamedHead[] = [];
  let repeated = 0;
  let finding: AuditFinding | null = null;
  for await (const line of lines) {
    for (const record of recordsIn(line)) {
      if ('head' in record) heads.push(record);
      else if (!events.has(record.seq)) events.set(record.seq, record);
      else if (events.get(record.seq)?.mac === record.mac) repeated += 1;
      else finding ??= { seq: record.seq, problem: 'changed' };
    }
  }
  const sorted = [...events.values()].sort((a, b) => a.seq - b.seq);
  const [first, last] = [sorted[0], sorted.at(-1)];
  if (!first || !last) throw new UsageError('The file has no event of an audit log.');
  const head = heads.length === 0 ? null : heads.reduce((latest, { head: { seq } }) => Math.max(latest, seq), 0);
  const erasures = createErasures();
  finding ??= checkEvents(ring, sorted, heads, erasures) ?? checkHeads(ring, events, heads, first.seq);
  if (!finding && head !== null && head > last.seq) finding = { seq: last.seq + 1, problem: 'cut_off' };
  const { erased, unexplained } = erasures.state();
  // Without a head, the event that erased the values may be after the end of the file.
  if (head !== null && unexplained !== undefined) finding ??= { seq: unexplained, problem: 'erased_without_event' };
  return { events: sorted.length, repeated, from: first.seq, to: last.seq, head, erased, finding };
}

function checkEvents(
  ring: KeyRing,
  events: readonly StreamedEvent[],
  heads: readonly StreamedHead[],
  erasures: Erasures,
): AuditFinding | null {
  const keys = auditKeys(ring);
  const first = events[0]?.seq ?? 1;
  const before = first === 1 ? '' : heads.find(({ from }) => from === first)?.previous_mac;
  let last: { seq: number; mac: string } | undefined =
    before === undefined ? undefined : { seq: first - 1, mac: before };
  for (const event of events) {
    const { seq, mac } = event;
    if (last) {
      if (seq !== last.seq + 1) return { seq: last.seq + 1, problem: 'missing' };
      const key = keys.get(event.key_version);
      if (!key) return { seq, problem: 'unknown_key' };
      const row = toProtected(event);
      const isSame = isSameMac(
        macOfEvent(key, textOfEvent(Buffer.from(last.mac, 'hex'), row)),
        Buffer.from(mac, 'hex'),
      );
      const parts = findErasedParts(row);
      if (!isSame || !parts) return { seq, problem: 'changed' };
      erasures.add(row, parts);
    }
    last = { seq, mac };
  }
  return null;
}

function checkHeads(
  ring: KeyRing,
  events: ReadonlyMap<number, StreamedEvent>,
  heads: readonly StreamedHead[],
  first: number,
): AuditFinding | null {
  for (const { head } of heads) {
    const anchor = { seq: head.seq, mac: Buffer.from(head.mac, 'hex') };
    const seal = macOfAnchor(ring, head.key_version, anchor);
    const own = events.get(head.seq)?.mac;
    const isOwn = own === undefined || own === head.mac || head.seq < first;
    if (!isOwn || !isSameMac(seal, Buffer.from(head.seal, 'hex'))) return { seq: head.seq, problem: 'anchor_changed' };
  }
  return null;
}

type OtlpLogs = {
  resourceLogs?: { scopeLogs?: { logRecords?: { body?: { stringValue?: string } }[] }[] }[];
};

/** Returns the events and heads in a line. */
function recordsIn(line: string): (StreamedEvent | StreamedHead)[] {
  const start = line.indexOf('{');
  if (start < 0) return [];
  let value: unknown;
  try {
    value = JSON.parse(line.slice(start));
  } catch {
    return [];
  }
  const { resourceLogs } = value as OtlpLogs;
  const records = resourceLogs?.flatMap(({ scopeLogs = [] }) => scopeLogs.flatMap(({ logRecords = [] }) => logRecords));
  if (records) return records.flatMap(({ body }) => recordsIn(body?.stringValue ?? ''));
  const { seq, mac, head } = value as Partial<StreamedEvent & StreamedHead>;
  const isRecord = (typeof seq === 'number' && typeof mac === 'string') || typeof head?.seq === 'number';
  return isRecord ? [value as StreamedEvent | StreamedHead] : [];
}
