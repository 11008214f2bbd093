import type { Clock } from '../process/clock.ts';
import { followProgress } from '../regeneration/regeneration-progress.ts';
import type { Regeneration } from '../regeneration/regeneration-store.ts';
import type { OwnerRef } from '../secrets/secret-store.ts';
import type { Queryable } from '../storage/database.ts';
import { presentPlace, type UsageSource } from '../usage/usage-source.ts';
import type { NoticeData, Reminder } from './notice.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Time before the end of each reminder that does not depend on the length of the grace period. */
const reminderTimes: readonly [Reminder, number][] = [
  ['30_days', 30 * dayMs],
  ['14_days', 14 * dayMs],
  ['7_days', 7 * dayMs],
  ['3_days', 3 * dayMs],
  ['1_day', dayMs],
  ['1_hour', hourMs],
];

const shownSources = 10;

/** Returns the moment of the notice about the end of a grace period, however it ends. */
export function endedMoment(regenerationId: string): string {
  return `grace period ended:${regenerationId}`;
}

const momentOf = (regenerationId: string, end: Date, reminder: Reminder) =>
  reminder === 'halfway'
    ? `grace period:${regenerationId}:halfway`
    : `grace period:${regenerationId}:${end.toISOString()}:${reminder}`;

/**
 * Returns the reminders of a running grace period whose time has come, the latest last. None would have come before it
 * began.
 */
export function dueReminders(
  { id, began, endsAt }: { id: string; began: Date; endsAt: Date },
  now: number,
): { reminder: Reminder; moment: string }[] {
  const [from, end] = [began.getTime(), endsAt.getTime()];
  const times: [Reminder, number][] = [['halfway', (end - from) / 2], ...reminderTimes];
  return times
    .map(([reminder, ms]) => ({ reminder, at: end - ms, moment: momentOf(id, endsAt, reminder) }))
    .filter(({ at }) => at > from && at <= now)
    .sort((a, b) => a.at - b.at);
}

/** Returns the moments of reminders before a new end whose time is already over. */
export function passedReminders(id: string, { endsAt, now }: { endsAt: Date; now: number }): string[] {
  return reminderTimes
    .filter(([, ms]) => endsAt.getTime() - ms <= now)
    .map(([reminder]) => momentOf(id, endsAt, reminder));
}

/** Returns the sources of the previous credential that have not moved, as a notice shows them. */
export async function showSources(
  database: Queryable,
  deps: { clock: Clock; ttlSeconds: number },
  owner: OwnerRef,
  regeneration: Regeneration,
): Promise<NoticeData> {
  const [progress] = await followProgress(database, deps, owner, [regeneration]);
  return progress ? sourcesOf(progress) : {};
}

function sourcesOf(progress: { moved: readonly unknown[]; stillUsingOld: readonly UsageSource[] }): NoticeData {
  const { moved, stillUsingOld } = progress;
  const latest = [...stillUsingOld].sort((a, b) => Number(b.lastUsedAt) - Number(a.lastUsedAt));
  return {
    sources: latest.slice(0, shownSources).map(presentPlace),
    source_count: stillUsingOld.length,
    moved_count: moved.length,
  };
}
