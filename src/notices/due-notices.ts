import { refusedSources } from '../attention/attention-item.ts';
import { type Expiration, type ExpirationPosition, listExpirations } from '../attention/expirations.ts';
import { findNewlyUnused } from '../attention/idle-credentials.ts';
import { findArchives } from '../audit/audit-archive.ts';
import { listAuditEvents } from '../audit/read-events.ts';
import type { Clock } from '../process/clock.ts';
import { requireRegeneration } from '../regeneration/regeneration-store.ts';
import type { OwnerRef } from '../secrets/secret-store.ts';
import type { Database, Queryable, Row } from '../storage/database.ts';
import { decodeCaller, presentPlace } from '../usage/usage-source.ts';
import { dueReminders, endedMoment, showSources } from './grace-periods.ts';
import { type NamedThing, nameThings, type ThingRef } from './name-things.ts';
import type { NoticeData, NoticeKind } from './notice.ts';
import { findRecordedMoments, insertNotices, noteMoments } from './notice-store.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** How often the checks run. One process runs them each time. */
const everyMs = 5 * 60_000;
/** How long after its moment a notice is still sent, if no process ran. */
const lateMs = 3 * dayMs;
/** Time after the end of a day in which every process has written its counts. */
const countedMs = 10 * 60_000;
/** Days before an expiry at which a reminder is sent. */
const thresholds = [30, 14, 7, 3, 1];
const maxRootKeyDays = 365;
const pageSize = 200;
const shownSources = 10;

type Deps = { database: Database; clock: Clock; ttlSeconds: number; rootKeyVersion: string };

/** A notice whose time has come, unless a notice of one of its moments was stored. */
type Due = {
  kind: NoticeKind;
  about: ThingRef;
  /** The moment of this notice. */
  moment: string;
  /** Earlier moments that this notice covers, because no process was there to tell them. */
  covered: readonly string[];
  data: NoticeData;
  /** Adds what takes more work to find out. */
  complete?: (named: NamedThing) => Promise<NoticeData>;
};

/**
 * Returns a function that stores the notices of moments that have come: reminders of grace periods, expiries, what is
 * unused, rejected or old. Several processes can call it as often as they like; each moment has one notice. A moment that
 * was missed while no process ran has its notice late, together with later ones about the same thing.
 */
export function createDueNotices(deps: Deps): () => Promise<void> {
  const { database, clock } = deps;
  let lastSlot = -1;
  return async () => {
    const now = clock();
    const slot = Math.floor(now / everyMs);
    if (slot === lastSlot) return;
    const moment = `checks:${new Date(slot * everyMs).toISOString()}`;
    const isOurs = await database.transaction((transaction) =>
      noteMoments(transaction, [{ moment, at: new Date(now) }], dayMs),
    );
    // A check that fails is repeated in the next slot, because late moments have notices too.
    lastSlot = slot;
    if (isOurs.length === 0) return;
    await walkExpirations(deps, now);
    await tell(deps, now, await findRefused(database, now));
    await tell(deps, now, await findUnused(database, now));
    await tell(deps, now, await findOldRootKey(deps, now));
  };
}

/** Goes through what has ended lately and what ends in the next 30 days, page by page. */
async function walkExpirations(deps: Deps, now: number): Promise<void> {
  for (const [from, days] of [
    [now - lateMs, lateMs / dayMs],
    [now, 31],
  ] as const) {
    let after: ExpirationPosition | undefined;
    for (;;) {
      const settings = { clock: () => from, signingKeyDays: 0 };
      const found = await listExpirations(deps.database, settings, { days, limit: pageSize, after });
      const page = found.slice(0, pageSize);
      await tell(
        deps,
        now,
        page.flatMap((item) => dueOf(deps, item, now)),
      );
      after = page.at(-1);
      if (found.length <= pageSize) break;
    }
  }
}

/** Returns the notice about something that ends, if one is due. */
function dueOf(deps: Deps, item: Expiration, now: number): Due[] {
  const { kind, at, since, subject, regenerationId: id } = item;
  if (subject?.type !== 'client' && subject?.type !== 'access_key') return [];
  const about = { type: subject.type, id: subject.id };
  const data: NoticeData = { ends_at: at.toISOString() };
  if (kind === 'grace_period' && id !== null) {
    const complete = async ({ thing, subject: { type } }: NamedThing) => {
      const owner = { kind: type, id: thing.slice(type.length + 1) } as OwnerRef;
      return await showSources(deps.database, deps, owner, await requireRegeneration(deps.database, owner, id));
    };
    const rotation = { ...data, regeneration_id: id };
    if (at.getTime() <= now) {
      return [{ kind: 'grace_period_ended', about, moment: endedMoment(id), covered: [], data: rotation, complete }];
    }
    const due = dueReminders({ id, began: since, endsAt: at }, now);
    const latest = due.at(-1);
    if (!latest) return [];
    const { moment, reminder } = latest;
    const covered = due.map((each) => each.moment);
    return [{ kind: 'grace_period_reminder', about, moment, covered, data: { ...rotation, reminder }, complete }];
  }
  if (kind !== 'access_key' && kind !== 'certificate') return [];
  const momentOf = (days: number) => `expires:${kind}:${item.order}:${at.toISOString()}:${days}`;
  if (at.getTime() <= now) {
    const expired = { ...data, credential: kind, days_left: 0 };
    return [{ kind: 'credential_expired', about, moment: momentOf(0), covered: [], data: expired }];
  }
  const passed = thresholds.filter((days) => {
    const moment = at.getTime() - days * dayMs;
    return moment <= now && moment > since.getTime();
  });
  const days = passed.at(-1);
  if (days === undefined) return [];
  const left = Math.ceil((at.getTime() - now) / dayMs);
  const expiring = { ...data, credential: kind, days_left: left };
  return [
    { kind: 'credential_expiring', about, moment: momentOf(days), covered: passed.map(momentOf), data: expiring },
  ];
}

type RefusedRow = Row & {
  owner: string;
  generation: number;
  address: string;
  user_agent: string;
  refused: number;
  refused_at: Date;
};

/** Finds credentials that were tried after their end: for the first time, and the sum of each day after it. */
async function findRefused(database: Queryable, now: number): Promise<Due[]> {
  const dayStart = Math.floor((now - countedMs) / dayMs) * dayMs;
  const rows = await database.query<RefusedRow>(refusedSources(), [new Date(Math.min(now, dayStart) - dayMs)]);
  const first = [...Map.groupBy(rows, ({ owner, generation }) => `${owner}:${generation}`)].map(
    ([key, sources]): Due => {
      const shown = sources.map((row) => presentPlace({ address: row.address, ...decodeCaller(row.user_agent) }));
      return {
        kind: 'retired_credential_used',
        about: ownerOf(String(sources[0]?.owner)),
        moment: `retired:${key}`,
        covered: [],
        data: {
          sources: shown.slice(0, shownSources),
          source_count: shown.length,
          requests: sources.reduce((sum, { refused }) => sum + refused, 0),
        },
      };
    },
  );
  const day = new Date(dayStart - dayMs);
  const sums = await database.query<{ owner: string; requests: number }>(
    `SELECT owner, sum(count)::bigint AS requests FROM usage_hours
     WHERE owner = ANY ($1::uuid[]) AND starts_at >= $2 AND starts_at < $3 AND hours = 1
       AND outcome IN ('retired_secret', 'undone_secret', 'key_left_set') GROUP BY owner`,
    [[...new Set(rows.map(({ owner }) => owner))], day, new Date(dayStart)],
  );
  const daily = sums.map(({ owner, requests }): Due => {
    const date = day.toISOString().slice(0, 10);
    return {
      kind: 'retired_credential_used',
      about: ownerOf(owner),
      moment: `retired:${owner}:${date}`,
      covered: [],
      data: { requests, day: date },
    };
  });
  return [...first, ...daily];
}

/** Refers to the owner of a secret, of which only the internal id is known. */
const ownerOf = (id: string): ThingRef => ({ type: 'client', id });

async function findUnused(database: Queryable, now: number): Promise<Due[]> {
  const found = await findNewlyUnused(database, now, 7 * dayMs);
  return found.map(({ type, id, lastUsedAt }) => ({
    kind: 'credential_unused',
    about: { type, id },
    moment: `unused:${type}:${id}:${lastUsedAt?.toISOString() ?? 'never'}`,
    covered: [],
    data: { last_used_at: lastUsedAt?.toISOString() ?? null },
  }));
}

/** Tells once a year that the current version of the root key is older than a year. */
async function findOldRootKey({ database, rootKeyVersion: version }: Deps, now: number): Promise<Due[]> {
  const [rotation] = await listAuditEvents(database, { action: 'root_key.rotate', limit: 1 });
  const archives = rotation ? [] : await findArchives(database);
  const archived = archives.findLast((archive) => archive.root_key_rotated_at)?.root_key_rotated_at;
  const known = rotation?.at ?? archived ?? archives[0]?.first_at;
  const since = known ?? (await listAuditEvents(database, { sort: 'at', limit: 1 }))[0]?.at;
  const days = since ? Math.floor((now - since.getTime()) / dayMs) : 0;
  if (days <= maxRootKeyDays) return [];
  const moment = `root key:${version}:${Math.floor(days / maxRootKeyDays)}`;
  return [
    { kind: 'root_key_old', about: { type: 'root_key', id: version }, moment, covered: [], data: { age_days: days } },
  ];
}

/** Stores the notices of moments that have none yet. */
async function tell({ database }: Deps, now: number, due: readonly Due[]): Promise<void> {
  const recorded = await findRecordedMoments(
    database,
    due.map(({ moment }) => moment),
  );
  const fresh = due.filter(({ moment }) => !recorded.has(moment));
  if (fresh.length === 0) return;
  const named = await nameThings(
    database,
    fresh.flatMap(({ about }) => [about, { type: 'access_key', id: about.id }]),
  );
  for (const { kind, about, moment, covered, data, complete } of fresh) {
    const found = named(about) ?? named({ type: 'access_key', id: about.id });
    if (!found?.isEnabled) continue;
    const { contactName, isEnabled: _, ...thing } = found;
    const shown = contactName === undefined ? {} : { contact_name: contactName };
    const more = complete ? await complete(found) : {};
    const at = new Date(now);
    await database.transaction(async (transaction) => {
      await insertNotices(transaction, [{ ...thing, kind, at, moment, data: { ...shown, ...data, ...more } }]);
      await noteMoments(
        transaction,
        covered.map((each) => ({ moment: each, at })),
      );
    });
  }
}
