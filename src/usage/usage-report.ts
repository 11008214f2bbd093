import { isLive, type Secret } from '../credentials/secret.ts';
import type { Clock } from '../process/clock.ts';
import { currentOf } from '../regeneration/regeneration.ts';
import type { OwnerRef } from '../secrets/secret-owner.ts';
import { findSecrets } from '../secrets/secret-store.ts';
import type { Queryable } from '../storage/database.ts';
import type { UsageSource } from './usage-source.ts';
import { findSources, findUsageHours, type UsageHour } from './usage-store.ts';

/** Use of all secrets of an owner in a period. */
export type UsageReport = {
  since: Date;
  until: Date;
  /** Live secrets and those that were used or tried, newest first. */
  secrets: (SecretUsage & { secret: Secret; status: SecretStatus })[];
  /** Attempts that presented none of the owner's secrets. */
  withoutSecret: SecretUsage;
};

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
 * Reports the use of an owner's secrets. @param hours length of the period, 1 to 720; the last hour is the current one.
 */
export async function reportUsage(
  database: Queryable,
  deps: { clock: Clock },
  owner: OwnerRef,
  hours: number,
): Promise<UsageReport> {
  const now = deps.clock();
  const since = new Date(now - hours * hourMs);
  const secrets = await findSecrets(database, owner);
  const rows = await findUsageHours(database, owner.id, since);
  const generations = [0, ...secrets.map(({ generation }) => generation)];
  const sources = (await findSources(database, owner.id, generations, now)).filter(
    ({ lastUsedAt, refusedAt }) => Math.max(Number(lastUsedAt), Number(refusedAt)) >= since.getTime(),
  );
  const current = currentOf(secrets);
  const usageOf = (generation: number) =>
    summarise(
      rows.filter((row) => row.generation === generation),
      sources.filter((source) => source.generation === generation),
    );
  return {
    since,
    until: new Date(now),
    secrets: secrets
      .map((secret) => ({ secret, status: statusOf(secret, current, now), ...usageOf(secret.generation) }))
      .filter(({ secret, perHour }) => isLive(secret, now) || perHour.length > 0),
    withoutSecret: usageOf(0),
  };
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
