import type { KeyRing } from '../credentials/key-ring.ts';
import { KeyturnError } from '../errors.ts';
import { confirmationSeconds, confirms, issueConfirmation } from '../regeneration/review.ts';
import type { Transaction } from '../storage/database.ts';
import { lostScopes } from './change-scopes.ts';
import type { Client } from './client.ts';
import type { Offer } from './offered-scopes.ts';

/** Reviews a change of declared scopes: which clients used the names that it removes. */

const usedWithinMs = 30 * 86_400_000;
const shownClients = 50;

/** The clients that were granted a scope by this name. @property usedByOthers the number of further ones. */
type ScopeUse = {
  scope: string;
  usedBy: { clientId: string; name: string; lastUsedAt: Date }[];
  usedByOthers: number;
};

/**
 * Requires a confirmation if clients were granted a scope in the last 30 days by a name that a change removes, or that
 * means something else after it.
 * @param after what the resource server offers after the change.
 * @param confirmation as the operator sent it.
 * @throws {KeyturnError} 428 `confirmation_required` with a review, if it is missing or was issued for another state.
 */
export async function requireScopeConfirmation(
  transaction: Transaction,
  { keyRing, clock }: { keyRing: KeyRing; clock: () => number },
  server: Client,
  after: Offer,
  confirmation: string | undefined,
): Promise<void> {
  const isDeclared = (name: string) => server.scopes.some(({ since }) => since[name] !== undefined);
  const lost = lostScopes(server, after).filter(isDeclared).sort();
  if (lost.length === 0) return;
  const now = clock();
  const uses = await findScopeUses(transaction, lost, new Date(now - usedWithinMs));
  if (uses.length === 0) return;
  const users = uses.map(({ scope, usedBy }) => [scope, usedBy.map(({ clientId }) => clientId).sort()]);
  const state = ['scopes', server.id, server.revision, lost, users];
  if (confirmation !== undefined && confirms(keyRing, confirmation, state, now)) return;
  const message =
    confirmation === undefined
      ? 'Clients used a name of a scope in the last 30 days that would no longer be offered. Keep it as an alias, or check the review and send its confirmation.'
      : 'confirmation: the impact has changed since the review, or the review is older than ten minutes. Check the new review.';
  const review = {
    confirmation: issueConfirmation(keyRing, state, now),
    expires_in: confirmationSeconds,
    impact: { scopes: uses.map(presentUse) },
  };
  throw new KeyturnError('confirmation_required', 428, message, { extension: { review } });
}

function presentUse({ scope, usedBy, usedByOthers }: ScopeUse) {
  return {
    scope,
    used_by: usedBy.map(({ clientId, name, lastUsedAt }) => ({ client_id: clientId, name, last_used_at: lastUsedAt })),
    used_by_others: usedByOthers,
  };
}

/** Finds the clients that were granted these scopes by these names since a date, the latest use first. */
async function findScopeUses(transaction: Transaction, scopes: readonly string[], since: Date): Promise<ScopeUse[]> {
  const rows = await transaction.query<{
    scope: string;
    client_id: string;
    name: string;
    last_used_at: Date;
    total: number;
  }>(
    `SELECT * FROM (
       SELECT u.scope, c.client_id, c.name, u.last_used_at, count(*) OVER (PARTITION BY u.scope) AS total,
         row_number() OVER (PARTITION BY u.scope ORDER BY u.last_used_at DESC, c.client_id) AS place
       FROM client_scopes u JOIN clients c ON c.id = u.client
       WHERE u.scope = ANY ($1::text[]) AND u.last_used_at >= $2
     ) ranked WHERE place <= ${shownClients} ORDER BY scope, place`,
    [scopes, since],
  );
  const uses = new Map<string, ScopeUse>();
  for (const { scope, client_id: clientId, name, last_used_at: lastUsedAt, total } of rows) {
    const use = uses.get(scope) ?? { scope, usedBy: [], usedByOthers: Math.max(0, total - shownClients) };
    use.usedBy.push({ clientId, name, lastUsedAt });
    uses.set(scope, use);
  }
  return [...uses.values()];
}
