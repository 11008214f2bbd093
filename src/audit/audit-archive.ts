import { createHash } from 'node:crypto';
import type { KeyRing } from '../credentials/key-ring.ts';
import { isSameMac } from '../credentials/signed-value.ts';
import type { Queryable, Row } from '../storage/database.ts';
import { auditKeys, hex, macOfEvent } from './audit-chain.ts';

/** A part of the audit log that was written to a file and deleted from the database. The names are those of the columns. */
export type AuditArchive = {
  first_seq: number;
  last_seq: number;
  first_at: Date;
  /** HMAC of the event before the first one; empty if there is none. */
  previous_mac: Uint8Array;
  /** HMAC of the last event. */
  mac: Uint8Array;
  /** SHA-256 over the lines of the file that have events. */
  digest: Uint8Array;
  /** The versions of the root key that the events were written under, in this order. */
  key_versions: string[];
  root_key_rotated_at: Date | null;
  /** The name of the file without its directory. */
  file: string;
  archived_at: Date;
  archived_by: string;
  /** The version of the root key that both HMACs were computed under. */
  key_version: string;
  /** HMAC over the part that is in the file too. */
  file_seal: Uint8Array;
  /** HMAC over all of it. */
  seal: Uint8Array;
};

/** Last line of the file of an archive. Bytes are hexadecimal. */
export type ArchiveLine = {
  archive: {
    first_seq: number;
    last_seq: number;
    events: number;
    previous_mac: string;
    mac: string;
    digest: string;
    key_versions: string[];
    key_version: string;
    seal: string;
  };
};

/** Position from which the table continues: the end of the last archive, or the beginning of the log. */
export type AuditBase = { seq: number; mac: Uint8Array; versions: readonly string[] };

/** Adds the HMACs to an archive, under the current root key. */
export function sealArchive(
  ring: KeyRing,
  unsealed: Omit<AuditArchive, 'key_version' | 'file_seal' | 'seal'>,
): AuditArchive {
  const key = auditKeys(ring).get(ring.current) as Uint8Array;
  const archive = { ...unsealed, key_version: ring.current, seal: noBytes };
  const inFile = { ...archive, file_seal: macOfEvent(key, textOfFile(archive)) };
  return { ...inFile, seal: macOfEvent(key, textOfArchive(inFile)) };
}

/** Returns the last line of the file of an archive, with its line feed. It is the same each time. */
export function lastLineOf(archive: Omit<AuditArchive, 'seal'>): string {
  const { first_seq, last_seq, previous_mac, mac, digest, key_versions, key_version, file_seal } = archive;
  const line: ArchiveLine = {
    archive: {
      first_seq,
      last_seq,
      events: last_seq - first_seq + 1,
      previous_mac: hex(previous_mac),
      mac: hex(mac),
      digest: hex(digest),
      key_versions,
      key_version,
      seal: hex(file_seal),
    },
  };
  return `${JSON.stringify(line)}\n`;
}

/** Lists the archives in the order of their events. */
export async function findArchives(database: Queryable): Promise<AuditArchive[]> {
  return await database.query<Row & AuditArchive>('SELECT * FROM audit_archives ORDER BY first_seq');
}

/** Returns the position after these archives. */
export function baseOf(archives: readonly AuditArchive[]): AuditBase {
  const last = archives.at(-1);
  const versions = archives.flatMap(({ key_versions }) => key_versions);
  return { seq: last?.last_seq ?? 0, mac: last?.mac ?? noBytes, versions: [...new Set(versions)] };
}

/** Returns the SHA-256 of the archives up to an event. A checkpoint vouches for them by it. */
export function digestOfArchives(archives: readonly AuditArchive[], base: number): Uint8Array {
  const texts = archives.filter(({ last_seq }) => last_seq <= base).map((archive) => textOfArchive(archive));
  return createHash('sha256').update(texts.join('\n')).digest();
}

/**
 * Checks the records of archives: they begin at the first event, join each other, and are sealed.
 * @param vouched the last event of the archives that a checkpoint under the current root key vouches for, also if their
 * root key is not configured any more.
 * @returns the first event of the first wrong one.
 */
export function checkArchives(ring: KeyRing, archives: readonly AuditArchive[], vouched: number) {
  const keys = auditKeys(ring);
  let last: Pick<AuditArchive, 'last_seq' | 'mac'> = { last_seq: 0, mac: noBytes };
  for (const archive of archives) {
    const seq = last.last_seq + 1;
    if (archive.first_seq !== seq || !isSameMac(archive.previous_mac, last.mac)) {
      return { seq, problem: 'archive_changed' as const };
    }
    const key = keys.get(archive.key_version);
    if (!key && archive.last_seq > vouched) return { seq, problem: 'unknown_key' as const };
    if (key && !isSameMac(macOfEvent(key, textOfArchive(archive)), archive.seal)) {
      return { seq, problem: 'archive_changed' as const };
    }
    last = archive;
  }
  return null;
}

const noBytes = new Uint8Array(0);

function textOfFile(archive: Omit<AuditArchive, 'seal' | 'file_seal'>): string {
  const { first_seq, last_seq, previous_mac, mac, digest, key_versions } = archive;
  return JSON.stringify(['archive', first_seq, last_seq, hex(previous_mac), hex(mac), hex(digest), key_versions]);
}

function textOfArchive(archive: Omit<AuditArchive, 'seal'>): string {
  const { first_at, root_key_rotated_at, file, archived_at, archived_by, key_version, file_seal } = archive;
  const rest = [first_at, root_key_rotated_at, file, archived_at, archived_by, key_version, hex(file_seal)];
  return JSON.stringify(['archived', textOfFile(archive), ...rest]);
}
