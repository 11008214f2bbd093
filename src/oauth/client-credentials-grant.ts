import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import type { KnownClient } from '../clients/client.ts';
import { type KeyCredential, keyCredentialsOf, refusalOfCredential } from '../clients/key-credentials.ts';
import type { Core } from '../core.ts';
import { keysOfRegistration } from '../credentials/registration.ts';
import { KeyturnError } from '../errors.ts';
import { demandToken, presentToken, readTokenRequest } from '../tokens/grant-rules.ts';
import { isKnownToHaveEnded, issueAccessToken } from '../tokens/issue-access-token.ts';
import { lifetimeOf } from '../tokens/token-record.ts';
import { retirementHeaders } from './announce-retirement.ts';
import { type Caller, callerOf } from './client-authentication.ts';
import { rethrowFailure } from './fast-path/head-start.ts';
import { InvalidClient } from './oauth-error.ts';
import { readAccessKey } from './presented-access-key.ts';
import { formOf } from './receive-form.ts';
import { createDpopProofs } from './token-binding-proof.ts';

/** Creates the handler of the client credentials grant (RFC 6749 §4.4), for an authenticated client. */
export function clientCredentialsGrant(core: Core, addressOf: (request: IncomingMessage) => string) {
  const dpopProofs = createDpopProofs(core);
  return async (ctx: Context): Promise<void> => {
    rethrowFailure(ctx.req);
    const caller = callerOf(ctx);
    const asked = readTokenRequest(core, caller, formOf(ctx));
    const proven = await dpopProofs.read(ctx, caller.client.id);
    const issue = async (client: Caller) => {
      const request = demandToken(client, asked, proven);
      request.accessKey = await readAccessKey(core, ctx, client.client, addressOf(ctx.req));
      return { issued: await issueAccessToken(core, client, client.clientId, request), accessKey: request.accessKey };
    };
    let { issued, accessKey } = await issue(caller).catch(async (error: unknown) => {
      const recent = isRefusal(error) && (await findRecentCaller(core, caller));
      if (!recent) throw error;
      return await issue(recent);
    });
    if (isKnownToHaveEnded(core, issued.record)) {
      const recent = await findRecentCaller(core, caller);
      if (!recent) throw new InvalidClient('changed_meanwhile');
      ({ issued, accessKey } = await issue(recent));
    }
    core.tokenRate?.count(caller.client.id);
    ctx.state['grantedScope'] = issued.scope;
    ctx.set(retirementHeaders(caller, accessKey) ?? {});
    ctx.body = presentToken(issued);
    ctx.state['lifetimeSeconds'] = lifetimeOf(issued.record);
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
  if (!known?.client.enabled) return undefined;
  const now = clock();
  const credential = findCredential(known, caller, now);
  if (!credential || refusalOfCredential(credential, caller.clientId, now)) return undefined;
  return { ...caller, ...known, secret: credential.secret };
}

/** Finds the credential of a caller in its client. Returns undefined if its key or certificate is not registered. */
function findCredential(
  known: KnownClient,
  { secret: presented, key }: Caller,
  now: number,
): Pick<KeyCredential, 'secret'> | undefined {
  if (!key) {
    const secret = known.secrets.find(({ id }) => id === presented?.id);
    return secret && { secret };
  }
  // The first credential of a client has no row until it is replaced, and has the generation 0 then.
  const generation = presented?.generation ?? 0;
  return keyCredentialsOf(known, now).find(
    ({ registration, secret }) =>
      (secret?.generation ?? 0) === generation &&
      (!registration.jwks || keysOfRegistration(registration).some(({ thumbprint }) => thumbprint === key.thumbprint)),
  );
}
