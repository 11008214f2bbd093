import type { Actor } from '../audit/audit-log.ts';
import { readRegistration, type StoredRegistration } from '../credentials/registration.ts';
import { isLive, type Secret } from '../credentials/secret.ts';
import { NotFound } from '../errors.ts';
import { type OwnerRef, saveSecretEnd } from '../secrets/secret-store.ts';
import { recordChange } from '../storage/change.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { isOwn } from '../storage/organization-limit.ts';
import { presentPlace } from '../usage/usage-source.ts';
import type { MarkedSource } from './judge-sources.ts';

/** One rotation: a previous secret, and the one that replaced it. */
export type Regeneration = {
  id: string;
  oldSecret: RotatedSecret;
  newSecret: RotatedSecret;
  finishWhenUnused: boolean;
  revokeTokens: boolean;
  createdAt: Date;
  createdBy: string;
  /** Sources of the previous secret that an operator has marked as moved. */
  markedSources: MarkedSource[];
  /** Early end of the grace period: when, how and by whom. Null if it was not ended early. */
  ended: { at: Date; as: 'finished' | 'undone'; by: string } | null;
};

export type RotatedSecret = Pick<
  Secret,
  'id' | 'clientId' | 'generation' | 'hint' | 'retiresAt' | 'endedAs' | 'registration'
>;

export type RegenerationState = 'overlapping' | 'finished' | 'undone';

export function stateOf({ ended, oldSecret }: Regeneration, now: number): RegenerationState {
  if (ended) return ended.as;
  return isLive(oldSecret, now) ? 'overlapping' : 'finished';
}

type RegenerationRow = Row & {
  id: string;
  finish_when_unused: boolean;
  revoke_tokens: boolean;
  created_at: Date;
  created_by: string;
  marked_sources: { address: string; user_agent: string; instance: string | null; at: string; by: string }[];
  ended_at: Date | null;
  ended_as: 'finished' | 'undone' | null;
  ended_by: string | null;
} & SecretColumns<'old'> &
  SecretColumns<'new'>;

type SecretColumns<P extends string> = Record<`${P}_id` | `${P}_hint`, string> &
  Record<`${P}_client_id`, string | null> &
  Record<`${P}_generation`, number> &
  Record<`${P}_retires_at`, Date | null> &
  Record<`${P}_ended_as`, RotatedSecret['endedAs']> &
  Record<`${P}_registration`, StoredRegistration | null>;

const secretColumns = (alias: 'old' | 'new') =>
  ['id', 'client_id', 'generation', 'hint', 'retires_at', 'ended_as', 'registration']
    .map((column) => `${alias}.${column} AS ${alias}_${column}`)
    .join(', ');

const selectRegenerations = `SELECT r.id, r.client, r.access_key, r.finish_when_unused, r.revoke_tokens, r.created_at, r.created_by,
    r.marked_sources, r.ended_at, r.ended_as, r.ended_by, ${secretColumns('old')}, ${secretColumns('new')}
  FROM regenerations r JOIN secrets old ON old.id = r.old_secret JOIN secrets new ON new.id = r.new_secret`;

/** Finds a regeneration. @throws {NotFound} also if the regeneration belongs to another owner. */
export async function requireRegeneration(database: Queryable, owner: OwnerRef, id: string): Promise<Regeneration> {
  const rows = await database.query<RegenerationRow>(
    `${selectRegenerations} WHERE r.id::text = $1 AND r.${owner.kind} = $2`,
    [id, owner.id],
  );
  if (!rows[0]) throw new NotFound('regeneration');
  return toRegeneration(rows[0]);
}

/** Finds the latest regeneration that ended a secret or created it. */
export async function findRegenerationOf(database: Queryable, secretId: string): Promise<Regeneration | undefined> {
  const rows = await database.query<RegenerationRow>(
    `${selectRegenerations} WHERE r.old_secret = $1 OR r.new_secret = $1 AND r.ended_as = 'undone'
     ORDER BY r.created_at DESC LIMIT 1`,
    [secretId],
  );
  return rows[0] && toRegeneration(rows[0]);
}

/** The request of a client that rotated itself, as it is stored: SHA-256 of its Idempotency-Key and of its parameters. */
export type StoredRequest = { requestKey: Buffer; requestHash: Buffer };

/** Finds the regeneration that a client requested with an Idempotency-Key. */
export async function findRequested(
  database: Queryable,
  client: string,
  requestKey: Buffer,
): Promise<{ id: string; requestHash: Buffer } | undefined> {
  const [row] = await database.query<{ id: string; request_hash: Uint8Array }>(
    'SELECT id, request_hash FROM regenerations WHERE client = $1 AND request_key = $2',
    [client, requestKey],
  );
  return row && { id: row.id, requestHash: Buffer.from(row.request_hash) };
}

/** Stores the request of a regeneration, or removes it. */
export async function saveRequest(
  transaction: Transaction,
  id: string,
  request: StoredRequest | undefined,
): Promise<void> {
  await transaction.query('UPDATE regenerations SET request_key = $2, request_hash = $3 WHERE id = $1', [
    id,
    request?.requestKey ?? null,
    request?.requestHash ?? null,
  ]);
}

/**
 * Lists regenerations, newest first, or oldest first from `afterGeneration` on. Returns one row more than `limit` if there
 * is another page.
 */
export async function listRegenerations(
  database: Queryable,
  owner: OwnerRef,
  page: { limit: number; beforeGeneration?: number | undefined; afterGeneration?: number | undefined },
): Promise<Regeneration[]> {
  const rows = await database.query<RegenerationRow>(
    `${selectRegenerations}
     WHERE r.${owner.kind} = $1 AND ($2::integer IS NULL OR new.generation < $2) AND ($4::integer IS NULL OR new.generation > $4)
     ORDER BY new.generation ${page.afterGeneration === undefined ? 'DESC' : 'ASC'} LIMIT $3`,
    [owner.id, page.beforeGeneration ?? null, page.limit + 1, page.afterGeneration ?? null],
  );
  return rows.map(toRegeneration);
}

/** Lists regenerations in their grace period that should end as soon as the previous secret is unused. */
export async function listFinishWhenUnused(database: Queryable, now: Date): Promise<OwnedRegeneration[]> {
  const rows = await database.query<OwnedRow>(
    `${selectRegenerations} WHERE r.finish_when_unused AND r.ended_as IS NULL AND old.ended_as IS NULL AND old.retires_at > $1
     ORDER BY r.created_at`,
    [now],
  );
  return rows.map(toOwned);
}

/** Greatest UUID, which is after all others in lists that are ordered by an id. */
export const lastUuid = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/**
 * Lists running grace periods of enabled clients and access keys, the one that ends soonest first.
 * @param page.after a time, and the id of a previous secret: only grace periods after them in the list.
 * @param page.until only those that end before this time.
 */
export async function listGracePeriods(
  database: Queryable,
  now: Date,
  limit: number,
  page: { after: { at: Date; id: string }; until: Date | 'infinity' } = {
    after: { at: now, id: lastUuid },
    until: 'infinity',
  },
): Promise<OwnedRegeneration[]> {
  const { after, until } = page;
  const rows = await database.query<OwnedRow>(
    // OFFSET 0 makes PostgreSQL read the secrets in this order up to the limit. It expects few running grace periods, and
    // would read and sort all of them.
    `SELECT r.* FROM (
       SELECT id, retires_at FROM secrets
       WHERE ended_as IS NULL AND ${isOwn('organization')}
         AND (retires_at, id) > ($1, $2::uuid) AND retires_at > $3 AND retires_at < $4
       ORDER BY retires_at, id OFFSET 0
     ) ending CROSS JOIN LATERAL (${selectRegenerations} WHERE r.old_secret = ending.id AND r.ended_as IS NULL OFFSET 0) r
     LEFT JOIN clients c ON c.id = r.client LEFT JOIN access_keys k ON k.id = r.access_key
     WHERE coalesce(c.enabled, k.enabled) ORDER BY ending.retires_at, ending.id LIMIT $5`,
    [after.at, after.id, now, until, limit],
  );
  return rows.map(toOwned);
}

type OwnedRow = RegenerationRow & { client: string | null; access_key: string | null };
type OwnedRegeneration = { owner: OwnerRef; regeneration: Regeneration };

function toOwned(row: OwnedRow): OwnedRegeneration {
  return {
    owner: row.client ? { kind: 'client', id: row.client } : { kind: 'access_key', id: row.access_key as string },
    regeneration: toRegeneration(row),
  };
}

export async function insertRegeneration(
  transaction: Transaction,
  owner: OwnerRef,
  regeneration: Pick<Regeneration, 'id' | 'finishWhenUnused' | 'revokeTokens' | 'createdAt' | 'createdBy'> & {
    oldSecret: { id: string };
    newSecret: { id: string };
  },
): Promise<void> {
  await transaction.query(
    `INSERT INTO regenerations (id, ${owner.kind}, old_secret, new_secret, finish_when_unused, revoke_tokens, created_at, created_by)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      regeneration.id,
      owner.id,
      regeneration.oldSecret.id,
      regeneration.newSecret.id,
      regeneration.finishWhenUnused,
      regeneration.revokeTokens,
      regeneration.createdAt,
      regeneration.createdBy,
    ],
  );
}

/** Records the end of the regeneration of this previous secret, if it has none yet. Returns its id in this case. */
export async function saveRegenerationEnd(
  transaction: Transaction,
  oldSecretId: string,
  ended: NonNullable<Regeneration['ended']>,
): Promise<string | undefined> {
  const [row] = await transaction.query<{ id: string }>(
    `UPDATE regenerations SET ended_at = $2, ended_as = $3, ended_by = $4 WHERE old_secret = $1 AND ended_as IS NULL
     RETURNING id`,
    [oldSecretId, ended.at, ended.as, ended.by],
  );
  return row?.id;
}

/** Records which sources of a regeneration an operator has marked as moved, in place of those recorded before. */
export async function saveMarkedSources(
  transaction: Transaction,
  id: string,
  sources: readonly MarkedSource[],
): Promise<void> {
  const rows = sources.map(({ at, by, ...source }) => ({ ...presentPlace(source), at, by }));
  await transaction.query('UPDATE regenerations SET marked_sources = $2::jsonb WHERE id = $1', [
    id,
    JSON.stringify(rows),
  ]);
}

function toRegeneration(row: RegenerationRow): Regeneration {
  return {
    id: row.id,
    oldSecret: {
      id: row.old_id,
      clientId: row.old_client_id,
      generation: row.old_generation,
      hint: row.old_hint,
      retiresAt: row.old_retires_at,
      endedAs: row.old_ended_as,
      registration: row.old_registration && readRegistration(row.old_registration),
    },
    newSecret: {
      id: row.new_id,
      clientId: row.new_client_id,
      generation: row.new_generation,
      hint: row.new_hint,
      retiresAt: row.new_retires_at,
      endedAs: row.new_ended_as,
      registration: row.new_registration && readRegistration(row.new_registration),
    },
    finishWhenUnused: row.finish_when_unused,
    revokeTokens: row.revoke_tokens,
    createdAt: row.created_at,
    createdBy: row.created_by,
    markedSources: row.marked_sources.map(({ user_agent: userAgent, instance, at, ...mark }) => ({
      ...mark,
      userAgent,
      instance: instance ?? undefined,
      at: new Date(at),
    })),
    ended: row.ended_at && row.ended_as ? { at: row.ended_at, as: row.ended_as, by: row.ended_by ?? '' } : null,
  };
}

/**
 * Ends a secret permanently, and the grace period in which it was the previous one.
 * @returns the id of the rotation whose grace period was ended; undefined if none was running.
 */
export async function endSecret(
  transaction: Transaction,
  secret: Pick<Secret, 'id'>,
  at: Date,
  actor: Actor,
): Promise<string | undefined> {
  await saveSecretEnd(transaction, { id: secret.id, retiresAt: at, endedAs: 'finished' });
  const regenerationId = await saveRegenerationEnd(transaction, secret.id, { at, as: 'finished', by: actor.name });
  await recordChange(transaction, { kind: 'ended_secret', target: secret.id, at });
  return regenerationId;
}
