import type { KeyRing } from '../credentials/key-ring.ts';
import type { Queryable } from '../storage/database.ts';
import { checkArchiveFile, type FileFinding, firstEventIn } from './archive-file.ts';
import { type AuditArchive, findArchives } from './audit-archive.ts';

/** A file that is wrong, and the first event that has the problem. */
export type ArchiveFinding = {
  file: string;
  seq: number | null;
  problem:
    | FileFinding['problem']
    | 'no_archive' // no archive of this log begins with the first event of the file
    | 'unreadable' // the file does not exist, or cannot be read
    | 'missing_file'; // no file was given for this archive, which has its place after one that was given
};

export type ArchivesVerification = {
  /** Names of the files that are right, in the order of their events. */
  verified: string[];
  /** Archives before the first file, which were not verified. */
  earlier: string[];
  findings: ArchiveFinding[];
  /** The HMAC of the event that was asked for, if a file has it. */
  macs: Map<number, Uint8Array>;
};

/**
 * Verifies files of archives in any order, and that none is missing from the first one up to the table. The records of
 * archives, which join each other, are checked with the table.
 * @param wanted number of an event whose HMAC is returned.
 */
export async function verifyArchives(
  database: Queryable,
  ring: KeyRing,
  paths: readonly string[],
  wanted?: number,
): Promise<ArchivesVerification> {
  const archives = await findArchives(database);
  const given = new Set<AuditArchive>();
  const verified = new Set<AuditArchive>();
  const findings: ArchiveFinding[] = [];
  const macs = new Map<number, Uint8Array>();

  async function verify(path: string): Promise<ArchiveFinding | undefined> {
    const first = await firstEventIn(path);
    const archive = archives.find(({ first_seq }) => first_seq === first);
    if (!archive) return { file: path, seq: first ?? null, problem: 'no_archive' };
    given.add(archive);
    const { finding, mac } = await checkArchiveFile(ring, path, archive, wanted);
    if (finding) return { file: path, ...finding };
    verified.add(archive);
    if (wanted !== undefined && mac) macs.set(wanted, mac);
    return undefined;
  }

  for (const path of paths) {
    const finding = await verify(path).catch((error: NodeJS.ErrnoException): ArchiveFinding => {
      if (error.syscall === undefined) throw error;
      return { file: path, seq: null, problem: 'unreadable' };
    });
    if (finding) findings.push(finding);
  }
  const begin = archives.findIndex((archive) => given.has(archive));
  const rest = begin < 0 ? archives : archives.slice(begin);
  for (const archive of rest) {
    if (!given.has(archive)) findings.push({ file: archive.file, seq: archive.first_seq, problem: 'missing_file' });
  }
  const earlier = archives.slice(0, Math.max(begin, 0)).map(({ file }) => file);
  return {
    verified: archives.filter((archive) => verified.has(archive)).map(({ file }) => file),
    earlier,
    findings,
    macs,
  };
}

/** Says what is wrong with a file. */
export function describeFinding({ file, seq, problem }: ArchiveFinding): string {
  if (problem === 'unreadable') return `${file} cannot be read`;
  if (problem === 'missing_file') return `${file}, which begins with event ${seq}, was not given`;
  if (problem === 'no_archive') {
    return `${file} is not an archive of this log: ${seq === null ? 'it does not begin with an event' : `none begins with event ${seq}`}`;
  }
  if (problem === 'another_archive') {
    return `${file} is not the archive that begins with event ${seq} of this log, or its last line was changed`;
  }
  return `${file}: event ${seq}, ${problem}`;
}
