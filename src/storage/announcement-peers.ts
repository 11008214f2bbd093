import { type Announcement, decodeAnnouncement } from './announcement-stream.ts';

/** The other processes of the deployment, as their announcements describe them. */
export type AnnouncementPeers = {
  /** Notes an announcement of another process. Returns when that process was first read, by `performance.now()`. */
  note(announcement: Announcement, now: number): number;
  /** Notes the processes that have written these entries, except `self`, when this process begins to read. */
  noteEarlier(entries: readonly string[], self: string): void;
  clear(): void;
  /** Returns whether there are other processes, as far as announcements tell. */
  exist(): boolean;
  /** Returns whether every other process reports that the database does not answer it. */
  areCutOff(now: number): boolean;
  /** Returns whether another process that announced something lately has not applied the entry with this id. */
  lack(entryId: string, now: number): boolean;
};

/** Another process, with the times at which its announcements were first and last read. */
type Peer = { firstReadAt: number; lastReadAt: number; isCutOff: boolean; applied: string | undefined };

/** Time after which a silent peer counts as ended. Until then it may still commit changes. */
const endedAfterMs = 15_000;
/** Time after which a silent peer is not waited for. Peers announce something twice a second. */
const silentAfterMs = 1_500;

/** @param knownWithinMs the maximum age of a peer's report that the database does not answer it. */
export function createAnnouncementPeers(knownWithinMs: number): AnnouncementPeers {
  const peers = new Map<string, Peer>();
  function note({ from, isCutOff, isLeaving, applied }: Announcement, now: number): number {
    const peer = peers.get(from) ?? { firstReadAt: now, lastReadAt: now, isCutOff: false, applied: undefined };
    if (isLeaving) peers.delete(from);
    else peers.set(from, { ...peer, lastReadAt: now, isCutOff: isCutOff === true, applied: applied ?? peer.applied });
    return peer.firstReadAt;
  }

  return {
    note,
    noteEarlier: (entries, self) => {
      for (const entry of entries) {
        const announcement = decodeAnnouncement(entry);
        if (announcement && announcement.from !== self) note(announcement, performance.now());
      }
    },
    clear: () => peers.clear(),
    exist: () => peers.size > 0,
    areCutOff: (now) => {
      for (const [name, { lastReadAt, isCutOff }] of peers) {
        if (now - lastReadAt > endedAfterMs) peers.delete(name);
        else if (!isCutOff || now - lastReadAt > knownWithinMs) return false;
      }
      return true;
    },
    // Peers of an earlier version of the program do not report what they have applied.
    lack: (entryId, now) =>
      [...peers.values()].some(
        ({ applied, lastReadAt }) =>
          applied !== undefined && now - lastReadAt <= silentAfterMs && isBefore(applied, entryId),
      ),
  };
}

/** Compares ids of entries of a stream: milliseconds and a number, separated by a hyphen. */
function isBefore(one: string, other: string): boolean {
  const [[time = 0, nth = 0], [otherTime = 0, otherNth = 0]] = [one, other].map((id) => id.split('-').map(Number)) as [
    number[],
    number[],
  ];
  return time < otherTime || (time === otherTime && nth < otherNth);
}
