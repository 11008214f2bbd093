import { type ApprovalViewer, listAwaiting } from '../approvals/approval-store.ts';
import type { Clock } from '../process/clock.ts';
import { followRotations } from '../regeneration/regeneration-progress.ts';
import { listGracePeriods } from '../regeneration/regeneration-store.ts';
import type { Queryable, Row } from '../storage/database.ts';
import { decodeCaller, type UsageSource } from '../usage/usage-source.ts';
import {
  type Attention,
  type AttentionItem,
  attentionKinds,
  type Finding,
  maxCount,
  maxItems,
  refusedMs,
  refusedSources,
  urgencies,
  urgentMs,
  withoutUse,
} from './attention-item.ts';
import { findBreakGlassUses } from './break-glass-uses.ts';
import { findDisabledWebhooks } from './disabled-webhooks.ts';
import { findEndingCertificates } from './ending-certificates.ts';
import {
  countExpiringKeys,
  countUnused,
  findExpiringKeys,
  findUnusedClients,
  findUnusedKeys,
} from './idle-credentials.ts';
import { findLateStreams } from './late-streams.ts';
import { findParkedNotices } from './parked-notices.ts';
import { findPolicyViolations } from './policy-violations.ts';
import { nameSubjects, ofClient } from './subjects.ts';
import { findTroubledServers } from './troubled-servers.ts';

/**
 * Finds what needs attention. Every query reads a bounded number of rows through an index, so that the number of clients
 * does not matter.
 * @param limit maximum number of items of each kind, up to 50.
 * @param viewer the operator, whose approval requests may wait for.
 */
export async function findAttention(
  database: Queryable,
  deps: { clock: Clock; ttlSeconds: number; auditStreams?: readonly { name: string }[] },
  limit: number,
  viewer: ApprovalViewer,
): Promise<Attention> {
  const now = deps.clock();
  const found: Finding[] = [
    await findBreakGlassUses(database, now, limit),
    await findPendingApprovals(database, viewer, now, limit),
    await findRefused(database, now, limit),
    ...(await findGracePeriods(database, deps, limit)),
    ...(await findTroubledServers(database, now, limit)),
    await findDisabledWebhooks(database, limit),
    await findLateStreams(database, deps.auditStreams ?? [], now),
    await findParkedNotices(database, now, limit),
    await findExpiringCertificates(database, now, limit),
    await findPolicyViolations(database, now, limit),
    {
      kind: 'access_key_expiring',
      count: await countExpiringKeys(database, now),
      items: await findExpiringKeys(database, now, limit),
    },
    {
      kind: 'unused_client',
      count: await countUnused(database, 'clients', now),
      items: await findUnusedClients(database, now, limit),
    },
    {
      kind: 'unused_access_key',
      count: await countUnused(database, 'access_keys', now),
      items: await findUnusedKeys(database, now, limit),
    },
  ];
  const rank = ({ urgency, kind }: AttentionItem) =>
    urgencies.indexOf(urgency) * attentionKinds.length + attentionKinds.indexOf(kind);
  return {
    // The sort is stable, so items of one kind stay in the order in which they were found.
    items: found.flatMap(({ items }) => items).sort((a, b) => rank(a) - rank(b)),
    counts: found.filter(({ count }) => count > 0).map(({ kind, count }) => ({ kind, count })),
  };
}

/** Finds requests that wait for the approval of this operator. */
async function findPendingApprovals(
  database: Queryable,
  viewer: ApprovalViewer,
  now: number,
  limit: number,
): Promise<Finding> {
  const waiting = await listAwaiting(database, viewer, new Date(now), maxCount);
  return {
    kind: 'approval_pending',
    count: waiting.length,
    items: waiting.slice(0, limit).map((approval) => ({
      kind: 'approval_pending',
      urgency: 'soon',
      subject: { type: 'approval', id: approval.id, name: approval.subjectName, contact: null },
      at: approval.endsAt,
      ...withoutUse,
      requester: approval.requesterName,
    })),
  };
}

/**
 * Finds enabled clients all of whose registered certificates expire soon, or have expired. A certificate in a JWK set
 * (RFC 7517 §4.7) is registered by itself, so nothing else would tell that it ends.
 */
async function findExpiringCertificates(database: Queryable, now: number, limit: number): Promise<Finding> {
  const items = (await findEndingCertificates(database, now)).map(({ row, end }) => ({
    kind: 'certificate_expiring' as const,
    urgency: end - now < urgentMs ? ('urgent' as const) : ('soon' as const),
    subject: ofClient(row.client_id, row.name),
    at: new Date(end),
    ...withoutUse,
  }));
  return { kind: 'certificate_expiring', count: items.length, items: items.slice(0, limit) };
}

type RefusedRow = Row & { owner: string; address: string; user_agent: string; refused: number; refused_at: Date };

/**
 * Finds enabled clients and access keys whose ended credentials are still used, the one that was rejected last first. At
 * most the latest `maxCount` sources are examined.
 */
async function findRefused(database: Queryable, now: number, limit: number): Promise<Finding> {
  const rows = await database.query<RefusedRow>(refusedSources(), [new Date(now - refusedMs)]);
  const byOwner = Map.groupBy(rows, ({ owner }) => owner);
  const subjects = await nameSubjects(database, [...byOwner.keys()]);
  const owners = [...byOwner].filter(([owner]) => subjects.has(owner));
  return {
    kind: 'refused_credential',
    count: owners.length,
    items: owners.slice(0, limit).map(([owner, sources]): AttentionItem => {
      const at = sources[0]?.refused_at ?? new Date(now);
      return {
        kind: 'refused_credential',
        urgency: now - at.getTime() < urgentMs ? 'urgent' : 'soon',
        subject: subjects.get(owner) as AttentionItem['subject'],
        regenerationId: null,
        at,
        sources: sources.slice(0, 3).map((row) => ({ address: row.address, ...decodeCaller(row.user_agent) })),
        sourceCount: sources.length,
        movedCount: null,
        requests: sources.reduce((sum, { refused }) => sum + refused, 0),
      };
    }),
  };
}

/**
 * Judges the grace periods that end soonest, at most 50: those with sources that have not moved, and those that can be
 * ended because all sources have moved.
 */
async function findGracePeriods(
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
