import { createHash } from 'node:crypto';
import { isSameMac } from '../credentials/signed-value.ts';
import type { AuditBase } from './audit-archive.ts';
import { hex, macOfEvent, type ProtectedEvent, textOfEvent } from './audit-chain.ts';
import type { AuditCheckpoint } from './audit-checkpoint.ts';
import type { PersonalDigests } from './personal-values.ts';

/** A problem of the audit log, and the first row that has it. */
export type AuditFinding = {
  seq: number;
  problem:
    | 'changed' // the row is not what was written: changed, inserted or moved
    | 'missing' // the row was removed
    | 'cut_off' // the row and all rows after it were removed from the end
    | 'beyond_end' // the row was inserted after the end
    | 'anchor_changed' // the record of the end itself is not what was written
    | 'unknown_key' // the row was written under a root key that is not configured, after the last checkpoint
    | 'old_key' // the row was written under a root key that had been replaced before
    | 'erased_without_event' // personal values of the row were erased, but no later event says so
    | 'archive_changed' // the record of an archive, whose first row this is, is not what was written
    | 'not_the_checkpoint'; // the row is not the one that the given checkpoint names
};

/** Input of the check of rows. It can be sent to another thread. */
export type AuditRowsSettings = {
  /** The version of the root key that new rows are written under. */
  current: string;
  /** The keys of the chain by version of the root key. */
  keys: ReadonlyMap<string, Uint8Array>;
  /** Vouches for rows up to it, also for those whose root key is not configured any more. */
  sealed: AuditCheckpoint | undefined;
  /** The rows up to it are archived. */
  base: AuditBase;
  /** If given, rows up to it are not checked. */
  start: AuditCheckpoint | undefined;
  /** If given, the row at which a further digest ends, and another one begins. */
  split: number | undefined;
};

/** The state after the rows that were checked so far. */
export type AuditRowsState = {
  finding: AuditFinding | null;
  last: { seq: number; mac: Uint8Array; version: string };
  /** The versions of the root key that rows were written under. */
  versions: ReadonlySet<string>;
  /** SHA-256 of the texts of all rows after the archived ones. */
  digest: Uint8Array;
  /** SHA-256 of the texts of these rows up to the split, and after it. */
  digests: { until: Uint8Array; after: Uint8Array } | undefined;
};

type AuditRow = ProtectedEvent & { version: string; mac: Uint8Array; macHex: string };

/** The columns of a row in the order in which `audit_events` is read for verification. */
export type Columns = [
  ...[seq: number, at: number | string, actor: string, actorName: string, address: string | null, action: string],
  ...[targetType: string, target: string, before: unknown, after: unknown, version: string, mac: string],
  organization: string | null,
  ...[personal: PersonalDigests | null, actorSalt: string | null, subjectSalt: string | null],
];

/**
 * Checks rows and their order.
 * @returns a function that checks the next rows, given as a JSON array of the columns of each.
 */
export function createRowsCheck(settings: AuditRowsSettings): (json: string) => AuditRowsState {
  const { current, keys, sealed, base, start, split } = settings;
  const hash = createHash('sha256');
  const versions = new Set(start ? [] : base.versions);
  let last = start
    ? { seq: start.seq, mac: start.mac, version: current }
    : { seq: base.seq, mac: base.mac, version: base.versions.at(-1) ?? '' };
  let lastHex = hex(last.mac);
  /** First row that no key has vouched for so far. */
  let unchecked: number | undefined;
  if (start) versions.add(current);
  /** Texts that are not part of `hash` yet: one update of a page takes less time than one of each row. */
  const texts: string[] = [];
  const later = createHash('sha256');
  let until: Uint8Array | undefined;

  function digest(): Uint8Array {
    hash.update(texts.splice(0).join(''));
    return hash.copy().digest();
  }

  function check(row: AuditRow): AuditFinding | null {
    const { seq, version } = row;
    if (seq !== last.seq + 1) return { seq: last.seq + 1, problem: 'missing' };
    if (version !== last.version && versions.has(version)) return { seq, problem: 'old_key' };
    const text = textOfEvent(lastHex, row);
    const key = keys.get(version);
    if (key) {
      if (!isSameMac(macOfEvent(key, text), row.mac)) return { seq: unchecked ?? seq, problem: 'changed' };
    } else if (sealed && seq <= sealed.seq) unchecked ??= seq;
    else return { seq, problem: 'unknown_key' };
    versions.add(version);
    last = { seq, mac: row.mac, version };
    lastHex = row.macHex;
    if (start) return null;
    texts.push(text);
    if (seq === split) until = digest();
    else if (until) later.update(text);
    if (seq !== sealed?.seq) return null;
    const isSame = isSameMac(sealed.mac, row.mac) && isSameMac(sealed.digest, digest());
    if (!isSame) return { seq: unchecked ?? seq, problem: 'changed' };
    unchecked = undefined;
    return null;
  }

  return (json) => {
    let finding: AuditFinding | null = null;
    for (const columns of JSON.parse(json) as Columns[]) {
      finding = check(toRow(columns));
      if (finding) break;
    }
    const digests = until && { until, after: later.copy().digest() };
    return { finding, last, versions, digest: digest(), digests };
  };
}

/** Names the columns of a row. */
export function toRow(columns: Columns): AuditRow {
  const [seq, at, actor, actor_name, address, action, target_type, target, before, after, ...rest] = columns;
  const [version, mac, organization, personal, actor_salt, subject_salt] = rest;
  return {
    seq,
    at: new Date(at),
    actor,
    actor_name,
    address,
    action,
    target_type,
    target,
    before,
    after,
    organization,
    personal,
    actor_salt,
    subject_salt,
    version,
    mac: Buffer.from(mac, 'hex'),
    macHex: mac,
  };
}
