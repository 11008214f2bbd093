import { currentOf, isLive, type Secret } from '../credentials/secret.ts';
import type { Clock } from '../process/clock.ts';
import { findSecrets, type OwnerRef } from '../secrets/secret-store.ts';
import type { Queryable, Row } from '../storage/database.ts';
import { type ClientKeyRecord, findClientKeys, keyGeneration } from './client-key-store.ts';
import { decodeCaller, type UsageSource } from './usage-source.ts';

/** Use of all secrets of an owner in a period. */
export type UsageReport = {
  since: Date;
  until: Date;
  /** Live secrets and those that were used or tried, newest first. */
  secrets: (SecretUsage & { secret: Secret; status: SecretStatus })[];
  /** Attempts that presented none of the owner's secrets. */
  withoutSecret: SecretUsage;
  /** The keys and certificates of a client that were used or tried, the latest used first. */
  keys: (SecretUsage & { key: ClientKeyRecord })[];
};

const maxKeys = 20;

type SecretStatus = 'current' | 'retiring' | 'ended' | 'undone';

export type SecretUsage = {
  issued: number;
  /** Uses for anything but a token: introspection, revocation, events. */
  used: number;
  /** Counts by reason. */
  refused: Record<string, number>;
  perHour: { startsAt: Date; issued: number; used: number; refused: number }[];
  /** Sources that used or tried the secret, latest first. */
  sources: UsageSource[];
};

const hourMs = 3_600_000;

/**
 * Reports the use of an owner's secrets.
 * @param hours length of the period, 1 to 720; the last hour is the current one.
 * @param first the keys or the certificate that a client was registered with, which have no row until they are replaced.
 */
export async function reportUsage(
  database: Queryable,
  deps: { clock: Clock },
  owner: OwnerRef,
  hours: number,
  first?: Secret,
): Promise<UsageReport> {
  const now = deps.clock();
  const since = new Date(now - hours * hourMs);
  const stored = await findSecrets(database, owner);
  const secrets = first && !currentOf(stored) ? [...stored, first] : stored;
  const rows = await findUsageHours(database, owner.id, since);
  const generations = [0, ...secrets.map(({ generation }) => generation)];
  const sources = (await findSources(database, owner.id, generations, now)).filter(
    ({ lastUsedAt, refusedAt }) => Math.max(Number(lastUsedAt), Number(refusedAt)) >= since.getTime(),
  );
  const current = currentOf(secrets);
  // Generation 0 is that of the first keys of a client and of attempts that presented none of its secrets.
  const hasFirst = secrets.some(({ generation }) => generation === 0);
  const usageOf = (generation: number, isOfSecret = true) =>
    summarise(
      rows.filter((row) => row.generation === generation && (generation > 0 || isOfFirst(row.outcome) === isOfSecret)),
      sources.filter(
        (source) =>
          source.generation === generation &&
          (generation > 0 || isOfFirst(source.lastUsedAt ? 'used' : (source.refusedAs ?? '')) === isOfSecret),
      ),
    );
  const isOfFirst = (outcome: string) => hasFirst && ofCredential.test(outcome);
  return {
    since,
    until: new Date(now),
    secrets: secrets
      .map((secret) => ({ secret, status: statusOf(secret, current, now), ...usageOf(secret.generation) }))
      .filter(({ secret, perHour }) => isLive(secret, now) || perHour.length > 0),
    withoutSecret: usageOf(0, false),
    keys: owner.kind === 'client' ? await reportKeys(database, owner.id, since, now) : [],
  };
}

/** Outcomes of requests that presented one of the credentials: accepted, refused with an OAuth error, or ended. */
const ofCredential = /^(issued|used|retired_secret|undone_secret|invalid_.*|unauthorized_client|unsupported_.*)$/;

async function reportKeys(database: Queryable, client: string, since: Date, now: number): Promise<UsageReport['keys']> {
  const keys = (await findClientKeys(database, [client])).get(client) ?? [];
  const used = keys.filter((key) => Math.max(Number(key.lastUsedAt), Number(key.refusedAt)) >= since.getTime());
  const reported: UsageReport['keys'] = [];
  for (const key of used.slice(0, maxKeys)) {
    const rows = await findUsageHours(database, key.id, since);
    const sources = await findSources(database, key.id, [keyGeneration], now);
    const latest = ({ lastUsedAt, refusedAt }: UsageSource) => Math.max(Number(lastUsedAt), Number(refusedAt));
    const recent = sources.filter((source) => latest(source) >= since.getTime());
    reported.push({ key, ...summarise(rows, recent) });
  }
  return reported;
}

function statusOf(secret: Secret, current: Secret | undefined, now: number): SecretStatus {
  if (secret.endedAs === 'undone') return 'undone';
  if (!isLive(secret, now)) return 'ended';
  return secret === current ? 'current' : 'retiring';
}

function summarise(rows: readonly UsageHour[], sources: UsageSource[]): SecretUsage {
  const usage: SecretUsage = { issued: 0, used: 0, refused: {}, perHour: [], sources };
  for (const { startsAt, outcome, count } of rows) {
    let hour = usage.perHour.at(-1);
    if (hour?.startsAt.getTime() !== startsAt.getTime()) {
      hour = { startsAt, issued: 0, used: 0, refused: 0 };
      usage.perHour.push(hour);
    }
    if (outcome === 'issued' || outcome === 'used') {
      usage[outcome] += count;
      hour[outcome] += count;
    } else {
      usage.refused[outcome] = (usage.refused[outcome] ?? 0) + count;
      hour.refused += count;
    }
  }
  return usage;
}

/** Number of uses or refusals of one secret in one hour or day. */
export type UsageHour = {
  generation: number;
  startsAt: Date;
  /** `issued`, `used` (for anything but a token), or the reason of a refusal. */
  outcome: string;
  count: number;
};

type SourceRow = Row & {
  owner: string;
  generation: number;
  address: string;
  user_agent: string;
  first_used_at: Date | null;
  last_used_at: Date | null;
  longest_gap: number;
  issued_24h: number;
  live_tokens: number;
  live_until: Date | null;
  held: number;
  obtained: number;
  refused: number;
  refused_at: Date | null;
  refused_as: string | null;
};

/**
 * Lists the sources that used or tried these secrets of an owner, latest first. Their number is bounded, because each
 * secret keeps a bounded number of sources.
 */
export async function findSources(
  database: Queryable,
  owner: string,
  generations: readonly number[],
  now: number,
): Promise<UsageSource[]> {
  return (await findSourcesOf(database, [owner], generations, now)).get(owner) ?? [];
}

/** Lists the sources that used or tried these secrets of several owners, in one statement. */
export async function findSourcesOf(
  database: Queryable,
  owners: readonly string[],
  generations: readonly number[],
  now: number,
): Promise<ReadonlyMap<string, UsageSource[]>> {
  const rows = await database.query<SourceRow>(
    `SELECT s.*, coalesce(cardinality(live), 0) AS live_tokens, live[1] AS live_until, (
       SELECT coalesce(sum(h.issued), 0)::bigint FROM usage_source_hours h
       WHERE (h.owner, h.generation, h.address, h.user_agent) = (s.owner, s.generation, s.address, s.user_agent)
         AND h.starts_at > $3
     ) AS issued_24h
     FROM (
       SELECT u.*, coalesce(max(gap) OVER (PARTITION BY owner, address, user_agent), 0)::bigint AS longest_gap
       FROM (${withGaps}) AS u
     ) AS s
     LEFT JOIN clients c ON c.id = s.owner LEFT JOIN access_keys k ON k.id = s.owner
     CROSS JOIN LATERAL (
       SELECT ARRAY(
         SELECT e FROM unnest(s.token_ends) AS e
         WHERE e > $4 AND s.tokens_epoch = coalesce(c.token_epoch, k.token_epoch) ORDER BY e DESC
       ) AS live
     ) AS held
     WHERE s.generation = ANY ($2::integer[])
     ORDER BY GREATEST(s.last_used_at, s.refused_at) DESC, s.address, s.user_agent`,
    [owners, generations, new Date(now - 24 * hourMs), new Date(now)],
  );
  const byOwner = new Map<string, UsageSource[]>();
  for (const row of rows) byOwner.set(row.owner, [...(byOwner.get(row.owner) ?? []), toSource(row)]);
  return byOwner;
}

function toSource(row: SourceRow): UsageSource {
  return {
    generation: row.generation,
    address: row.address,
    ...decodeCaller(row.user_agent),
    firstUsedAt: row.first_used_at,
    lastUsedAt: row.last_used_at,
    longestGapMs: Math.min(row.longest_gap * 1_000, longestGapMs),
    issued24h: row.issued_24h,
    liveTokens: row.live_tokens,
    tokensUntil: row.live_until,
    heldTokens: row.held,
    obtainedTokens: row.obtained,
    refused: row.refused,
    refusedAt: row.refused_at,
    refusedAs: row.refused_as,
  };
}

const longestGapMs = 30 * 24 * hourMs;

/**
 * Selects all sources of an owner with the longest time between two uses, in whole seconds, rounded up: either with one
 * secret, or from the last use of an earlier secret to the first use of this one.
 */
const withGaps = `
  SELECT *, ceil(extract(epoch FROM GREATEST(
    coalesce(longest_gap_seconds * interval '1 second', last_used_at - first_used_at),
    first_used_at - max(last_used_at) OVER (
      PARTITION BY owner, address, user_agent ORDER BY first_used_at, generation ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
  ))) AS gap FROM usage_sources WHERE owner = ANY ($1::uuid[])`;

/** Lists the use of all secrets of an owner by the hour, earliest first. */
export async function findUsageHours(database: Queryable, owner: string, since: Date): Promise<UsageHour[]> {
  const rows = await database.query<Row & { generation: number; starts_at: Date; outcome: string; count: number }>(
    `SELECT generation, starts_at, outcome, count FROM usage_hours
     WHERE owner = $1 AND starts_at > $2 ORDER BY starts_at, generation DESC, outcome`,
    [owner, since],
  );
  return rows.map(({ generation, starts_at, outcome, count }) => ({ generation, startsAt: starts_at, outcome, count }));
}

/**
 * Counts the tokens of this epoch that were obtained with these secrets and have not expired; at most a minute's worth
 * too many.
 */
export async function countLiveTokens(
  database: Queryable,
  owner: { id: string; tokenEpoch: number },
  generations: readonly number[],
  now: number,
): Promise<number> {
  const rows = await database.query<{ live: number }>(
    `SELECT coalesce(sum(count), 0)::bigint AS live FROM usage_live_tokens
     WHERE owner = $1 AND epoch = $2 AND generation = ANY ($3::integer[]) AND expires_at > $4`,
    [owner.id, owner.tokenEpoch, generations, new Date(now)],
  );
  return Math.max(0, rows[0]?.live ?? 0);
}

/**
 * Finds the last use of each secret of a page of owners, in one statement. Keys are `owner/generation`. Generation 0 also
 * has the last use of a client that is older than the usage that is kept.
 */
export async function findLastUsed(database: Queryable, owners: readonly string[]): Promise<Map<string, Date>> {
  const rows = await database.query<{ owner: string; generation: number; last_used_at: Date }>(
    `SELECT owner, generation, max(last_used_at) AS last_used_at FROM (
       SELECT owner, generation, last_used_at FROM usage_sources WHERE owner = ANY ($1::uuid[]) AND last_used_at IS NOT NULL
       UNION ALL
       SELECT id, 0, last_used_at FROM clients WHERE id = ANY ($1::uuid[]) AND last_used_at IS NOT NULL
     ) u GROUP BY owner, generation`,
    [owners],
  );
  return new Map(rows.map((row) => [`${row.owner}/${row.generation}`, row.last_used_at]));
}
