import type { Database, Row, Transaction } from '../storage/database.ts';
import { addUsedKeys, type UsedKeyRow } from './client-key-store.ts';
import { type OutsideUse, saveOutsideUses } from './network-watches.ts';
import { type RejectedRequest, saveRejectedRequests } from './rejected-requests.ts';
import { decodeCaller } from './usage-source.ts';

const hourMs = 3_600_000;

/** Counts since the last batch, as rows with the names of the columns. */
export type UsageBatch = {
  /** Identifies the batch, so that one that is sent again counts once. */
  id: string;
  hours: { owner: string; generation: number; starts_at: Date; outcome: string; count: number }[];
  tokens: { owner: string; generation: number; epoch: number; expires_at: Date; count: number }[];
  sources: {
    owner: string;
    generation: number;
    address: string;
    user_agent: string;
    starts_at: Date;
    issued: number;
    /** When the last of its tokens expires; null if none was issued. */
    tokens_until: Date | null;
    tokens_epoch: number;
    first_used_at: Date | null;
    last_used_at: Date | null;
    refused: number;
    refused_at: Date | null;
    refused_as: string | null;
  }[];
  /** Keys and certificates that have counts of their own, with their id as the owner. */
  keys: UsedKeyRow[];
  rejected: RejectedRequest[];
  outside: OutsideUse[];
};

/** A source that a batch has added to those of a credential. */
export type NewSource = { owner: string; address: string; lastUsedAt: Date };

/** Writes more data of a batch, in the same transaction as its counts. @param added the sources that are new. */
export type NoteUse = (transaction: Transaction, batch: UsageBatch, added: readonly NewSource[]) => Promise<void>;

/** Maximum number of sources of one secret that are stored, and as many again that name their instance. */
const maxSourcesPerSecret = 100;
/** Maximum number of tokens that a source is known to hold. */
const maxHeldTokens = 60;
const keepSourcesMs = 90 * 24 * hourMs;

/**
 * Adds a batch to the stored counts, which several processes can do. Rows are written in the order of their keys, so
 * that two processes never deadlock.
 */
export async function addUsage(
  database: Database,
  batch: UsageBatch,
  now: number,
  noteUse: NoteUse = async () => undefined,
): Promise<void> {
  const added = await database.transaction(async (transaction) => {
    const fresh = await transaction.query(
      'INSERT INTO usage_batches (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING 1',
      [batch.id, new Date(now + hourMs)],
    );
    if (fresh.length === 0) return [];
    const dropped = await addUsedKeys(transaction, batch.keys, new Date(now + keepSourcesMs));
    const kept = <R extends { owner: string }>(rows: readonly R[]) =>
      dropped.size === 0 ? rows : rows.filter(({ owner }) => !dropped.has(owner));
    await transaction.query(addHours, [JSON.stringify(kept(batch.hours))]);
    await transaction.query(addTokens, [JSON.stringify(kept(batch.tokens))]);
    const sources = await transaction.query<AddedSource>(addSources, [
      JSON.stringify(kept(batch.sources)),
      maxSourcesPerSecret,
      new Date(now + keepSourcesMs),
    ]);
    await saveRejectedRequests(transaction, batch.rejected);
    await saveOutsideUses(transaction, batch.outside);
    const added = sources.flatMap(({ owner, address, is_new, last_used_at: lastUsedAt }) =>
      is_new && lastUsedAt ? [{ owner, address, lastUsedAt }] : [],
    );
    await noteUse(transaction, batch, added);
    return sources.filter(({ is_new, user_agent }) => is_new && decodeCaller(user_agent).instance !== undefined);
  });
  const secrets = new Map(added.map((source) => [`${source.owner} ${source.generation}`, source]));
  for (const { owner, generation } of secrets.values()) await mergeOldInstances(database, owner, generation);
}

type AddedSource = Row & {
  owner: string;
  generation: number;
  address: string;
  user_agent: string;
  last_used_at: Date | null;
  is_new: boolean;
};

const addHours = `
  INSERT INTO usage_hours (owner, generation, starts_at, hours, outcome, count)
  SELECT owner, generation, starts_at, 1, outcome, count
  FROM jsonb_to_recordset($1::jsonb) AS b (owner uuid, generation integer, starts_at timestamptz, outcome text, count bigint)
  ORDER BY owner, generation, starts_at, outcome
  ON CONFLICT (owner, generation, starts_at, hours, outcome) DO UPDATE SET count = usage_hours.count + excluded.count`;

const addTokens = `
  INSERT INTO usage_live_tokens (owner, generation, epoch, expires_at, count)
  SELECT owner, generation, epoch, expires_at, count
  FROM jsonb_to_recordset($1::jsonb) AS b (owner uuid, generation integer, epoch integer, expires_at timestamptz, count bigint)
  ORDER BY owner, expires_at, generation, epoch
  ON CONFLICT (owner, expires_at, generation, epoch) DO UPDATE SET count = usage_live_tokens.count + excluded.count`;

/** Whether a source names its instance (usage-source.ts). */
const isNamed = 'strpos(user_agent, chr(31)) > 0';

/**
 * Adds the sources of a batch. A source beyond the limit of its secret is added to the row that stands for all others.
 * A source that names its instance is always added by itself; afterwards, the oldest of these are merged.
 */
const addSources = `
  WITH batch AS (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS b (owner uuid, generation integer, address text, user_agent text,
      starts_at timestamptz, issued bigint, tokens_until timestamptz, tokens_epoch integer, first_used_at timestamptz, last_used_at timestamptz, refused bigint,
      refused_at timestamptz, refused_as text)
  ), named AS (
    SELECT *, ${isNamed} AS named FROM batch
  ), known AS (
    SELECT owner, generation, count(*) AS sources FROM usage_sources
    WHERE (owner, generation) IN (SELECT owner, generation FROM batch) AND NOT ${isNamed} GROUP BY owner, generation
  ), placed AS (
    SELECT b.*, b.named OR s.owner IS NOT NULL OR coalesce(k.sources, 0) + row_number() OVER (
        PARTITION BY b.owner, b.generation, b.named, s.owner IS NULL
        ORDER BY b.last_used_at DESC NULLS LAST, b.address, b.user_agent
      ) < $2::integer AS kept
    FROM named b
    LEFT JOIN usage_sources s ON (s.owner, s.generation, s.address, s.user_agent) = (b.owner, b.generation, b.address, b.user_agent)
    LEFT JOIN known k ON (k.owner, k.generation) = (b.owner, b.generation)
  ), rows AS (
    SELECT owner, generation, CASE WHEN kept THEN address ELSE '*' END AS address,
      CASE WHEN kept THEN user_agent ELSE '' END AS user_agent, starts_at, sum(issued) AS issued,
      max(tokens_until) AS tokens_until, max(tokens_epoch) AS tokens_epoch,
      min(first_used_at) AS first_used_at, max(last_used_at) AS last_used_at, sum(refused) AS refused,
      max(refused_at) AS refused_at, (array_agg(refused_as ORDER BY refused_at DESC NULLS LAST))[1] AS refused_as
    FROM placed GROUP BY 1, 2, 3, 4, 5
  ), hours AS (
    INSERT INTO usage_source_hours (owner, generation, address, user_agent, starts_at, issued, expires_at)
    SELECT owner, generation, address, user_agent, starts_at, issued, starts_at + interval '25 hours' FROM rows WHERE issued > 0
    ORDER BY owner, generation, address, user_agent
    ON CONFLICT (owner, generation, address, user_agent, starts_at)
      DO UPDATE SET issued = usage_source_hours.issued + excluded.issued
  )
  INSERT INTO usage_sources AS s (owner, generation, address, user_agent, first_used_at, last_used_at, refused, refused_at,
    refused_as, longest_gap_seconds, expires_at, token_ends, tokens_epoch, held, held_at, obtained)
  SELECT owner, generation, address, user_agent, first_used_at, last_used_at, refused, refused_at, refused_as, 0, $3,
    array_remove(ARRAY[tokens_until], NULL), tokens_epoch, num_nonnulls(tokens_until), CASE WHEN tokens_until IS NOT NULL THEN last_used_at END,
    num_nonnulls(tokens_until) FROM rows
  ORDER BY owner, generation, address, user_agent
  ON CONFLICT (owner, generation, address, user_agent) DO UPDATE SET
    first_used_at = LEAST(s.first_used_at, excluded.first_used_at),
    last_used_at = GREATEST(s.last_used_at, excluded.last_used_at),
    longest_gap_seconds = GREATEST(
      coalesce(s.longest_gap_seconds, ceil(extract(epoch FROM s.last_used_at - s.first_used_at))),
      ceil(extract(epoch FROM excluded.first_used_at - s.last_used_at))),
    refused = s.refused + excluded.refused,
    refused_as = CASE WHEN excluded.refused_at >= coalesce(s.refused_at, excluded.refused_at)
      THEN excluded.refused_as ELSE s.refused_as END,
    refused_at = GREATEST(s.refused_at, excluded.refused_at),
    expires_at = GREATEST(s.expires_at, excluded.expires_at),
    (token_ends, tokens_epoch, held, held_at, obtained) = (
      SELECT ends, excluded.tokens_epoch,
        CASE WHEN keeps THEN s.held ELSE cardinality(ends) END, CASE WHEN keeps THEN s.held_at ELSE excluded.held_at END,
        s.obtained + CASE WHEN excluded.token_ends <@ s.token_ends THEN 0 ELSE 1 END
      FROM (
        -- Tokens of another epoch were revoked. Epochs are random numbers, so the later one is not the greater one.
        SELECT ARRAY(
          SELECT DISTINCT e FROM unnest(
            CASE WHEN s.tokens_epoch = excluded.tokens_epoch THEN s.token_ends ELSE '{}' END || excluded.token_ends
          ) AS e WHERE e > excluded.held_at ORDER BY e DESC LIMIT ${maxHeldTokens}
        ) AS ends
      ) AS now, LATERAL (
        SELECT s.held > cardinality(ends) AND s.held_at > excluded.held_at - interval '30 days' AS keeps
      ) AS peak WHERE excluded.held_at IS NOT NULL
      UNION ALL SELECT s.token_ends, s.tokens_epoch, s.held, s.held_at, s.obtained WHERE excluded.held_at IS NULL
    )
  RETURNING owner, generation, address, user_agent, last_used_at, xmax = 0 AS is_new`;

/**
 * Merges all but the latest sources that name their instance into the row that stands for all others, so that replicas
 * with a new name at each start take a bounded amount of storage. That row never counts as moved (regeneration-progress.ts),
 * so no source does because it was merged.
 *
 * This is a transaction of its own that locks the row of all others first, and no source that another process is
 * writing. A process that writes counts can therefore wait for this one, but not the other way round.
 */
async function mergeOldInstances(database: Database, owner: string, generation: number): Promise<void> {
  const parameters = [owner, generation, maxSourcesPerSecret];
  const old = await database.query(`${oldInstances} LIMIT 1`, parameters);
  if (old.length === 0) return;
  await database.transaction(async (transaction) => {
    await transaction.query(
      `INSERT INTO usage_sources AS s (owner, generation, address, user_agent, refused, expires_at)
       SELECT $1::uuid, $2::integer, '*', '', 0, max(expires_at) FROM usage_sources WHERE owner = $1 AND generation = $2 HAVING count(*) > 0
       ON CONFLICT (owner, generation, address, user_agent) DO UPDATE SET expires_at = GREATEST(s.expires_at, excluded.expires_at)`,
      [owner, generation],
    );
    await transaction.query(mergeInstances, parameters);
  });
}

const oldInstances = `
  SELECT address, user_agent FROM usage_sources WHERE owner = $1 AND generation = $2 AND ${isNamed}
  ORDER BY GREATEST(last_used_at, refused_at) DESC, address, user_agent OFFSET $3`;

const mergeInstances = `
  WITH old AS (
    DELETE FROM usage_sources s WHERE owner = $1 AND generation = $2 AND (address, user_agent) IN (
      SELECT address, user_agent FROM usage_sources WHERE owner = $1 AND generation = $2
        AND (address, user_agent) IN (${oldInstances}) FOR UPDATE SKIP LOCKED
    ) RETURNING *
  ), hours AS (
    DELETE FROM usage_source_hours h USING old
    WHERE (h.owner, h.generation, h.address, h.user_agent) = (old.owner, old.generation, old.address, old.user_agent)
    RETURNING h.*
  ), merged_hours AS (
    INSERT INTO usage_source_hours AS h (owner, generation, address, user_agent, starts_at, issued, expires_at)
    SELECT $1::uuid, $2::integer, '*', '', starts_at, sum(issued), max(expires_at) FROM hours GROUP BY starts_at
    ON CONFLICT (owner, generation, address, user_agent, starts_at) DO UPDATE SET issued = h.issued + excluded.issued
  )
  UPDATE usage_sources s SET
    first_used_at = LEAST(s.first_used_at, o.first_used_at), last_used_at = GREATEST(s.last_used_at, o.last_used_at),
    refused = s.refused + o.refused, refused_at = GREATEST(s.refused_at, o.refused_at),
    refused_as = CASE WHEN o.refused_at >= coalesce(s.refused_at, o.refused_at) THEN o.refused_as ELSE s.refused_as END
  FROM (
    SELECT min(first_used_at) AS first_used_at, max(last_used_at) AS last_used_at, coalesce(sum(refused), 0) AS refused,
      max(refused_at) AS refused_at, (array_agg(refused_as ORDER BY refused_at DESC NULLS LAST))[1] AS refused_as FROM old
  ) AS o
  WHERE s.owner = $1 AND s.generation = $2 AND s.address = '*' AND s.user_agent = ''`;

const rollUpBatch = 1_000;

/** Sums hours older than 31 days into days, and deletes days older than 400 days. Returns whether more are left. */
export async function rollUpUsage(database: Database): Promise<boolean> {
  const rolled = await database.query(
    `WITH old AS (
       DELETE FROM usage_hours WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM usage_hours WHERE hours = 1 AND starts_at < now() - interval '31 days'
         ORDER BY starts_at LIMIT ${rollUpBatch} FOR UPDATE SKIP LOCKED
       )) RETURNING *
     ), days AS (
       INSERT INTO usage_hours AS u (owner, generation, starts_at, hours, outcome, count)
       SELECT owner, generation, date_trunc('day', starts_at, 'UTC'), 24, outcome, sum(count) FROM old
       GROUP BY 1, 2, 3, 5 ORDER BY 1, 2, 3, 5
       ON CONFLICT (owner, generation, starts_at, hours, outcome) DO UPDATE SET count = u.count + excluded.count
     ) SELECT 1 FROM old`,
  );
  const ended = await database.query(
    `DELETE FROM usage_hours WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM usage_hours WHERE hours = 24 AND starts_at < now() - interval '400 days'
       ORDER BY starts_at LIMIT ${rollUpBatch} FOR UPDATE SKIP LOCKED
     )) RETURNING 1`,
  );
  return rolled.length === rollUpBatch || ended.length === rollUpBatch;
}
