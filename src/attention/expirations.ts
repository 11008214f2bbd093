import type { Clock } from '../process/clock.ts';
import { lastUuid, listGracePeriods } from '../regeneration/regeneration-store.ts';
import type { Queryable } from '../storage/database.ts';
import { listSigningKeys } from '../tokens/signing-key-store.ts';
import { plannedRotationOf } from '../tokens/signing-keys.ts';
import { type AttentionSubject, dayMs } from './attention-item.ts';
import { findEndingCertificates } from './ending-certificates.ts';
import { endOfKey } from './idle-credentials.ts';
import { nameSubjects, ofClient } from './subjects.ts';

/** Kinds of things that end, in the order of things that end at the same time. */
export const expirationKinds = ['access_key', 'certificate', 'grace_period', 'signing_key'] as const;
type ExpirationKind = (typeof expirationKinds)[number];

/** Something that ends at a known time. */
export type Expiration = {
  kind: ExpirationKind;
  at: Date;
  /** The client or access key that is affected; null for a signing key. */
  subject: AttentionSubject | null;
  /** The rotation of a grace period; null for the other kinds. */
  regenerationId: string | null;
  /** Since when it ends at this time, as far as that is known. */
  since: Date;
  /** Identifies the thing among those of its kind, and orders those that end at the same time: a UUID, or the `kid`. */
  order: string;
};

/** Position in the list. */
export type ExpirationPosition = Pick<Expiration, 'kind' | 'at' | 'order'>;

const nilUuid = '00000000-0000-0000-0000-000000000000';

type Window = {
  now: Date;
  until: Date;
  after: ExpirationPosition | undefined;
  /** Maximum number of rows of each kind. */
  limit: number;
};

/**
 * Lists what ends from now on, the first to end first: access keys and grace periods of what is enabled, registered
 * certificates of clients, and the planned rotation of the signing key. Every query reads a bounded number of rows
 * through an index.
 * @param deps.signingKeyDays the age in days at which the signing key is rotated; 0 if it is not.
 * @param page.days length of the time in days.
 * @param page.after the last item of the previous page.
 * @returns one item more than `limit` if there is another page.
 */
export async function listExpirations(
  database: Queryable,
  deps: { clock: Clock; signingKeyDays: number },
  page: { days: number; limit: number; after: ExpirationPosition | undefined },
): Promise<Expiration[]> {
  const now = deps.clock();
  const window = {
    now: new Date(now),
    until: new Date(now + page.days * dayMs),
    after: page.after,
    limit: page.limit + 1,
  };
  const found = [
    ...(await findKeys(database, window)),
    ...(await findCertificates(database, window)),
    ...(await findGracePeriods(database, window)),
    ...(await findSigningKey(database, window, deps.signingKeyDays)),
  ];
  return found.sort(compare).slice(0, window.limit);
}

async function findKeys(database: Queryable, window: Window): Promise<Expiration[]> {
  const { at, id } = startOf('access_key', window);
  const rows = await database.query<{ id: string; at: Date; created_at: Date }>(
    `SELECT id, expires_at AS at, created_at FROM access_keys
     WHERE enabled AND (${endOfKey()}, id) > ($1, $2::uuid) AND ${endOfKey()} > $3 AND ${endOfKey()} < $4
     ORDER BY ${endOfKey()}, id LIMIT $5`,
    [at, id, window.now, window.until, window.limit],
  );
  const found = rows.map(({ id: owner, at: end, created_at: since }) => {
    return { at: end, since, owner, regenerationId: null, order: owner };
  });
  return await withSubjects(database, 'access_key', found);
}

async function findGracePeriods(database: Queryable, window: Window): Promise<Expiration[]> {
  const { until, now, limit } = window;
  const running = await listGracePeriods(database, now, limit, { after: startOf('grace_period', window), until });
  const found = running.map(({ owner, regeneration: { id, oldSecret, createdAt } }) => ({
    at: oldSecret.retiresAt as Date,
    since: createdAt,
    owner: owner.id,
    regenerationId: id,
    order: oldSecret.id,
  }));
  return await withSubjects(database, 'grace_period', found);
}

/** Names the client or access key of each. What was disabled in the meantime is left out. */
async function withSubjects(
  database: Queryable,
  kind: ExpirationKind,
  found: readonly (Omit<Expiration, 'kind' | 'subject'> & { owner: string })[],
): Promise<Expiration[]> {
  const subjects = await nameSubjects(
    database,
    found.map(({ owner }) => owner),
  );
  return found.flatMap(({ owner, ...each }) => {
    const subject = subjects.get(owner);
    return subject ? [{ ...each, kind, subject }] : [];
  });
}

async function findCertificates(database: Queryable, { now, until, after }: Window): Promise<Expiration[]> {
  const ending = await findEndingCertificates(database, now.getTime(), until.getTime() - now.getTime());
  return ending
    .map(({ row, end }): Expiration => {
      const subject = ofClient(row.client_id, row.name);
      const since = row.created_at;
      return { kind: 'certificate', at: new Date(end), since, subject, regenerationId: null, order: row.id };
    })
    .filter((item) => item.at > now && (!after || compare(item, after) > 0));
}

async function findSigningKey(database: Queryable, window: Window, days: number): Promise<Expiration[]> {
  if (days === 0) return [];
  const { now, until, after } = window;
  const keys = await listSigningKeys(database, now);
  const at = plannedRotationOf(keys, days);
  const kid = keys.find(({ state }) => state === 'current')?.kid;
  if (at === undefined || kid === undefined || at <= now.getTime() || at >= until.getTime()) return [];
  const item = {
    kind: 'signing_key',
    at: new Date(at),
    since: now,
    subject: null,
    regenerationId: null,
    order: kid,
  } as const;
  return !after || compare(item, after) > 0 ? [item] : [];
}

/** Returns the position after which rows of a kind are listed that are ordered by their end and a UUID. */
function startOf(kind: ExpirationKind, { now, after }: Window): { at: Date; id: string } {
  if (!after) return { at: now, id: lastUuid };
  if (kind === after.kind) return { at: after.at, id: after.order };
  return { at: after.at, id: kind < after.kind ? lastUuid : nilUuid };
}

function compare(one: ExpirationPosition, other: ExpirationPosition): number {
  const ms = one.at.getTime() - other.at.getTime();
  if (ms !== 0) return ms;
  if (one.kind !== other.kind) return one.kind < other.kind ? -1 : 1;
  return one.order < other.order ? -1 : Number(one.order > other.order);
}

/** Returns what happens at the end, as a sentence. */
export function describeExpiration({ kind, subject }: Pick<Expiration, 'kind' | 'subject'>): string {
  switch (kind) {
    case 'access_key':
      return 'The access key expires, and requests with it are rejected.';
    case 'certificate':
      return 'The last registered certificate expires, and the client can no longer authenticate with it.';
    case 'grace_period':
      return `The grace period ends, and the previous ${subject?.type === 'access_key' ? 'value' : 'credential'} is rejected.`;
    case 'signing_key':
      return 'The signing key is rotated automatically. Issued tokens stay valid.';
  }
}

/** Returns what to do before the end, as a sentence; null if nothing. */
export function stepBefore({ kind, subject }: Pick<Expiration, 'kind' | 'subject'>): string | null {
  switch (kind) {
    case 'access_key':
      return 'Set a later end, or replace the key.';
    case 'certificate':
      return 'Replace the certificate.';
    case 'grace_period':
      return `Move every program to the new ${subject?.type === 'access_key' ? 'value' : 'credential'}, or extend the grace period.`;
    case 'signing_key':
      return null;
  }
}
