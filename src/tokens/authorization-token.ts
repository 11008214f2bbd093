import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { requireClient } from '../clients/manage-clients.ts';
import { Conflict, NotFound } from '../errors.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { type IssuedToken, issueAccessToken, type TokenDeps } from './access-token.ts';
import { revokeToken } from './revocation.ts';

/** What is known of the API authorization token that was issued last for a client; never the token. */
export type AuthorizationToken = {
  jti: string;
  scope: string;
  issuedBy: string;
  issuedAt: Date;
  expiresAt: Date;
};

/** Issues an API authorization token. One issued earlier is dead at once; the client's credentials stay as they are. */
export async function issueAuthorizationToken(
  transaction: Transaction,
  deps: TokenDeps,
  actor: Actor,
  clientId: string,
  request: { scope?: string | undefined; resource?: string | undefined },
): Promise<IssuedToken> {
  const at = new Date(deps.clock());
  const client = await requireClient(transaction, clientId);
  if (client.kind !== 'integration') throw new Conflict('not_an_integration', 'Only an integration has tokens.');
  if (!client.enabled) throw new Conflict('client_is_disabled', 'The client is disabled; a token of it would be dead.');
  const earlier = await findAuthorizationToken(transaction, client.id);
  if (earlier) await revokeToken(transaction, toRevocable(earlier), at);
  const issued = await issueAccessToken(deps, { client, secrets: [] }, client.clientId, { ...request, generation: 0 });
  await transaction.query(
    `INSERT INTO authorization_tokens (client, jti, scope, issued_by, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (client) DO UPDATE SET jti = $2, scope = $3, issued_by = $4, issued_at = $5, expires_at = $6`,
    [client.id, issued.record.jti, issued.scope, actor.name, at, new Date(issued.record.expiresAt * 1_000)],
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

/** @throws {NotFound} when none is live. */
export async function getAuthorizationToken(
  database: Transaction,
  deps: { clock: () => number },
  clientId: string,
): Promise<AuthorizationToken> {
  const client = await requireClient(database, clientId);
  const token = await findAuthorizationToken(database, client.id);
  const isDead =
    !token ||
    token.expiresAt.getTime() <= deps.clock() ||
    !client.enabled ||
    (client.tokensNotBefore !== null && token.issuedAt < client.tokensNotBefore);
  if (isDead) throw new NotFound('authorization token');
  return token;
}

export async function revokeAuthorizationToken(
  transaction: Transaction,
  deps: { clock: () => number },
  actor: Actor,
  clientId: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const client = await requireClient(transaction, clientId);
  const token = await getAuthorizationToken(transaction, deps, clientId);
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

function toRevocable({ jti, expiresAt }: AuthorizationToken): { jti: string; expiresAt: number } {
  return { jti, expiresAt: Math.ceil(expiresAt.getTime() / 1_000) };
}

type TokenRow = Row & { jti: string; scope: string; issued_by: string; issued_at: Date; expires_at: Date };

async function findAuthorizationToken(database: Queryable, client: string): Promise<AuthorizationToken | undefined> {
  const rows = await database.query<TokenRow>('SELECT * FROM authorization_tokens WHERE client = $1', [client]);
  const row = rows[0];
  return (
    row && {
      jti: row.jti,
      scope: row.scope,
      issuedBy: row.issued_by,
      issuedAt: row.issued_at,
      expiresAt: row.expires_at,
    }
  );
}
