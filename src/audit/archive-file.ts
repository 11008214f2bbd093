import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { KeyRing } from '../credentials/key-ring.ts';
import { isSameMac } from '../credentials/signed-value.ts';
import { type ArchiveLine, type AuditArchive, lastLineOf } from './audit-archive.ts';
import { auditKeys, macOfEvent, textOfEvent } from './audit-chain.ts';
import type { AuditFinding } from './audit-rows.ts';
import { findErasedParts } from './personal-values.ts';
import { type StreamedEvent, toProtected } from './stream-records.ts';

/** A problem of the file of an archive, and the first event that has it. */
export type FileFinding = {
  seq: number;
  problem: Extract<AuditFinding['problem'], 'changed' | 'missing' | 'cut_off'> | 'another_archive'; // the file is of another log, or its last line was changed
};

export type CheckedFile = {
  finding: FileFinding | null;
  /** SHA-256 of the texts that the HMACs of the events cover. */
  textDigest: Uint8Array;
  /** The HMAC of the event that was asked for. */
  mac: Uint8Array | undefined;
};

/**
 * Checks that a file is the one that was archived: its events, their order, its end, and its last line. Events whose root
 * key is not configured any more are vouched for by the digest of the lines.
 * @param archive its record in the database, whose HMAC was checked.
 * @param wanted number of an event whose HMAC is returned.
 */
export async function checkArchiveFile(
  ring: KeyRing,
  path: string,
  archive: AuditArchive,
  wanted?: number,
): Promise<CheckedFile> {
  const keys = auditKeys(ring);
  const lines = createHash('sha256');
  const texts = createHash('sha256');
  let last = { seq: archive.first_seq - 1, mac: archive.previous_mac };
  let lastLine: string | undefined;
  let wantedMac: Uint8Array | undefined;
  let finding: FileFinding | null = null;

  function checkEvent(line: string): FileFinding | null {
    const seq = last.seq + 1;
    if (!line.endsWith('\n')) return { seq, problem: 'cut_off' };
    const event = lastLine === undefined ? parse<StreamedEvent>(line) : undefined;
    if (typeof event?.seq !== 'number' || seq > archive.last_seq) return { seq, problem: 'changed' };
    if (event.seq !== seq) return { seq, problem: 'missing' };
    const row = toProtected(event);
    const text = textOfEvent(last.mac, row);
    const mac = Buffer.from(String(event.mac), 'hex');
    const key = keys.get(event.key_version);
    if (key && !isSameMac(macOfEvent(key, text), mac)) return { seq, problem: 'changed' };
    if (!findErasedParts(row)) return { seq, problem: 'changed' };
    lines.update(line);
    texts.update(text);
    last = { seq, mac };
    if (seq === wanted) wantedMac = mac;
    return null;
  }

  for await (const line of linesIn(path)) {
    if (lastLine === undefined && parse<ArchiveLine>(line)?.archive) lastLine = line;
    else finding ??= checkEvent(line);
  }
  const { first_seq, last_seq, digest, mac } = archive;
  if (lastLine !== undefined && lastLine !== lastLineOf(archive))
    finding = { seq: first_seq, problem: 'another_archive' };
  if (lastLine === undefined || last.seq < last_seq) finding ??= { seq: last.seq + 1, problem: 'cut_off' };
  // The lines have more than the HMACs cover, and the root key of some events may not be configured.
  const isSame = isSameMac(digest, lines.digest()) && isSameMac(mac, last.mac);
  if (!isSame) finding ??= { seq: first_seq, problem: 'changed' };
  return { finding, textDigest: texts.digest(), mac: wantedMac };
}

/** Returns the number of the first event in a file. Undefined if its first line is not an event. */
export async function firstEventIn(path: string): Promise<number | undefined> {
  for await (const line of linesIn(path)) {
    const seq = parse<StreamedEvent>(line)?.seq;
    return typeof seq === 'number' ? seq : undefined;
  }
  return undefined;
}

/** Reads the lines of a file with their line feeds. Values can contain other characters that end lines in Unicode. */
export async function* linesIn(path: string): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, from)) {
      yield Buffer.concat([rest, chunk.subarray(from, end + 1)]).toString();
      rest = rest.subarray(0, 0);
      from = end + 1;
    }
    rest = Buffer.concat([rest, chunk.subarray(from)]);
  }
  if (rest.length > 0) yield rest.toString();
}

const lineFeed = 0x0a;

function parse<T>(line: string): T | undefined {
  try {
    return (JSON.parse(line) as T | null) ?? undefined;
  } catch {
    return undefined;
  }
}
