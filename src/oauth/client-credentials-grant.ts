import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { isWellFormedScope, type KnownClient } from '../clients/client.ts';
import { type KeyCredential, keyCredentialsOf, refusalOfCredential } from '../clients/key-credentials.ts';
import type { Core } from '../core.ts';
import { keysOfRegistration } from '../credentials/registration.ts';
import { KeyturnError, TooManyRequests } from '../errors.ts';
import {
  type IssuedToken,
  isKnownToHaveEnded,
  issueAccessToken,
  type TokenRequest,
} from '../tokens/issue-access-token.ts';
import { type Confirmation, lifetimeOf, tokenTypeOf } from '../tokens/token-record.ts';
import { retirementHeaders } from './announce-retirement.ts';
import { type Caller, callerOf } from './client-authentication.ts';
import { targetsOf } from './dialect-rules.ts';
import { rethrowFailure } from './fast-path/head-start.ts';
import type { Form } from './form.ts';
import { InvalidClient } from './oauth-error.ts';
import { readAccessKey } from './presented-access-key.ts';
import { formOf } from './receive-form.ts';
import { createDpopProofs } from './token-binding-proof.ts';

/** The rules of a token request (RFC 6749 §4.4). The fast path and the application call the same functions. */

export const grantType = 'client_credentials';

/** A well-formed token request. */
type AskedToken = {
  scope: string | undefined;
  resource: string | undefined;
  /** The value of an access key, not verified. */
  accessKey: string | undefined;
};

/**
 * Reads the token request of an authenticated client.
 * @throws {KeyturnError} `unauthorized_client`, `invalid_scope`, `invalid_target`, or `temporarily_unavailable` if the
 * client has had too many tokens.
 */
export function readTokenRequest(core: Core, { client }: Caller, form: Form): AskedToken {
  const { values } = form;
  if (client.kind !== 'integration') {
    throw new KeyturnError('unauthorized_client', 400, 'Resource servers cannot request tokens.');
  }
  const scope = values.get('scope');
  if (scope !== undefined && !isWellFormedScope(scope)) {
    throw new KeyturnError('invalid_scope', 400, 'scope: must be a list of scopes, separated by single spaces.');
  }
  const resources = targetsOf(form, core.config.dialects, client);
  if (resources.length > 1)
    throw new KeyturnError('invalid_target', 400, 'resource: only one is supported per request.');
  const seconds = core.tokenRate?.secondsToWait(client.id);
  if (seconds !== undefined)
    throw new TooManyRequests('This client has requested too many tokens. Try again later.', seconds);
  return { scope, resource: resources[0], accessKey: values.get('access_key') };
}

/**
 * Returns the token to issue. Its access key has to be looked up and added.
 * @param proven the key that a DPoP proof proved to have, or undefined if the request has no proof.
 * @throws {KeyturnError} `invalid_request` if the client must send an access key, a certificate or a proof, and did not
 * (RFC 8705 §3, RFC 9449 §5.2).
 */
export function demandToken(
  { client, secret, certificate }: Caller,
  { scope, resource, accessKey }: AskedToken,
  proven: { jkt: string } | undefined,
): TokenRequest {
  if (client.dpopBoundTokens && !proven) {
    throw new KeyturnError('invalid_request', 400, 'This client must send a DPoP proof.');
  }
  if (client.certificateBoundTokens && !certificate) {
    throw new KeyturnError('invalid_request', 400, 'This client must use its TLS client certificate.');
  }
  if (client.accessKey === 'required' && accessKey === undefined) {
    throw new KeyturnError('invalid_request', 400, 'access_key: required for this client.');
  }
  const confirmation: Confirmation | undefined =
    client.certificateBoundTokens && certificate ? { 'x5t#S256': certificate.thumbprint, ...proven } : proven;
  return { scope, resource, generation: secret?.generation ?? 0, accessKey: undefined, confirmation };
}

/** Returns the body of the token response (RFC 6749 §5.1). */
export function presentToken({ accessToken, record, scope }: IssuedToken) {
  return { access_token: accessToken, token_type: tokenTypeOf(record), expires_in: lifetimeOf(record), scope };
}

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
