import { hash } from 'node:crypto';
import type { KeyName } from '../credentials/registration.ts';
import type { Database, Queryable, Row, Transaction } from '../storage/database.ts';
import { toUuid } from '../text/read-text.ts';

/** A key or certificate that authenticated a client, or tried to. */
export type UsedKey = KeyName;

/** A key or certificate as its table holds it. */
export type ClientKeyRecord = KeyName & {
  id: string;
  /** Of the credential that it was last used with; null if it was not used. */
  generation: number | null;
  jwksUri: string | null;
  /** When it was first seen at its URL; null if it was not published. */
  publishedAt: Date | null;
  /** When it was first missing there; null if it is still published. */
  leftAt: Date | null;
  firstUsedAt: Date | null;
  lastUsedAt: Date | null;
  refusedAt: Date | null;
};

/** Counts of a key as a row with the names of the columns. */
export type UsedKeyRow = {
  id: string;
  client: string;
  thumbprint: string;
  kind: KeyName['kind'];
  kid: string | null;
  generation: number | null;
  first_used_at: Date | null;
  last_used_at: Date | null;
  refused_at: Date | null;
};

/** The generation under which the use of a key itself is counted. */
export const keyGeneration = 1;
/** Maximum number of keys of one client that are stored. */
const maxKeysPerClient = 50;
const keepMs = 90 * 86_400_000;

/** Returns the id of a key of a client, which is the owner of its counts. No look-up is needed to find it. */
export function keyIdOf(client: string, { thumbprint }: Pick<KeyName, 'thumbprint'>): string {
  const hex = hash('sha256', `${client} ${thumbprint}`, 'hex');
  return toUuid(hex.slice(0, 32));
}

/**
 * Records the use of keys. Keeps the latest of each client, so that a client that uses a new key for each request takes
 * a bounded amount of storage.
 * @returns the ids of those that are not kept.
 */
export async function addUsedKeys(
  transaction: Transaction,
  keys: readonly UsedKeyRow[],
  expiresAt: Date,
): Promise<ReadonlySet<string>> {
  if (keys.length === 0) return new Set();
  const rows = await transaction.query<{ client: string; is_new: boolean }>(
    `INSERT INTO client_keys AS k (id, client, thumbprint, kind, kid, generation, first_used_at, last_used_at, refused_at, expires_at)
     SELECT id, client, thumbprint, kind, kid, generation, first_used_at, last_used_at, refused_at, $2
     FROM jsonb_populate_recordset(NULL::client_keys, $1::jsonb) ORDER BY id
     ON CONFLICT (id) DO UPDATE SET kid = coalesce(excluded.kid, k.kid), generation = coalesce(excluded.generation, k.generation),
       first_used_at = LEAST(k.first_used_at, excluded.first_used_at),
       last_used_at = GREATEST(k.last_used_at, excluded.last_used_at),
       refused_at = GREATEST(k.refused_at, excluded.refused_at), expires_at = GREATEST(k.expires_at, excluded.expires_at)
     RETURNING client, xmax = 0 AS is_new`,
    [JSON.stringify(keys), expiresAt],
  );
  return await dropOldKeys(transaction, [...new Set(rows.filter((row) => row.is_new).map(({ client }) => client))]);
}

/** Deletes all but the latest keys of these clients, with their counts. Returns their ids. */
async function dropOldKeys(transaction: Transaction, clients: readonly string[]): Promise<ReadonlySet<string>> {
  if (clients.length === 0) return new Set();
  const dropped = await transaction.query<{ id: string }>(
    // Rows that another process has locked are in use there.
    `DELETE FROM client_keys WHERE id IN (
       SELECT id FROM client_keys WHERE id IN (
         SELECT id FROM (
           SELECT id, row_number() OVER (PARTITION BY client ORDER BY
             (published_at IS NOT NULL AND left_at IS NULL) DESC, GREATEST(last_used_at, refused_at, published_at) DESC NULLS LAST, id) AS place
           FROM client_keys WHERE client = ANY ($1::uuid[])
         ) AS placed WHERE place > ${maxKeysPerClient}
       ) FOR UPDATE SKIP LOCKED
     ) RETURNING id`,
    [clients],
  );
  const ids = dropped.map(({ id }) => id);
  if (ids.length > 0) {
    for (const table of ['usage_hours', 'usage_sources', 'usage_source_hours', 'usage_live_tokens']) {
      await transaction.query(`DELETE FROM ${table} WHERE owner = ANY ($1::uuid[])`, [ids]);
    }
  }
  return new Set(ids);
}

type ClientKeyRow = Row & UsedKeyRow & { jwks_uri: string | null; published_at: Date | null; left_at: Date | null };

/** Finds the keys and certificates of a page of clients by the clients' ids, the latest used first. */
export async function findClientKeys(
  database: Queryable,
  clients: readonly string[],
): Promise<ReadonlyMap<string, readonly ClientKeyRecord[]>> {
  const rows = await database.query<ClientKeyRow>(
    `SELECT id, client, thumbprint, kind, kid, generation, jwks_uri, published_at, left_at, first_used_at, last_used_at, refused_at
     FROM client_keys WHERE client = ANY ($1::uuid[]) ORDER BY last_used_at DESC NULLS LAST, id`,
    [clients],
  );
  return Map.groupBy(rows.map(toRecord), ({ client }) => client);
}

function toRecord(row: ClientKeyRow): ClientKeyRecord & { client: string } {
  return {
    id: row.id,
    client: row.client,
    kind: row.kind,
    kid: row.kid,
    thumbprint: row.thumbprint,
    generation: row.generation,
    jwksUri: row.jwks_uri,
    publishedAt: row.published_at,
    leftAt: row.left_at,
    firstUsedAt: row.first_used_at,
    lastUsedAt: row.last_used_at,
    refusedAt: row.refused_at,
  };
}

/**
 * Records which keys a client publishes at its URL now: since when each of them is there, and when each earlier one was
 * missing first. Keeps the latest keys of the client, so that a URL with new keys at each fetch takes a bounded amount
 * of storage.
 */
export async function savePublishedKeys(
  database: Database,
  client: string,
  jwksUri: string,
  keys: readonly { kid: string | undefined; thumbprint: string; jwk: Readonly<Record<string, unknown>> }[],
  at: Date,
): Promise<void> {
  // One key may be published under several kids.
  const rows = new Map(
    keys.map(({ kid, thumbprint, jwk }) => {
      const id = keyIdOf(client, { thumbprint });
      return [id, { id, thumbprint, kid: kid ?? null, jwk }];
    }),
  );
  const parameters = [JSON.stringify([...rows.values()]), client, jwksUri, at, new Date(at.getTime() + keepMs)];
  await database.transaction(async (transaction) => {
    await transaction.query(savePublished, parameters);
    await dropOldKeys(transaction, [client]);
  });
}

const savePublished = `
  WITH published AS (
    SELECT id, thumbprint, kid, jwk FROM jsonb_populate_recordset(NULL::client_keys, $1::jsonb)
  ), present AS (
    INSERT INTO client_keys AS k (id, client, thumbprint, kind, kid, jwk, jwks_uri, published_at, expires_at)
    SELECT id, $2, thumbprint, 'key', kid, jwk, $3, $4, $5 FROM published ORDER BY id
    ON CONFLICT (id) DO UPDATE SET kid = excluded.kid, jwk = excluded.jwk, jwks_uri = excluded.jwks_uri,
      -- Another process may have read the URL later.
      left_at = CASE WHEN k.left_at > excluded.published_at THEN k.left_at END,
      published_at = coalesce(k.published_at, excluded.published_at), expires_at = GREATEST(k.expires_at, excluded.expires_at)
  )
  UPDATE client_keys SET left_at = $4
  WHERE client = $2 AND jwks_uri = $3 AND published_at < $4 AND left_at IS NULL AND id NOT IN (SELECT id FROM published)`;

/** Finds keys that a client no longer publishes, the latest first. @param client any id, so that unknown clients take as long. */
export async function findLeftKeys(
  database: Queryable,
  client: string,
): Promise<{ kid: string | null; thumbprint: string; jwk: Record<string, unknown> }[]> {
  return await database.query<Row & { kid: string | null; thumbprint: string; jwk: Record<string, unknown> }>(
    `SELECT kid, thumbprint, jwk FROM client_keys
     WHERE client = $1 AND left_at IS NOT NULL AND jwk IS NOT NULL ORDER BY left_at DESC LIMIT 20`,
    [client],
  );
}
