import { refusalOfKey } from '../access-keys/access-key.ts';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { findKnownAccessKey, markAccessKeyUsed } from '../access-keys/access-key-store.ts';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import type { Client } from '../clients/client.ts';
import { findKnownClient, listResourceServers } from '../clients/client-store.ts';
import { requireClient } from '../clients/manage-clients.ts';
import { isLive } from '../credentials/secret.ts';
import { Conflict, InvalidInput, NotFound } from '../errors.ts';
import { findOrganization } from '../organizations/organization-store.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { type IssuedToken, makeAccessToken } from './issue-access-token.ts';
import { revokeToken } from './revocation.ts';
import { isBoundAsRequired, type TokenDeps } from './token-rules.ts';

/** Metadata of the last API authorization token of a client, without the token itself. */
export type AuthorizationToken = {
  jti: string;
  /** The client's epoch when it was issued. */
  epoch: number;
  scope: string;
  issuedBy: string;
  issuedAt: Date;
  expiresAt: Date;
};

/** Issues an API authorization token and revokes the previous one. The client's credentials do not change. */
export async function issueAuthorizationToken(
  transaction: Transaction,
  deps: TokenDeps,
  actor: Actor,
  clientId: string,
  request: { scope?: string | undefined; resource?: string | undefined; accessKeyId?: string | undefined },
): Promise<IssuedToken> {
  const at = new Date(deps.clock());
  const client = await requireClient(transaction, clientId);
  if (client.kind !== 'integration')
    throw new Conflict(
      'not_an_integration',
      'Tokens can be issued for integrations only. This client is a resource server.',
    );
  if (!client.enabled) throw new Conflict('client_is_disabled', 'The client is disabled. Enable it first.');
  if (!(await findOrganization(transaction, client.organizationId))?.enabled) {
    throw new Conflict('organization_is_disabled', 'The organization of the client is disabled. Enable it first.');
  }
  if (!isBoundAsRequired(client, undefined)) {
    throw new Conflict(
      'client_binds_tokens',
      "This client's tokens must be bound to a key or certificate. A token that is issued here cannot be bound.",
    );
  }
  const earlier = await findAuthorizationToken(transaction, client.id);
  if (earlier) await revokeToken(transaction, toRevocable(earlier), at);
  const servers = await listResourceServers(transaction);
  const signingKey = await deps.signingKeys.current(transaction);
  const issued = makeAccessToken(
    deps,
    client,
    client.clientId,
    {
      ...request,
      generation: 0,
      accessKey: await findAccessKey(transaction, deps, client, request.accessKeyId, at),
    },
    { servers, signingKey },
  );
  // Store the token before the commit: if the commit fails, an unknown token remains, but no returned token is missing.
  if (issued.isStored) await deps.tokenStore.save(issued.record, at.getTime(), transaction);
  await transaction.query(
    `INSERT INTO authorization_tokens (client, jti, epoch, scope, issued_by, issued_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (client) DO UPDATE SET jti = $2, epoch = $3, scope = $4, issued_by = $5, issued_at = $6, expires_at = $7`,
    [
      client.id,
      issued.record.jti,
      issued.record.epoch,
      issued.scope,
      actor.name,
      at,
      new Date(issued.record.expiresAt * 1_000),
    ],
  );
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: 'authorization_token.issue',
    targetType: 'client',
    target: client.clientId,
    after: { jti: issued.record.jti, scope: issued.scope },
  });
  return issued;
}

/** Returns the access key to issue the token with, and marks it as used. */
async function findAccessKey(
  transaction: Transaction,
  deps: Pick<TokenDeps, 'clock'>,
  client: Client,
  id: string | undefined,
  at: Date,
): Promise<PresentedAccessKey | undefined> {
  if (id === undefined) {
    if (client.accessKey === 'required') throw new InvalidInput('access_key_id: required for this client.');
    return undefined;
  }
  const known = await findKnownAccessKey(transaction, id);
  if (!known) throw new NotFound('access key');
  const secret = known.secrets.find((candidate) => isLive(candidate, deps.clock()));
  if (!secret || !known.isOrganizationEnabled || refusalOfKey(known.key, client.id, deps.clock())) {
    throw new Conflict(
      'access_key_not_usable',
      'The access key or its organization is disabled, or it has expired, or is not allowed for this client.',
    );
  }
  if (!(await markAccessKeyUsed(transaction, id, at))) throw new NotFound('access key');
  return { ...known, secret };
}

/** @throws {NotFound} if no token is live. */
export async function getAuthorizationToken(
  database: Queryable,
  deps: Pick<TokenDeps, 'clock' | 'revocations'>,
  clientId: string,
): Promise<AuthorizationToken> {
  const known = await findKnownClient(database, clientId);
  if (!known) throw new NotFound('client');
  return await requireLive(database, deps, known.client);
}

export async function revokeAuthorizationToken(
  transaction: Transaction,
  deps: Pick<TokenDeps, 'clock' | 'revocations'>,
  actor: Actor,
  clientId: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const client = await requireClient(transaction, clientId);
  const token = await requireLive(transaction, deps, client);
  await revokeToken(transaction, toRevocable(token), at);
  await transaction.query('DELETE FROM authorization_tokens WHERE client = $1', [client.id]);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: 'authorization_token.revoke',
    targetType: 'client',
    target: client.clientId,
    before: { jti: token.jti, scope: token.scope },
  });
}

async function requireLive(
  database: Queryable,
  { clock, revocations }: Pick<TokenDeps, 'clock' | 'revocations'>,
  client: Client,
): Promise<AuthorizationToken> {
  const token = await findAuthorizationToken(database, client.id);
  const isLive =
    token &&
    client.enabled &&
    token.epoch === client.tokenEpoch &&
    isBoundAsRequired(client, undefined) &&
    clock() < token.expiresAt.getTime() &&
    !revocations.has(token.jti);
  if (!isLive) throw new NotFound('authorization token');
  return token;
}

function toRevocable({ jti, expiresAt }: AuthorizationToken): { jti: string; expiresAt: number } {
  return { jti, expiresAt: Math.ceil(expiresAt.getTime() / 1_000) };
}

type TokenRow = Row & {
  jti: string;
  epoch: number;
  scope: string;
  issued_by: string;
  issued_at: Date;
  expires_at: Date;
};

async function findAuthorizationToken(database: Queryable, client: string): Promise<AuthorizationToken | undefined> {
  const rows = await database.query<TokenRow>('SELECT * FROM authorization_tokens WHERE client = $1', [client]);
  const row = rows[0];
  return (
    row && {
      jti: row.jti,
      epoch: row.epoch,
      scope: row.scope,
      issuedBy: row.issued_by,
      issuedAt: row.issued_at,
      expiresAt: row.expires_at,
    }
  );
}
