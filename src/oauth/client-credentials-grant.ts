import type { Context } from 'koa';
import { isWellFormedScope } from '../clients/client.ts';
import type { Core } from '../core.ts';
import { isLive } from '../credentials/secret.ts';
import { KeyturnError } from '../errors.ts';
import { type IssuedToken, issueAccessToken } from '../tokens/issue-access-token.ts';
import { type Confirmation, tokenTypeOf } from '../tokens/token-store.ts';
import { retirementHeaders } from './announce-retirement.ts';
import { type Caller, callerOf } from './client-authentication.ts';
import { createDpopProofs } from './dpop-proof.ts';
import { rethrowFailure } from './fast-path/head-start-of.ts';
import { TooManyRequests } from './oauth-error.ts';
import { readAccessKey } from './read-access-key.ts';
import { formOf } from './read-form.ts';

/** Creates the handler of the client credentials grant (RFC 6749 §4.4), for an authenticated client. */
export function clientCredentialsGrant(core: Core) {
  const dpopProofs = createDpopProofs(core);
  return async (ctx: Context): Promise<void> => {
    rethrowFailure(ctx.req);
    const caller = callerOf(ctx);
    const { values, resources } = formOf(ctx);
    if (caller.client.kind !== 'integration') {
      throw new KeyturnError('unauthorized_client', 400, 'A resource server is not allowed to ask for tokens.');
    }
    const scope = values.get('scope');
    if (scope !== undefined && !isWellFormedScope(scope)) {
      throw new KeyturnError('invalid_scope', 400, 'The scope is malformed.');
    }
    if (resources.length > 1) throw new KeyturnError('invalid_target', 400, 'One resource at a time can be asked for.');
    const seconds = core.tokenRate?.secondsToWait(caller.client.id);
    if (seconds !== undefined) throw new TooManyRequests(seconds, 'This client has had too many tokens.');
    const proven = await dpopProofs.read(ctx);
    const issue = async (client: Caller) => {
      const confirmation = confirmationOf(client, proven);
      const accessKey = await readAccessKey(core, ctx, client.client);
      if (!accessKey && client.client.accessKey === 'required') {
        throw new KeyturnError('invalid_request', 400, 'This client must send an access_key.');
      }
      const generation = client.secret?.generation ?? 0;
      const request = { scope, resource: resources[0], generation, accessKey, confirmation };
      return { issued: await issueAccessToken(core, client, client.clientId, request), accessKey };
    };
    const { issued, accessKey } = await issue(caller).catch(async (error: unknown) => {
      const recent = isRefusal(error) && (await findRecentCaller(core, caller));
      if (!recent) throw error;
      return await issue(recent);
    });
    core.tokenRate?.count(caller.client.id);
    ctx.set(retirementHeaders(caller, accessKey) ?? {});
    ctx.body = presentToken(core, issued);
  };
}

function isRefusal(error: unknown): boolean {
  return error instanceof KeyturnError && ['invalid_scope', 'invalid_target', 'invalid_request'].includes(error.code);
}

/**
 * Re-reads the caller from the database before its token request is rejected: another process may just have extended
 * its permissions. Returns undefined if the caller could not authenticate any more.
 */
async function findRecentCaller({ clients, clock }: Core, caller: Caller): Promise<Caller | undefined> {
  const known = await clients.findRecent(caller.clientId);
  const secret = known?.secrets.find(({ id }) => id === caller.secret?.id);
  if (!known?.client.enabled || (caller.secret && !(secret && isLive(secret, clock())))) return undefined;
  return { ...caller, ...known, secret };
}

/**
 * Returns what the new token is bound to.
 * @throws {KeyturnError} `invalid_request` if the certificate or proof that tokens must be bound to is missing (RFC
 * 8705 §3, RFC 9449 §5.2).
 */
function confirmationOf(
  { client, certificate }: Caller,
  proven: { jkt: string } | undefined,
): Confirmation | undefined {
  if (client.dpopBoundTokens && !proven)
    throw new KeyturnError('invalid_request', 400, 'This client must send a DPoP proof.');
  if (!client.certificateBoundTokens) return proven;
  if (!certificate) throw new KeyturnError('invalid_request', 400, 'This client must show its certificate.');
  return { 'x5t#S256': certificate.thumbprint, ...proven };
}

/** Returns the body of the token response (RFC 6749 §5.1). */
export function presentToken({ ttlSeconds }: Core, { accessToken, record, scope }: IssuedToken) {
  return { access_token: accessToken, token_type: tokenTypeOf(record), expires_in: ttlSeconds, scope };
}
