import { type Actor, appendAuditEvent, type CommitChange } from '../audit/audit-log.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { type SealedPlace, seal, unseal } from '../credentials/sealed-copy.ts';
import { createMatcher, createVerifier, type PepperPurpose, type Verifier } from '../credentials/verifier.ts';
import type { Clock } from '../process/clock.ts';
import { type ChangeKind, recordChange, recordChanges } from '../storage/change.ts';
import type { Row, Transaction } from '../storage/database.ts';

export type Rotation = {
  secrets: number;
  signingKeys: number;
  /** Rows whose sealed copy does not open or does not match the verifier. They are left unchanged. */
  unreadable: string[];
};

type Deps = {
  change: CommitChange;
  clock: Clock;
  keyRing: KeyRing;
};

/**
 * Re-creates sealed copies and verifiers under the current root key for everything that has a sealed copy. Works in
 * small, complete transactions: an interrupted run continues where it stopped, and two runs at once share the work.
 * @param onProgress receives the number of processed rows.
 */
export async function rotateRootKey(
  deps: Deps,
  actor: Actor,
  onProgress: (done: number) => void = () => undefined,
): Promise<Rotation> {
  const { current, versions } = deps.keyRing;
  // Recorded first, so that a rotation that never finishes is known too. The audit log's end is sealed under the
  // current version by this event.
  await deps.change((transaction) =>
    appendAuditEvent(transaction, {
      at: new Date(deps.clock()),
      actor,
      action: 'root_key.rotate',
      targetType: 'root_key',
      target: current,
      after: { versions },
    }),
  );
  const rotation: Rotation = { secrets: 0, signingKeys: 0, unreadable: [] };
  const kinds = [
    { counted: 'signingKeys', rewrap: rewrapSigningKeys },
    { counted: 'secrets', rewrap: rewrapSecrets },
    { counted: 'secrets', rewrap: rewrapWebhookSecrets },
    { counted: 'secrets', rewrap: rewrapClientSecrets },
    { counted: 'secrets', rewrap: rewrapRefreshTokens },
  ] as const;
  for (const { counted, rewrap } of kinds) {
    // A locked row is skipped and retried in the next pass. A row that stays locked is reported as remaining.
    for (let pass = 0; pass < maxPasses; pass++) {
      const before = rotation[counted];
      const unreadable = new Set<string>();
      for (let after: string | undefined = ''; after !== undefined; ) {
        const batch = await deps.change((transaction) => rewrap(transaction, deps, after as string));
        rotation[counted] += batch.done;
        for (const id of batch.unreadable) unreadable.add(id);
        onProgress(rotation.secrets + rotation.signingKeys);
        after = batch.last;
      }
      if (rotation[counted] === before) {
        rotation.unreadable.push(...unreadable);
        break;
      }
    }
  }
  return rotation;
}

type Batch = {
  done: number;
  unreadable: string[];
  /** The id to continue after; undefined if there are no more rows. */
  last: string | undefined;
};

const batchSize = 100;
const maxPasses = 20;
/** The smallest possible id, to begin with. */
const leastUuid = '00000000-0000-0000-0000-000000000000';

type SecretRow = Row & {
  id: string;
  client: string | null;
  access_key: string | null;
  verifier: Uint8Array;
  key_version: string;
  sealed: string;
};

/**
 * Processes the next secrets whose sealed copy or verifier has not the current version. Rows locked by others are
 * skipped.
 */
async function rewrapSecrets(transaction: Transaction, deps: Deps, after: string): Promise<Batch> {
  const { keyRing } = deps;
  const rows = await transaction.query<SecretRow>(
    `SELECT id, client, access_key, verifier, key_version, sealed FROM secrets
     WHERE id > $1 AND sealed IS NOT NULL AND (key_version <> $2 OR split_part(sealed, '.', 1) <> $2)
     ORDER BY id LIMIT ${batchSize} FOR UPDATE SKIP LOCKED`,
    [after || leastUuid, keyRing.current],
  );
  const made = rows.flatMap((row) => {
    const purpose: PepperPurpose = row.client ? 'client-secret-pepper' : 'access-key-pepper';
    const plaintext = open(keyRing, { table: 'secrets', id: row.id }, row.sealed);
    const stored: Verifier = { verifier: row.verifier, keyVersion: row.key_version };
    // The new verifier must recognise the same value as the previous one.
    if (plaintext === undefined || !createMatcher(keyRing, purpose, plaintext)([stored])) return [];
    const { verifier } = createVerifier(keyRing, purpose, plaintext);
    return [{ row, verifier, sealed: seal(keyRing, { table: 'secrets', id: row.id }, plaintext) }];
  });
  await transaction.query(
    `UPDATE secrets s SET verifier = decode(n.verifier, 'base64'), key_version = $4, sealed = n.sealed
     FROM unnest($1::uuid[], $2::text[], $3::text[]) AS n (id, verifier, sealed) WHERE s.id = n.id`,
    [
      made.map(({ row }) => row.id),
      made.map(({ verifier }) => Buffer.from(verifier).toString('base64')),
      made.map(({ sealed }) => sealed),
      keyRing.current,
    ],
  );
  await announceOwners(
    transaction,
    made.map(({ row }) => row),
    new Date(deps.clock()),
  );
  return toBatch(
    rows.map(({ id }) => id),
    made.map(({ row }) => row.id),
  );
}

/** Processes the next keys that sign JWTs. */
async function rewrapSigningKeys(transaction: Transaction, deps: Deps, after: string): Promise<Batch> {
  const batch = await rewrapSealed(transaction, deps, after, { table: 'signing_keys', id: 'kid' });
  if (batch.done > 0) {
    await recordChange(transaction, { kind: 'signing_keys', target: 'all', at: new Date(deps.clock()) });
  }
  return batch;
}

/** Processes the next secrets that sign events for webhooks. */
async function rewrapWebhookSecrets(transaction: Transaction, deps: Deps, after: string): Promise<Batch> {
  return await rewrapSealed(transaction, deps, after, { table: 'webhook_secrets', id: 'id' });
}

/** Processes the next refresh tokens of people at identity providers. */
async function rewrapRefreshTokens(transaction: Transaction, deps: Deps, after: string): Promise<Batch> {
  return await rewrapSealed(transaction, deps, after, { table: 'provider_refresh_tokens', id: 'id' });
}

/** Processes the next rows that have a sealed copy and nothing else under a root key. */
async function rewrapSealed(
  transaction: Transaction,
  { keyRing }: Deps,
  after: string,
  { table, id: column }: { table: 'signing_keys' | 'webhook_secrets' | 'provider_refresh_tokens'; id: string },
): Promise<Batch> {
  const rows = await transaction.query<{ id: string; sealed: string }>(
    `SELECT ${column}::text AS id, sealed FROM ${table} WHERE ${column}::text > $1 AND split_part(sealed, '.', 1) <> $2
     ORDER BY ${column}::text LIMIT ${batchSize} FOR UPDATE SKIP LOCKED`,
    [after, keyRing.current],
  );
  const done: string[] = [];
  for (const { id, sealed } of rows) {
    const plaintext = open(keyRing, { table, id }, sealed);
    if (plaintext === undefined) continue;
    const parameters = [id, seal(keyRing, { table, id }, plaintext)];
    await transaction.query(`UPDATE ${table} SET sealed = $2 WHERE ${column}::text = $1`, parameters);
    done.push(id);
  }
  return toBatch(
    rows.map(({ id }) => id),
    done,
  );
}

/** Processes the next client secrets that Keyturn has at identity providers. */
async function rewrapClientSecrets(transaction: Transaction, { keyRing }: Deps, after: string): Promise<Batch> {
  const rows = await transaction.query<{ id: string; sealed: string }>(
    `SELECT id, sealed FROM identity_providers WHERE id > $1 AND split_part(sealed, '.', 1) <> $2
     ORDER BY id LIMIT ${batchSize} FOR UPDATE SKIP LOCKED`,
    [after || leastUuid, keyRing.current],
  );
  const done: string[] = [];
  for (const { id, sealed } of rows) {
    const place = { table: 'identity_providers', id };
    const plaintext = open(keyRing, place, sealed);
    if (plaintext === undefined) continue;
    const parameters = [id, seal(keyRing, place, plaintext)];
    await transaction.query('UPDATE identity_providers SET sealed = $2 WHERE id = $1', parameters);
    done.push(id);
  }
  return toBatch(
    rows.map(({ id }) => id),
    done,
  );
}

function toBatch(read: readonly string[], done: readonly string[]): Batch {
  const made = new Set(done);
  return {
    done: done.length,
    unreadable: read.filter((id) => !made.has(id)),
    last: read.length === batchSize ? read.at(-1) : undefined,
  };
}

function open(ring: KeyRing, place: SealedPlace, sealed: string): string | undefined {
  try {
    return unseal(ring, place, sealed);
  } catch {
    return undefined;
  }
}

/** Makes every process drop the owners of these secrets from its cache. */
async function announceOwners(transaction: Transaction, rows: readonly SecretRow[], at: Date): Promise<void> {
  const clients = await transaction.query<{ client_id: string; kind: string }>(
    'SELECT i.client_id, c.kind FROM client_ids i JOIN clients c ON c.id = i.client WHERE c.id = ANY ($1::uuid[])',
    [rows.flatMap(({ client }) => client ?? [])],
  );
  const keys = new Set(rows.flatMap(({ access_key: key }) => key ?? []));
  const changes: { kind: ChangeKind; target: string }[] = [
    ...clients.map(({ client_id }) => ({ kind: 'client' as const, target: client_id })),
    ...[...keys].map((key) => ({ kind: 'access_key' as const, target: key })),
  ];
  if (clients.some(({ kind }) => kind === 'resource_server')) changes.push({ kind: 'resource_servers', target: 'all' });
  await recordChanges(transaction, changes, at);
}
