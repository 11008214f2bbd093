import { randomUUID } from 'node:crypto';
import type { UsedKey } from './client-key-store.ts';
import { encodeCaller, type SourceName } from './usage-source.ts';
import type { UsageBatch } from './usage-store.ts';

/** Counts of one credential or key within one minute. */
export type SecretCount = {
  secret: { owner: string; generation: number };
  /** The key or certificate that these counts are of; undefined if they are of a credential. */
  key: CountedKey | undefined;
  outcomes: Map<string, number>;
  /** Token counts by the owner's epoch. */
  tokens: Map<number, number>;
  /** The longest lifetime of these tokens in seconds. All of them count as live until then. */
  longestSeconds: number;
  /** Sources by address, user agent and instance, so that counting a token builds no string. */
  sources: Map<string, Map<string, Map<string | undefined, SourceCount>>>;
  /** Number of sources that name no instance. */
  unnamedCount: number;
  /** Number of sources that name their instance. */
  namedCount: number;
  /** Source that was counted last, which is usually also the next one. */
  latest: SourceCount | undefined;
};

/** @property generation That of the credential that the key was last used with. */
type CountedKey = UsedKey & { client: string; generation: number };

/** Counts of one source of a credential or key. */
export type SourceCount = SourceName & {
  issued: number;
  /** The longest lifetime of its tokens in seconds. All of them count as live until then. */
  longestSeconds: number;
  /** The owner's epoch when the last of them was issued. */
  epoch: number;
  firstUsedAt: number;
  lastUsedAt: number;
  refused: number;
  refusedAt: number;
  refusedAs: string | null;
};

const hourMs = 3_600_000;
export const minuteMs = 60_000;

/** Returns a batch with these rejected requests, these uses from outside the watched networks, and no counts. */
export function batchOf(rejected: UsageBatch['rejected'], outside: UsageBatch['outside'] = []): UsageBatch {
  return { id: randomUUID(), hours: [], tokens: [], sources: [], keys: [], rejected, outside };
}

/** Converts counts of one minute to rows. @param startedAt when that minute began. */
export function toBatch(counts: readonly SecretCount[], startedAt: number): UsageBatch {
  const batch = batchOf([]);
  const starts_at = new Date(Math.floor(startedAt / hourMs) * hourMs);
  const endOf = (lifetimeSeconds: number) => new Date(startedAt + minuteMs + lifetimeSeconds * 1_000);
  for (const { secret, key, outcomes, tokens, longestSeconds, sources } of counts) {
    const expires_at = endOf(longestSeconds);
    const { owner, generation } = secret;
    const ofSources = [...sources.values()]
      .flatMap((ofAddress) => [...ofAddress.values()])
      .flatMap((ofAgent) => [...ofAgent.values()]);
    if (key) batch.keys.push(toKeyRow(owner, key, ofSources));
    for (const [outcome, count] of outcomes) batch.hours.push({ owner, generation, starts_at, outcome, count });
    for (const [epoch, count] of tokens) batch.tokens.push({ owner, generation, epoch, expires_at, count });
    for (const source of ofSources) {
      batch.sources.push({
        owner,
        generation,
        address: source.address,
        user_agent: encodeCaller(source),
        starts_at,
        issued: source.issued,
        tokens_until: source.longestSeconds > 0 ? endOf(source.longestSeconds) : null,
        tokens_epoch: source.epoch,
        first_used_at: dateOf(source.firstUsedAt),
        last_used_at: dateOf(source.lastUsedAt),
        refused: source.refused,
        refused_at: dateOf(source.refusedAt),
        refused_as: source.refusedAs,
      });
    }
  }
  return batch;
}

function toKeyRow(id: string, key: CountedKey, sources: readonly SourceCount[]): UsageBatch['keys'][number] {
  const uses = sources.filter(({ lastUsedAt }) => lastUsedAt > 0);
  return {
    id,
    client: key.client,
    thumbprint: key.thumbprint,
    kind: key.kind,
    kid: key.kid,
    generation: uses.length > 0 ? key.generation : null,
    first_used_at: uses.length > 0 ? new Date(Math.min(...uses.map(({ firstUsedAt }) => firstUsedAt))) : null,
    last_used_at: dateOf(Math.max(0, ...uses.map(({ lastUsedAt }) => lastUsedAt))),
    refused_at: dateOf(Math.max(0, ...sources.map(({ refusedAt }) => refusedAt))),
  };
}

function dateOf(time: number): Date | null {
  return time === 0 ? null : new Date(time);
}
