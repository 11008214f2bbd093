import { type Client, parseScope } from '../clients/client.ts';
import { isOffered } from '../clients/offered-scopes.ts';
import { generateSecret } from '../credentials/credential-format.ts';
import { KeyturnError } from '../errors.ts';
import type { ExchangePair } from '../http/exchange-pairs.ts';
import { judgeToken } from './examine-access-token.ts';
import { type IssuedToken, lifetimeFor } from './issue-access-token.ts';
import { grantedScope, lackOf, seenBy } from './seen-token.ts';
import { maxExchanges } from './token-chain.ts';
import type { Confirmation, TokenRecord } from './token-record.ts';
import { isBoundAsRequired, type TokenDeps } from './token-rules.ts';
import { tokenId } from './token-store.ts';

/**
 * Exchanges a token that an API received for one for the next API (RFC 8693): for no scope that it does not have, for no
 * longer than it lives, and with the same fate. The subject stays the client of the token, and `act` names the API.
 * @param actor the API, a resource server that has authenticated.
 * @throws {KeyturnError} `invalid_request`, `invalid_target` or `invalid_scope`.
 * @throws {StoreUnavailable}
 */
export async function exchangeToken(
  deps: TokenDeps & { exchangePairs: readonly ExchangePair[] },
  actor: Client,
  asked: {
    subjectToken: string;
    scope: string | undefined;
    resource: string | undefined;
    confirmation: Confirmation | undefined;
  },
): Promise<IssuedToken> {
  deps.feed.requireNotOld();
  deps.clockCheck.requireRight();
  const { resource, confirmation } = asked;
  const found = await judgeToken(deps, asked.subjectToken);
  // RFC 8693 §2.2.2: every token that cannot be exchanged gets the same error.
  if ('refusal' in found || found.standalone || 'refusal' in seenBy(actor, found)) {
    throw refused('subject_token: not a live access token of this resource server.');
  }
  const { record, client } = found;
  const chain = record.chain ?? [];
  if (chain.length >= maxExchanges) throw refused(`subject_token: it was exchanged ${maxExchanges} times already.`);
  if (client && !isBoundAsRequired(client, confirmation)) {
    throw refused('The client of the token requires bound tokens, so the exchange needs a DPoP proof.');
  }
  const servers = await deps.clients.resourceServers();
  const target = servers.find((server) => server.resource === resource);
  const isPair = deps.exchangePairs.some(({ from, to }) => from === actor.resource && to === resource);
  if (!target?.enabled || !isPair) {
    throw new KeyturnError('invalid_target', 400, 'resource: this resource server may not exchange tokens for it.');
  }
  const onward = new Set(reachableFrom(target.resource ?? '', deps.exchangePairs));
  const allowedAt = (server: Client) =>
    grantedScope(server, found).filter((item) => isOffered(server, item) && !lackOf(item, server, found));
  const atTarget = record.resource === undefined || record.resource === target.resource ? allowedAt(target) : [];
  const beyond = servers.filter((server) => server.enabled && onward.has(server.resource ?? ''));
  const scope = asked.scope === undefined ? atTarget : parseScope(asked.scope);
  const isAllowed = (item: string) =>
    atTarget.includes(item) ||
    (record.resource === undefined && beyond.some((server) => allowedAt(server).includes(item)));
  if (scope.length === 0 || !scope.every(isAllowed)) {
    throw new KeyturnError('invalid_scope', 400, 'scope: the token that is exchanged does not have it there.');
  }
  const now = deps.clock();
  const signingKey = await deps.signingKeys.current();
  const lifetime = lifetimeFor(deps, { tokenTtlSeconds: client?.tokenTtlSeconds ?? null }, scope, target, {
    servers,
    signingKey,
  });
  const accessToken = generateSecret('kta_');
  const next: TokenRecord = {
    ...record,
    jti: tokenId(accessToken),
    issuedAt: now,
    expiresAt: Math.min(record.expiresAt, Math.floor(now / 1_000) + lifetime),
    scope: scope.join(' '),
    scopeVersions: undefined,
    // With scopes of further APIs, the target can exchange the token again.
    resource: scope.every((item) => atTarget.includes(item)) ? (target.resource ?? undefined) : undefined,
    confirmation,
    chain: [{ actor: actor.clientId, parent: record.jti }, ...chain],
  };
  await deps.tokenStore.save(next, now);
  return { accessToken, record: next, scope: scope.join(' '), isStored: true };
}

/** Returns the APIs that tokens of this one can be exchanged for, directly or in several steps. */
function reachableFrom(resource: string, pairs: readonly ExchangePair[], seen = new Set<string>()): Set<string> {
  for (const { from, to } of pairs) {
    if (from !== resource || seen.has(to)) continue;
    seen.add(to);
    reachableFrom(to, pairs, seen);
  }
  return seen;
}

function refused(message: string): KeyturnError {
  return new KeyturnError('invalid_request', 400, message);
}
