import type { Database, Transaction } from '../storage/database.ts';
import { addUsedKeys, type UsedKeyRow } from './client-key-store.ts';

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
    first_used_at: Date | null;
    last_used_at: Date | null;
    refused: number;
    refused_at: Date | null;
    refused_as: string | null;
  }[];
  /** Keys and certificates that have counts of their own, with their id as the owner. */
  keys: UsedKeyRow[];
};

/** Writes more data of a batch, in the same transaction as its counts. */
export type NoteUse = (transaction: Transaction, batch: UsageBatch) => Promise<void>;

const maxSourcesPerSecret = 100;
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
  await database.transaction(async (transaction) => {
    const fresh = await transaction.query(
      'INSERT INTO usage_batches (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING 1',
      [batch.id, new Date(now + hourMs)],
    );
    if (fresh.length === 0) return;
    const dropped = await addUsedKeys(transaction, batch.keys, new Date(now + keepSourcesMs));
    const kept = <R extends { owner: string }>(rows: readonly R[]) =>
      dropped.size === 0 ? rows : rows.filter(({ owner }) => !dropped.has(owner));
    await transaction.query(addHours, [JSON.stringify(kept(batch.hours))]);
    await transaction.query(addTokens, [JSON.stringify(kept(batch.tokens))]);
    await transaction.query(addSources, [
      JSON.stringify(kept(batch.sources)),
      maxSourcesPerSecret,
      new Date(now + keepSourcesMs),
    ]);
    await noteUse(transaction, batch);
  });
}

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

/**
 * Adds the sources of a batch. A source beyond the limit of its secret is added to the row that stands for all others.
 */
const addSources = `
  WITH batch AS (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS b (owner uuid, generation integer, address text, user_agent text,
      starts_at timestamptz, issued bigint, first_used_at timestamptz, last_used_at timestamptz, refused bigint,
      refused_at timestamptz, refused_as text)
  ), known AS (
    SELECT owner, generation, count(*) AS sources FROM usage_sources
    WHERE (owner, generation) IN (SELECT owner, generation FROM batch) GROUP BY owner, generation
  ), placed AS (
    SELECT b.*, s.owner IS NOT NULL OR coalesce(k.sources, 0) + row_number() OVER (
        PARTITION BY b.owner, b.generation, s.owner IS NULL ORDER BY b.last_used_at DESC NULLS LAST, b.address, b.user_agent
      ) < $2::integer AS kept
    FROM batch b
    LEFT JOIN usage_sources s ON (s.owner, s.generation, s.address, s.user_agent) = (b.owner, b.generation, b.address, b.user_agent)
    LEFT JOIN known k ON (k.owner, k.generation) = (b.owner, b.generation)
  ), rows AS (
    SELECT owner, generation, CASE WHEN kept THEN address ELSE '*' END AS address,
      CASE WHEN kept THEN user_agent ELSE '' END AS user_agent, starts_at, sum(issued) AS issued,
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
    refused_as, longest_gap_seconds, expires_at)
  SELECT owner, generation, address, user_agent, first_used_at, last_used_at, refused, refused_at, refused_as, 0, $3 FROM rows
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
    expires_at = GREATEST(s.expires_at, excluded.expires_at)`;

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
