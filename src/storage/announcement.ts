import type { ChangeKind, CommittedChange } from './change.ts';

/** What one process says to all others at a time. */
export type Announcement = {
  /** Identifies the process since its start. */
  from: string;
  changes: readonly CommittedChange[];
  /**
   * How far its reading of the database has come: the database server, and how many milliseconds ago it asked. Every change
   * that was visible then is in this or an earlier announcement. Undefined if there is no new answer.
   */
  read?: { server: string; ageMs: number } | undefined;
  /** The database does not answer this process. */
  isCutOff?: boolean | undefined;
  /** Changes may be missing from the announcements, so only the database can tell what they were. */
  isIncomplete?: boolean | undefined;
  /** The process shuts down. */
  isLeaving?: boolean | undefined;
};

type Encoded = {
  f: string;
  c?: [seq: number, kind: ChangeKind, target: string, expiresAt: number][];
  r?: [server: string, ageMs: number];
  s?: 'cut-off' | 'incomplete' | 'leaving';
};

/** Encodes an announcement as short JSON. Members that an older version does not know are ignored by it. */
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
