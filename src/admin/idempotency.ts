import type { IncomingMessage } from 'node:http';
import type { Core } from '../core.ts';
import { seal, unseal } from '../credentials/sealed-copy.ts';
import { InvalidInput, KeyturnError } from '../errors.ts';
import type { Row, Transaction } from '../storage/database.ts';
import type { Answer } from './endpoint.ts';

/** A request that its sender may repeat, not knowing whether it arrived. */
export type IdempotentRequest = {
  operator: string;
  key: string;
  /** SHA-256 of method, path and body. */
  request: Uint8Array;
};

/** How long a repeated request gets the first one's answer. */
const keptMs = 600_000;

/**
 * Commits a change and returns its answer; for a repeated Idempotency-Key, the first one's answer and no second change. Of two
 * at once the second waits for the first. Only what succeeded is kept, in the change's own transaction, sealed.
 * @throws {KeyturnError} `idempotency_key_reused` when the key came with another request.
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
    if (earlier) return earlier;
    const answer = await work(transaction);
    await saveAnswer(transaction, core, repeatable, answer);
    return answer;
  });
}

/** @throws {InvalidInput} unless it is 1–255 printable ASCII characters, once. */
export function readIdempotencyKey(request: IncomingMessage): string | undefined {
  const values = request.headersDistinct['idempotency-key'];
  if (!values) return undefined;
  const [key = ''] = values;
  if (values.length > 1 || !/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw new InvalidInput('Idempotency-Key must be 1 to 255 printable ASCII characters.');
  }
  return key;
}

/** Held until the transaction ends. There is no row yet that could be locked; a collision of hashes only makes one wait. */
async function lockKey(transaction: Transaction, { operator, key }: IdempotentRequest): Promise<void> {
  await transaction.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [place({ operator, key }).id]);
}

async function findAnswer(
  transaction: Transaction,
  core: Core,
  { operator, key, request }: IdempotentRequest,
): Promise<Answer | undefined> {
  const rows = await transaction.query<Row & { request: Uint8Array; sealed: string }>(
    'SELECT request, sealed FROM idempotency_keys WHERE operator = $1 AND key = $2 AND expires_at > $3',
    [operator, key, new Date(core.clock())],
  );
  const row = rows[0];
  if (!row) return undefined;
  if (Buffer.compare(row.request, request) !== 0) {
    throw new KeyturnError('idempotency_key_reused', 422, 'This Idempotency-Key came with another request before.');
  }
  return JSON.parse(unseal(core.keyRing, place({ operator, key }), row.sealed)) as Answer;
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

function place({ operator, key }: { operator: string; key: string }) {
  return { table: 'idempotency_keys', id: `${operator} ${key}` };
}
