import type { ChangeKind, CommittedChange } from './change.ts';

/** A message from one process to all others. */
export type Announcement = {
  /** Identifies the process; random at each start. */
  from: string;
  changes: readonly CommittedChange[];
  /**
   * The last read of the database: the database server, and how many milliseconds ago the read began. Every change that
   * was visible then is in this or an earlier announcement. Undefined if the database has not answered since the last
   * announcement.
   */
  read?: { server: string; ageMs: number } | undefined;
  /** Whether the database does not answer this process. */
  isCutOff?: boolean | undefined;
  /** Whether changes may be missing from the announcements, so that they must be read from the database. */
  isIncomplete?: boolean | undefined;
  /** Whether the process is shutting down. */
  isLeaving?: boolean | undefined;
};

type Encoded = {
  f: string;
  c?: [seq: number, kind: ChangeKind, target: string, expiresAt: number][];
  r?: [server: string, ageMs: number];
  s?: 'cut-off' | 'incomplete' | 'leaving';
};

/** Encodes an announcement as short JSON. Older versions ignore members that they do not know. */
export function encodeAnnouncement({ from, changes, read, ...state }: Announcement): string {
  const encoded: Encoded = { f: from };
  if (changes.length > 0) {
    encoded.c = changes.map(({ seq, kind, target, expiresAt }) => [seq, kind, target, expiresAt.getTime()]);
  }
  if (read) encoded.r = [read.server, Math.ceil(read.ageMs)];
  if (state.isLeaving) encoded.s = 'leaving';
  else if (state.isIncomplete) encoded.s = 'incomplete';
  else if (state.isCutOff) encoded.s = 'cut-off';
  return JSON.stringify(encoded);
}

/** Returns undefined for an entry that is not an announcement. */
export function decodeAnnouncement(text: string): Announcement | undefined {
  try {
    const { f: from, c = [], r, s } = JSON.parse(text) as Encoded;
    if (typeof from !== 'string') return undefined;
    return {
      from,
      changes: c.map(([seq, kind, target, expiresAt]) => ({ seq, kind, target, expiresAt: new Date(expiresAt) })),
      read: r && { server: r[0], ageMs: Math.max(0, Number(r[1])) },
      isCutOff: s === 'cut-off',
      isIncomplete: s === 'incomplete',
      isLeaving: s === 'leaving',
    };
  } catch {
    return undefined;
  }
}
