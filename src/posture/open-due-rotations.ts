import type { Actor, CommitChange } from '../audit/audit-log.ts';
import { retiringOf } from '../credentials/secret.ts';
import { Conflict } from '../errors.ts';
import type { Log } from '../observability/log.ts';
import { listPolicies } from '../policies/policy-store.ts';
import { extendRegeneration } from '../regeneration/end-regeneration.ts';
import { regenerateSecret } from '../regeneration/regenerate-secret.ts';
import { followRotations } from '../regeneration/regeneration-progress.ts';
import { listGracePeriods } from '../regeneration/regeneration-store.ts';
import type { ReviewDeps } from '../regeneration/review.ts';
import { findSecrets, type OwnerRef, type SecretOwner } from '../secrets/secret-store.ts';
import { claimMoment } from '../storage/claim-moment.ts';
import type { Database, Queryable, Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { repeatWork } from '../storage/repeat-work.ts';

/** Rotates secrets that are older than an enforced policy allows, without rejecting programs that still use them. */

type Deps = ReviewDeps & {
  database: Database;
  log: Log;
  change: CommitChange;
  /** Locks the owner. Returns undefined if it was deleted. */
  lockOwner(transaction: Transaction, owner: OwnerRef): Promise<SecretOwner | undefined>;
};

const byPolicy: Actor = { id: 'policy', name: 'Policy secret_age', address: null };
const tickMs = 5_000;
/** How often the work is done. One process does it each time. */
const everyMs = 5 * 60_000;
const dayMs = 86_400_000;
/** Maximum number of rotations that are opened at a time, so that owners do not get thousands of notices at once. */
const maxOpened = 50;
/** How long a grace period is extended while a program uses the previous secret. */
const extensionMs = 7 * dayMs;
const maxFollowed = 200;

/** Starts the work. @param isClockRight a wrong clock must not rotate anything. @returns a function that stops it. */
export function startPolicyWork(deps: Deps, isClockRight: () => boolean): () => Promise<void> {
  let lastSlot = -1;

  async function work(): Promise<void> {
    const now = deps.clock();
    const slot = Math.floor(now / everyMs);
    if (slot === lastSlot || !isClockRight()) return;
    const moment = `policies:${new Date(slot * everyMs).toISOString()}`;
    const isOurs = await deps.database.transaction((transaction) => claimMoment(transaction, moment, new Date(now)));
    lastSlot = slot;
    if (!isOurs) return;
    await openDueRotations(deps);
    await extendUnmoved(deps);
  }

  return repeatWork(work, tickMs, deps.log, 'failed to apply policies');
}

async function openDueRotations(deps: Deps): Promise<void> {
  // The new secret reaches its owner only if it can be shown.
  if (!deps.reveal) return;
  for (const { organizationId, name, stage, days, graceDays } of await listPolicies(deps.database)) {
    if (name !== 'secret_age' || stage !== 'enforce' || days === null) continue;
    const now = deps.clock();
    const before = new Date(now - days * dayMs);
    for (const owner of await findOldSecrets(deps.database, organizationId, before, now)) {
      await open(deps, owner, before, (graceDays ?? 1) * 86_400);
    }
  }
}

/**
 * Finds the owners of secrets that were created before a time, the oldest first. Leaves out owners whose new secret could
 * not be shown, and owners in a grace period.
 */
async function findOldSecrets(
  database: Queryable,
  organizationId: string,
  before: Date,
  now: number,
): Promise<OwnerRef[]> {
  const rows = await database.query<{ client: string | null; access_key: string | null }>(
    `SELECT s.client, s.access_key FROM secrets s LEFT JOIN clients c ON c.id = s.client
       LEFT JOIN access_keys k ON k.id = s.access_key LEFT JOIN contacts o ON o.id = k.contact
       JOIN organizations g ON g.id = coalesce(c.organization, o.organization)
     WHERE s.retires_at IS NULL AND s.created_at < $1 AND ($2::uuid = '${deploymentOrganization}' OR g.id = $2::uuid)
       AND coalesce(c.enabled, k.enabled) AND coalesce(c.reveal, k.reveal) AND g.reveal AND g.enabled
       AND coalesce(k.expires_at, 'infinity') > $3 AND (c.id IS NULL OR c.auth_method LIKE 'client_secret%')
       AND NOT EXISTS (SELECT FROM secrets r WHERE r.client = s.client AND r.retires_at > $3)
       AND NOT EXISTS (SELECT FROM secrets r WHERE r.access_key = s.access_key AND r.retires_at > $3)
       AND NOT EXISTS (SELECT FROM policies p WHERE p.name = 'no_reveal' AND p.stage = 'enforce'
         AND p.organization IN (g.id, '${deploymentOrganization}'))
     ORDER BY s.created_at LIMIT ${maxOpened}`,
    [before, organizationId, new Date(now)],
  );
  return rows.map(({ client, access_key: key }) =>
    client === null ? { kind: 'access_key', id: key as string } : { kind: 'client', id: client },
  );
}

async function open(deps: Deps, ref: OwnerRef, before: Date, overlapSeconds: number): Promise<void> {
  try {
    await deps.change(async (transaction) => {
      const owner = await deps.lockOwner(transaction, ref);
      const secrets = owner ? await findSecrets(transaction, owner) : [];
      const current = secrets.find(({ retiresAt }) => retiresAt === null);
      // Somebody may have rotated it in the meantime.
      if (!owner?.enabled || !current || current.createdAt >= before || retiringOf(secrets, deps.clock())) return;
      const request = { confirmation: undefined, isConfirmed: true, overlapSeconds, finishWhenUnused: true };
      await regenerateSecret(transaction, deps, byPolicy, owner, request);
    });
  } catch (error) {
    if (!(error instanceof Conflict)) throw error;
  }
}

/** Extends the grace periods of these rotations that end within a day while a program uses the previous secret. */
async function extendUnmoved(deps: Deps): Promise<void> {
  const now = deps.clock();
  const after = { at: new Date(now), id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' };
  const page = { after, until: new Date(now + dayMs) };
  const ending = await listGracePeriods(deps.database, new Date(now), maxFollowed, page);
  const opened = ending.filter(({ regeneration }) => regeneration.createdBy === byPolicy.name);
  for (const { owner, regeneration, stillUsingOld } of await followRotations(deps.database, deps, opened)) {
    if (stillUsingOld.length === 0) continue;
    try {
      await deps.change(async (transaction) => {
        const locked = await deps.lockOwner(transaction, owner);
        if (!locked) return;
        const end = new Date(deps.clock() + extensionMs);
        await extendRegeneration(transaction, deps, byPolicy, locked, regeneration.id, end);
      });
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
    }
  }
}
