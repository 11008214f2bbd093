import type { IncomingMessage } from 'node:http';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
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
  /** Who is shown a repeated answer; undefined if it is not shown now, but by `recallAnswer` later. */
  viewer: Actor | undefined;
};

type KeptUnder = Pick<IdempotentRequest, 'operator' | 'key'>;
/** With whether a page has shown it already. */
type KeptAnswer = Answer & { isSeen?: true };

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
 * The kept answer of an earlier request, to be shown after a redirect. The first look belongs to the request itself; each later one is
 * an audit event if the answer holds a secret.
 * @returns undefined if there was no such request, or if it was made more than ten minutes ago.
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
    throw new KeyturnError('idempotency_key_reused', 422, 'This Idempotency-Key came with another request before.');
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
  if (!secretOf) return;
  await appendAuditEvent(transaction, {
    at: new Date(core.clock()),
    actor,
    action: 'secret.show_again',
    ...secretOf,
  });
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
