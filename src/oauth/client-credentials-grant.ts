import type { Context } from 'koa';
import type { Core } from '../core.ts';
import { isLive } from '../credentials/secret.ts';
import { KeyturnError } from '../errors.ts';
import { issueAccessToken } from '../tokens/issue-access-token.ts';
import { retirementHeaders } from './announce-retirement.ts';
import { type Caller, callerOf } from './client-authentication.ts';
import { createDpopProofs } from './dpop-proof.ts';
import { rethrowFailure } from './fast-path/head-start-of.ts';
import { readAccessKey } from './read-access-key.ts';
import { formOf } from './read-form.ts';
import { demandToken, presentToken, readTokenRequest } from './token-request.ts';

/** Creates the handler of the client credentials grant (RFC 6749 §4.4), for an authenticated client. */
export function clientCredentialsGrant(core: Core) {
  const dpopProofs = createDpopProofs(core);
  return async (ctx: Context): Promise<void> => {
    rethrowFailure(ctx.req);
    const caller = callerOf(ctx);
    const asked = readTokenRequest(core, caller, formOf(ctx));
    const proven = await dpopProofs.read(ctx);
    const issue = async (client: Caller) => {
      const request = demandToken(client, asked, proven);
      request.accessKey = await readAccessKey(core, ctx, client.client);
      return { issued: await issueAccessToken(core, client, client.clientId, request), accessKey: request.accessKey };
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
