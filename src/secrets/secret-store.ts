import type { AuditEvent } from '../audit/audit-log.ts';
import type { Dialect } from '../configuration/dialects.ts';
import type { SecretPrefix } from '../credentials/credential-format.ts';
import {
  isOfSecret,
  nameOfRegistration,
  type Registration,
  readRegistration,
  type StoredRegistration,
  storeRegistration,
} from '../credentials/registration.ts';
import type { Secret } from '../credentials/secret.ts';
import type { PepperPurpose } from '../credentials/verifier.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';

/** The owner of secrets: a row of `clients` or of `access_keys`. */
export type OwnerRef = { kind: 'client' | 'access_key'; id: string };

/**
 * An owner of secrets, locked by the current transaction. It contains everything that differs between a client and an
 * access key; everything else about secrets is the same for both.
 */
export type SecretOwner = OwnerRef & {
  prefix: SecretPrefix;
  pepper: PepperPurpose;
  /** Whether sealed copies of its secrets are kept, if the deployment keeps any. */
  reveal: boolean;
  /** Public name of the owner, for example in the audit log: the current Client ID, or the id of the access key. */
  target: string;
  targetType: AuditEvent['targetType'];
  /** The Client ID for its next secret; null for an access key. */
  clientId: string | null;
  /** The organization of a client; null for an access key. */
  organizationId: string | null;
  /** How the client authenticates now; null for an access key. */
  registration: Registration | null;
  /** Whether tokens of the owner must be bound to a key or certificate. */
  bindsTokens: boolean;
  /** Deviations that are accepted of the client; empty for an access key. */
  dialects: readonly Dialect[];
  enabled: boolean;
  /** Increases with every change of the owner. */
  revision: number;
  /** Epoch that the owner's valid tokens carry. Tokens of any other epoch are revoked. */
  tokenEpoch: number;
  /** Saves the changed owner and makes every process drop it from its cache. */
  save(transaction: Transaction, change: OwnerChange, at: Date): Promise<void>;
};

type OwnerChange = {
  /** New Client ID. Earlier ones keep working with the secrets that belong to them. */
  clientId?: string | undefined;
  /** The registration of the credential that is the current one from now on. */
  registration?: Registration | undefined;
  /** Revokes every live token of the owner in the same write. */
  tokens?: 'revoke' | undefined;
};

type SecretRow = Row & {
  id: string;
  client_id: string | null;
  generation: number;
  verifier: string;
  key_version: string;
  hint: string;
  created_at: string;
  retires_at: string | null;
  ended_as: Secret['endedAs'];
  registration: StoredRegistration | null;
  hash: string | null;
};

/** Maximum number of an owner's secrets that are loaded, newest first. Tokens of earlier secrets have expired. */
const kept = 100;
/** Number of the newest credentials whose keys are loaded. Keys of earlier ones are not compared any more. */
const keptKeys = 10;

/**
 * Returns an SQL expression for all secrets of an owner, newest first, as one JSON text for `parseSecrets`. The secrets
 * are thus read in the same statement and from the same snapshot as their owner. The keys of credentials that ended
 * long ago are left out, because 100 key sets are large.
 * @param owner for example `secretsJson('client', 'c.id')`.
 */
export function secretsJson(ownerKind: OwnerRef['kind'], owner: string): string {
  return `(SELECT coalesce(jsonb_agg(jsonb_build_object(
       'id', s.id, 'client_id', s.client_id, 'generation', s.generation, 'verifier', encode(s.verifier, 'base64'),
       'key_version', s.key_version, 'hint', s.hint, 'created_at', s.created_at, 'retires_at', s.retires_at,
       'ended_as', s.ended_as, 'hash', s.hash, 'registration', CASE
         WHEN s.rank <= ${keptKeys} OR s.ended_as IS NULL AND (s.retires_at IS NULL OR s.retires_at > now() - interval '1 day')
         THEN s.registration ELSE s.registration || '{"jwks": null}' END
     ) ORDER BY s.generation DESC), '[]')::text
     FROM (SELECT id, client_id, generation, verifier, key_version, hint, created_at, retires_at, ended_as, registration,
         hash, row_number() OVER (ORDER BY generation DESC) AS rank
       FROM secrets WHERE ${ownerKind} = ${owner} ORDER BY generation DESC LIMIT ${kept}) s)`;
}

/** Parses the JSON text that `secretsJson` selects. */
export function parseSecrets(json: string): Secret[] {
  return (JSON.parse(json) as SecretRow[]).map((row) => ({
    id: row.id,
    clientId: row.client_id,
    generation: row.generation,
    verifier: Buffer.from(row.verifier, 'base64'),
    keyVersion: row.key_version,
    hint: row.hint,
    createdAt: new Date(row.created_at),
    retiresAt: row.retires_at === null ? null : new Date(row.retires_at),
    endedAs: row.ended_as,
    registration: row.registration && readRegistration(row.registration),
    hash: row.hash,
  }));
}

/** Returns the secrets, newest first. */
export async function findSecrets(database: Queryable, owner: OwnerRef): Promise<Secret[]> {
  const rows = await database.query<{ secrets: string }>(`SELECT ${secretsJson(owner.kind, '$1')} AS secrets`, [
    owner.id,
  ]);
  return parseSecrets(rows[0]?.secrets ?? '[]');
}

/** Finds the owner of a secret. `verifiers` are its HMACs under every version of the pepper. */
export async function findSecretOwner(
  database: Queryable,
  verifiers: readonly Uint8Array[],
): Promise<{ owner: OwnerRef; secretId: string } | undefined> {
  const [row] = await database.query<{ id: string; client: string | null; access_key: string | null }>(
    'SELECT id, client, access_key FROM secrets WHERE verifier = ANY ($1::bytea[])',
    [verifiers],
  );
  if (row?.client) return { owner: { kind: 'client', id: row.client }, secretId: row.id };
  if (row?.access_key) return { owner: { kind: 'access_key', id: row.access_key }, secretId: row.id };
  return undefined;
}

/** Returns those of the verifiers that belong to an existing secret, as base64. */
export async function findTakenVerifiers(
  database: Queryable,
  verifiers: readonly Uint8Array[],
): Promise<ReadonlySet<string>> {
  const rows = await database.query<{ verifier: Uint8Array }>(
    'SELECT verifier FROM taken_verifiers($1::bytea[]) AS taken (verifier)',
    [verifiers],
  );
  return new Set(rows.map(({ verifier }) => Buffer.from(verifier).toString('base64')));
}

/** Returns those of the secrets that exist and have not ended permanently. */
export async function findUnendedSecrets(transaction: Transaction, ids: readonly string[]): Promise<{ id: string }[]> {
  return await transaction.query<{ id: string }>(
    'SELECT id FROM secrets WHERE id = ANY ($1::uuid[]) AND ended_as IS NULL',
    [ids],
  );
}

export async function findSealedSecret(database: Queryable, secretId: string): Promise<string | null> {
  const rows = await database.query<{ sealed: string | null }>('SELECT sealed FROM secrets WHERE id = $1', [secretId]);
  return rows[0]?.sealed ?? null;
}

export async function insertSecret(
  transaction: Transaction,
  owner: OwnerRef,
  secret: Secret & { sealed: string | null },
): Promise<void> {
  await insertSecrets(transaction, [{ ...secret, owner }]);
}

/** Inserts many secrets in one statement. */
export async function insertSecrets(
  transaction: Transaction,
  secrets: readonly (Secret & { sealed: string | null; owner: OwnerRef })[],
): Promise<void> {
  const rows = secrets.map(({ owner, ...secret }) => ({
    id: secret.id,
    [owner.kind]: owner.id,
    client_id: secret.clientId,
    generation: secret.generation,
    verifier: `\\x${Buffer.from(secret.verifier).toString('hex')}`,
    key_version: secret.keyVersion,
    sealed: secret.sealed,
    hint: secret.hint,
    created_at: secret.createdAt,
    retires_at: secret.retiresAt,
    registration: secret.registration && storeRegistration(secret.registration),
    hash: secret.hash,
  }));
  await transaction.query(
    `INSERT INTO secrets (id, client, access_key, client_id, generation, verifier, key_version, sealed, hint, created_at, retires_at,
       registration, hash)
     SELECT id, client, access_key, client_id, generation, verifier, key_version, sealed, hint, created_at, retires_at, registration,
       hash
     FROM jsonb_populate_recordset(NULL::secrets, $1::jsonb)`,
    [JSON.stringify(rows)],
  );
}

/**
 * Records when and how a secret ends. Deletes the sealed copy and the imported hash of a secret that has ended, because
 * they are no longer needed.
 */
export async function saveSecretEnd(
  transaction: Transaction,
  secret: Pick<Secret, 'id' | 'retiresAt' | 'endedAs'>,
): Promise<void> {
  await transaction.query(
    `UPDATE secrets SET retires_at = $2, ended_as = $3, sealed = CASE WHEN $3::text IS NULL THEN sealed END,
       hash = CASE WHEN $3::text IS NULL THEN hash END WHERE id = $1`,
    [secret.id, secret.retiresAt, secret.endedAs],
  );
}

/** Records how a client is registered while this is its current credential, and names keys and certificates by it. */
export async function saveRegistration(
  transaction: Transaction,
  secret: Pick<Secret, 'id' | 'hint'>,
  registration: Registration,
): Promise<void> {
  const hint = isOfSecret(registration) ? secret.hint : nameOfRegistration(registration);
  await transaction.query('UPDATE secrets SET registration = $2, hint = $3 WHERE id = $1', [
    secret.id,
    JSON.stringify(storeRegistration(registration)),
    hint,
  ]);
}

/** Counts running grace periods: each has one secret with an end in the future. */
export async function countOverlaps(database: Queryable, now: Date): Promise<number> {
  const rows = await database.query<{ count: number }>(
    'SELECT count(*) AS count FROM secrets WHERE retires_at > $1 AND ended_as IS NULL',
    [now],
  );
  return rows[0]?.count ?? 0;
}
