import type { KeyRing } from '../credentials/key-ring.ts';
import { KeyturnError } from '../errors.ts';
import { confirmationSeconds, confirms, issueConfirmation } from '../regeneration/review.ts';
import type { Queryable, Transaction } from '../storage/database.ts';
import { lostScopes } from './change-scopes.ts';
import type { Client } from './client.ts';
import { deprecatedScopes, isOffered, type Offer } from './offered-scopes.ts';
import { countHolders, type Renames } from './rename-scopes.ts';

/** Reviews a change of declared scopes: who has and who used the names that it removes, renames or deprecates. */

const usedWithinMs = 30 * 86_400_000;
const shownClients = 50;

/** The clients that were granted a scope by this name. @property usedByOthers the number of further ones. */
export type ScopeUse = {
  scope: string;
  usedBy: { clientId: string; name: string; lastUsedAt: Date }[];
  usedByOthers: number;
};

/**
 * Requires a confirmation if clients were granted a scope in the last 30 days by a name that a change removes, renames or
 * deprecates, or that means something else after it, and if clients or access keys have a name that it renames.
 * @param after what the resource server offers after the change.
 * @param confirmation as the operator sent it.
 * @throws {KeyturnError} 428 `confirmation_required` with a review, if it is missing or was issued for another state.
 */
export async function requireScopeConfirmation(
  transaction: Transaction,
  { keyRing, clock }: { keyRing: KeyRing; clock: () => number },
  server: Client,
  after: Offer,
  renames: Renames,
  confirmation: string | undefined,
): Promise<void> {
  const isDeclared = (name: string) => server.scopes.some(({ since }) => since[name] !== undefined);
  const lost = lostScopes(server, after).filter((name) => isDeclared(name) || renames.has(name));
  const deprecated = [...deprecatedScopes(after).difference(deprecatedScopes(server))].filter(
    (name) => isOffered(server, name) && !lost.includes(name),
  );
  const names = [...lost, ...deprecated].sort();
  if (names.length === 0) return;
  const now = clock();
  const uses = await findScopeUses(transaction, names, new Date(now - usedWithinMs));
  const holders = await countHolders(transaction, names);
  const effects = names.flatMap((scope) => {
    const use = uses.get(scope) ?? { scope, usedBy: [], usedByOthers: 0 };
    const { clients, accessKeys } = holders.get(scope) ?? { clients: 0, accessKeys: 0 };
    const replacedBy = renames.get(scope) ?? null;
    const isRenamed = replacedBy !== null && clients + accessKeys > 0;
    if (use.usedBy.length === 0 && !isRenamed) return [];
    const effect = isRenamed ? 'renamed' : deprecated.includes(scope) ? 'deprecated' : 'removed';
    return [{ use, effect, replacedBy, clients, accessKeys }];
  });
  if (effects.length === 0) return;
  const shown = effects.map(({ use, effect, replacedBy, clients, accessKeys }) => {
    const users = use.usedBy.map(({ clientId }) => clientId).sort();
    return [use.scope, effect, replacedBy, clients, accessKeys, users];
  });
  const state = ['scopes', server.id, server.revision, names, shown];
  if (confirmation !== undefined && confirms(keyRing, confirmation, state, now)) return;
  const message =
    confirmation === undefined
      ? 'Clients have a name of a scope that the change removes, renames or deprecates, or used it in the last 30 days. Check the review, and send its confirmation.'
      : 'confirmation: the impact has changed since the review, or the review is older than ten minutes. Check the new review.';
  const review = {
    confirmation: issueConfirmation(keyRing, state, now),
    expires_in: confirmationSeconds,
    impact: {
      scopes: effects.map(({ use, effect, replacedBy, clients, accessKeys }) => ({
        ...presentScopeUse(use),
        effect,
        replaced_by: replacedBy,
        held_by: { clients, access_keys: accessKeys },
      })),
    },
  };
  throw new KeyturnError('confirmation_required', 428, message, { extension: { review } });
}

export function presentScopeUse({ scope, usedBy, usedByOthers }: ScopeUse) {
  return {
    scope,
    used_by: usedBy.map(({ clientId, name, lastUsedAt }) => ({
      client_id: clientId,
      name,
      last_used_at: lastUsedAt.toISOString(),
    })),
    used_by_others: usedByOthers,
  };
}

/** Finds who was granted a scope by each of its declared names in the last 30 days. @param now milliseconds since the epoch. */
export async function findUseOfScopes(database: Queryable, server: Offer, now: number): Promise<ScopeUse[]> {
  const names = server.scopes.flatMap(({ name, aliases }) => [name, ...aliases]);
  const uses = await findScopeUses(database, names, new Date(now - usedWithinMs));
  return names.map((scope) => uses.get(scope) ?? { scope, usedBy: [], usedByOthers: 0 });
}

/** Finds the clients that were granted scopes by these names since a date, the latest use first. */
async function findScopeUses(
  database: Queryable,
  scopes: readonly string[],
  since: Date,
): Promise<Map<string, ScopeUse>> {
  const rows = await database.query<{
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
  return uses;
}
