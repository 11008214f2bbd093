import type { Client } from '../clients/client.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import { KeyturnError, StoreUnavailable } from '../errors.ts';
import type { Transaction } from '../storage/database.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import { type TokenDeps, tokenId } from './access-token.ts';
import { findToken } from './examine-access-token.ts';
import { revokeToken, revokeUnseenToken } from './revocation.ts';

type Deps = TokenDeps & { change<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> };

/** A commit may wait for others at a busy moment, and whoever revokes wants to know that it is done, not to try again. */
const commitMs = 2_000;

/**
 * Revokes a token on behalf of the client that it was issued to (RFC 7009 §2). Resolves once that is durable; what is unknown
 * or has ended is a success, or the endpoint would be an oracle (§2.2).
 *
 * The token store may be away, or have come back without its newest tokens: then whose token it is cannot be looked up, and the
 * revocation is recorded for the case that it is this client's and comes to light again.
 * @throws {KeyturnError} `invalid_grant` when it was issued to another client; it stays as it is.
 */
export async function revokeOwnToken(deps: Deps, client: Client, token: string): Promise<void> {
  const at = new Date(deps.clock());
  const record = await findToken(deps, token).catch((error: unknown) => {
    if (!(error instanceof StoreUnavailable)) throw error;
    if (!isWellFormedSecret(token, 'kta_')) throw new StoreUnavailable('database', 'the signing keys are not known');
    return undefined;
  });
  if (record === undefined) {
    if (!isWellFormedSecret(token, 'kta_') || isRevoked(deps, client, tokenId(token))) return;
    const expiresAt = Math.ceil(deps.clock() / 1_000) + deps.ttlSeconds;
    const unseen = { jti: tokenId(token), owner: client.id, expiresAt };
    return await withDeadline(
      deps.change((transaction) => revokeUnseenToken(transaction, unseen, at)),
      'database',
      commitMs,
    );
  }
  const owner = await deps.clients.find(record.clientId);
  if (owner?.client.id !== client.id) {
    throw new KeyturnError('invalid_grant', 400, 'The token was issued to another client.');
  }
  await withDeadline(
    deps.change((transaction) => revokeToken(transaction, record, at)),
    'database',
    commitMs,
  );
  // It is dead already; this only frees the memory, and the TTL does so too.
  await deps.tokenStore.remove(record.jti).catch(() => undefined);
}

function isRevoked({ revocations }: Deps, client: Client, jti: string): boolean {
  return revocations.has(jti) || revocations.hasUnseen(jti, client.id);
}
