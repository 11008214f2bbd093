import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { parseScope } from '../clients/client.ts';
import { generateSecret } from '../credentials/credential-format.ts';
import { findGrantable, refusedScope, requireOneMeaning } from './grantable-scope.ts';
import { type IssuedToken, lifetimeFor } from './issue-access-token.ts';
import type { Confirmation, TokenRecord } from './token-record.ts';
import type { TokenDeps } from './token-rules.ts';
import { tokenId } from './token-store.ts';

const maxSeconds = 3_600;

/**
 * Issues an access token for a stand-alone access key: for at most an hour, and for no more than the key allows. It is
 * always opaque, because a JWT needs a client (RFC 9068 §2.2).
 * @throws {KeyturnError} `invalid_scope` or `invalid_target`.
 * @throws {StoreUnavailable}
 */
export async function exchangeStandaloneKey(
  deps: TokenDeps,
  { key, secret }: PresentedAccessKey,
  request: { scope: string | undefined; resource: string | undefined; confirmation: Confirmation | undefined },
): Promise<IssuedToken> {
  deps.feed.requireNotOld();
  deps.clockCheck.requireRight();
  const servers = await deps.clients.resourceServers();
  const signingKey = await deps.signingKeys.current();
  const holder = { scope: key.scope, resource: null };
  const { named, grantable, isGrantable } = findGrantable(holder, { resource: request.resource }, servers);
  const granted = request.scope === undefined ? grantable : parseScope(request.scope);
  const refused = granted.length === 0 ? '' : granted.find((item) => !isGrantable(item));
  if (refused !== undefined) throw refusedScope(refused, holder, { named, accessKey: undefined }, servers);
  if (!named) requireOneMeaning(granted, servers);
  const now = deps.clock();
  const seconds = lifetimeFor(deps, { tokenTtlSeconds: maxSeconds }, granted, named, { servers, signingKey });
  const accessToken = generateSecret('kta_');
  const record: TokenRecord = {
    jti: tokenId(accessToken),
    clientId: undefined,
    epoch: 0,
    generation: 0,
    issuedAt: now,
    expiresAt: Math.floor(now / 1_000) + Math.min(seconds, deps.ttlSeconds),
    scope: granted.join(' '),
    scopeVersions: undefined,
    resource: named?.resource ?? undefined,
    accessKey: { id: key.id, epoch: key.tokenEpoch, generation: secret.generation },
    confirmation: request.confirmation,
  };
  await deps.tokenStore.save(record, now);
  return { accessToken, record, scope: granted.join(' '), isStored: true };
}
