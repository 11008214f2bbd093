import type { Clock } from '../process/clock.ts';
import { followRotations } from '../regeneration/regeneration-progress.ts';
import { listGracePeriods } from '../regeneration/regeneration-store.ts';
import type { Queryable } from '../storage/database.ts';
import type { UsageSource } from '../usage/usage-source.ts';
import { type AttentionItem, type Finding, maxItems, urgentMs } from './attention-item.ts';
import { nameSubjects } from './subjects.ts';

/**
 * Judges the grace periods that end soonest, at most 50: those with sources that have not moved, and those that can be
 * ended because all sources have moved.
 */
export async function findGracePeriods(
  database: Queryable,
  deps: { clock: Clock; ttlSeconds: number },
  limit: number,
): Promise<Finding[]> {
  const now = deps.clock();
  const running = await listGracePeriods(database, new Date(now), maxItems);
  const followed = await followRotations(database, deps, running);
  const subjects = await nameSubjects(
    database,
    followed.map(({ owner }) => owner.id),
  );
  const items = followed.flatMap(({ owner, regeneration, moved, stillUsingOld }): AttentionItem[] => {
    const subject = subjects.get(owner.id);
    const at = regeneration.oldSecret.retiresAt;
    if (!subject || !at) return [];
    const isComplete = stillUsingOld.length === 0;
    const endsSoon = at.getTime() - now < urgentMs;
    return [
      {
        kind: isComplete ? 'grace_period_complete' : 'grace_period_ending',
        urgency: isComplete ? 'later' : endsSoon ? 'urgent' : 'soon',
        subject,
        regenerationId: regeneration.id,
        at,
        sources: latest(stillUsingOld).slice(0, 3),
        sourceCount: stillUsingOld.length,
        movedCount: moved.length,
        requests: 0,
      },
    ];
  });
  return (['grace_period_ending', 'grace_period_complete'] as const).map((kind) => {
    const ofKind = items.filter((item) => item.kind === kind);
    return { kind, count: ofKind.length, items: ofKind.slice(0, limit) };
  });
}

function latest(sources: readonly UsageSource[]): UsageSource[] {
  return [...sources].sort((a, b) => Number(b.lastUsedAt) - Number(a.lastUsedAt));
}
