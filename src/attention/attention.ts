import type { Clock } from '../process/clock.ts';
import type { Queryable } from '../storage/database.ts';
import { type Attention, type AttentionItem, attentionKinds, type Finding, urgencies } from './attention-item.ts';
import { findExpiringCertificates } from './expiring-certificates.ts';
import {
  countExpiringKeys,
  countUnused,
  findExpiringKeys,
  findUnusedClients,
  findUnusedKeys,
} from './idle-credentials.ts';
import { findRefused } from './refused-credentials.ts';
import { findGracePeriods } from './running-rotations.ts';
import { findTroubledServers } from './troubled-servers.ts';

/**
 * Finds what needs attention. Every query reads a bounded number of rows through an index, so that the number of clients
 * does not matter.
 * @param limit maximum number of items of each kind, up to 50.
 */
export async function findAttention(
  database: Queryable,
  deps: { clock: Clock; ttlSeconds: number },
  limit: number,
): Promise<Attention> {
  const now = deps.clock();
  const found: Finding[] = [
    await findRefused(database, now, limit),
    ...(await findGracePeriods(database, deps, limit)),
    ...(await findTroubledServers(database, now, limit)),
    await findExpiringCertificates(database, now, limit),
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
