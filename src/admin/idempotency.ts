import type { IncomingMessage } from 'node:http';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import type { Core } from '../core.ts';
import { seal, unseal } from '../credentials/sealed-copy.ts';
import { InvalidInput, KeyturnError } from '../errors.ts';
import type { Row, Transaction } from '../storage/database.ts';

/** A request that its sender may repeat if the response was lost. */
export type IdempotentRequest = {
  operator: string;
  key: string;
  /** SHA-256 of method, path and body. */
  request: Uint8Array;
  /**
   * The operator who receives a repeated response; undefined if the response is not shown now but later by
   * `recallAnswer`.
   */
  viewer: Actor | undefined;
};

type KeptUnder = Pick<IdempotentRequest, 'operator' | 'key'>;
/** A stored response. `isSeen` is set once a console page has shown it. */
type KeptAnswer = Answer & { isSeen?: true };

/** How long a response is stored for repeated requests, in milliseconds. */
const keptMs = 600_000;

/**
 * Commits a change and returns its response. A repeated Idempotency-Key returns the first response and makes no second
 * change. Concurrent requests with the same key run one after the other. Only successful responses are stored,
 * encrypted, in the transaction of the change.
 * @throws {KeyturnError} `idempotency_key_reused` if the key was used with a different request.
 */
export async function changeOnce(
  core: Core,
  repeatable: IdempotentRequest | undefined,
  work: (transaction: Transaction) => Promise<Answer>,
): Promise<Answer> {
  if (!repeatable) return await core.change(work);
  return await core.change(async (transaction) => {
    await lockKey(transaction, repeatable);
    const earlier = await findAnswer(transaction, core, repeatable);
    if (earlier) {
      if (repeatable.viewer) await auditLook(transaction, core, repeatable.viewer, earlier);
      return earlier;
    }
    const answer = await work(transaction);
    await saveAnswer(transaction, core, repeatable, answer);
    return answer;
  });
}

/**
 * Returns the stored response of an earlier request, to show it after a redirect. The first view is part of the request
 * itself. Each later view of a secret is recorded in the audit log.
 * @returns undefined if no request with this key was made within the last ten minutes.
 */
export async function recallAnswer(core: Core, viewer: Actor, key: string): Promise<Answer | undefined> {
  const kept = { operator: viewer.id, key };
  return await core.change(async (transaction) => {
    await lockKey(transaction, kept);
    const answer = (await findKept(transaction, core, kept))?.answer;
    if (!answer?.secretOf) return answer;
    if (answer.isSeen) await auditLook(transaction, core, viewer, answer);
    else {
      await transaction.query('UPDATE idempotency_keys SET sealed = $3 WHERE operator = $1 AND key = $2', [
        viewer.id,
        key,
        seal(core.keyRing, place(kept), JSON.stringify({ ...answer, isSeen: true })),
      ]);
    }
    return answer;
  });
}

/** Keeps a value for ten minutes, encrypted, for `recallAnswer` with the same key. */
export async function keepValue(core: Core, kept: KeptUnder, value: unknown): Promise<void> {
  const repeatable = { ...kept, request: new Uint8Array(), viewer: undefined };
  await core.change((transaction) => saveAnswer(transaction, core, repeatable, { status: 200, body: value }));
}

/**
 * Reads the Idempotency-Key header.
 * @returns undefined if the header is missing.
 * @throws {InvalidInput} unless the header occurs once and has 1 to 255 printable ASCII characters.
 */
export function readIdempotencyKey(request: IncomingMessage): string | undefined {
  const values = request.headersDistinct['idempotency-key'];
  if (!values) return undefined;
  const [key = ''] = values;
  if (values.length > 1 || !/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw new InvalidInput('Idempotency-Key: must be sent once, with 1 to 255 printable ASCII characters.');
  }
  return key;
}

/**
 * Locks a key until the transaction ends. An advisory lock is needed because there is no row to lock yet. A hash
 * collision only makes an unrelated request wait.
 */
async function lockKey(transaction: Transaction, { operator, key }: KeptUnder): Promise<void> {
  await transaction.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [place({ operator, key }).id]);
}

async function findAnswer(
  transaction: Transaction,
  core: Core,
  repeatable: IdempotentRequest,
): Promise<Answer | undefined> {
  const kept = await findKept(transaction, core, repeatable);
  if (kept && Buffer.compare(kept.request, repeatable.request) !== 0) {
    throw new KeyturnError(
      'idempotency_key_reused',
      422,
      'This Idempotency-Key was already used for a different request. Send a new key.',
    );
  }
  return kept?.answer;
}

async function findKept(
  transaction: Transaction,
  core: Core,
  { operator, key }: KeptUnder,
): Promise<{ request: Uint8Array; answer: KeptAnswer } | undefined> {
  const rows = await transaction.query<Row & { request: Uint8Array; sealed: string }>(
    'SELECT request, sealed FROM idempotency_keys WHERE operator = $1 AND key = $2 AND expires_at > $3',
    [operator, key, new Date(core.clock())],
  );
  const row = rows[0];
  return (
    row && {
      request: row.request,
      answer: JSON.parse(unseal(core.keyRing, place({ operator, key }), row.sealed)) as KeptAnswer,
    }
  );
}

async function auditLook(transaction: Transaction, core: Core, actor: Actor, { secretOf }: Answer): Promise<void> {
  for (const owner of [secretOf ?? []].flat()) {
    await appendAuditEvent(transaction, {
      at: new Date(core.clock()),
      actor,
      action: 'secret.show_again',
      ...owner,
    });
  }
}

async function saveAnswer(
  transaction: Transaction,
  core: Core,
  { operator, key, request }: IdempotentRequest,
  answer: Answer,
): Promise<void> {
  await transaction.query(
    `INSERT INTO idempotency_keys (operator, key, request, status, sealed, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (operator, key) DO UPDATE SET request = $3, status = $4, sealed = $5, expires_at = $6`,
    [
      operator,
      key,
      request,
      answer.status,
      seal(core.keyRing, place({ operator, key }), JSON.stringify(answer)),
      new Date(core.clock() + keptMs),
    ],
  );
}

function place({ operator, key }: KeptUnder) {
  return { table: 'idempotency_keys', id: `${operator} ${key}` };
}

type SecretOwnerName = { targetType: 'client' | 'access_key' | 'operator_token' | 'webhook'; target: string };

/** The response of an endpoint. For idempotent endpoints it is stored. */
export type Answer = {
  status: number;
  headers?: Readonly<Record<string, string>>;
  body?: unknown;
  /**
   * The owner of a secret in the body, so that each later view of a stored response is recorded in the audit log. It is
   * not sent.
   */
  secretOf?: SecretOwnerName | readonly SecretOwnerName[];
};
