import type { Context, Next } from 'koa';
import type { AccessKey } from '../access-keys/access-key.ts';
import { RefusedAccessKey, recordFirstUse } from '../access-keys/require-access-key.ts';
import { type Client, parseScope } from '../clients/client.ts';
import { isHeld } from '../clients/offered-scopes.ts';
import type { Core } from '../core.ts';
import { KeyturnError, TooManyRequests } from '../errors.ts';
import { examineToken } from '../tokens/examine-access-token.ts';
import { revokeOwnToken } from '../tokens/revoke-own-token.ts';
import type { LiveToken, RefusedToken } from '../tokens/seen-token.ts';
import { signJwt } from '../tokens/signing-keys.ts';
import { actorClaim, idsOf } from '../tokens/token-chain.ts';
import { tokenTypeOf } from '../tokens/token-record.ts';
import { type Caller, callerOf } from './client-authentication.ts';
import { rethrowFailure } from './fast-path/head-start.ts';
import type { Form } from './form.ts';
import { countAndPresentKey, reportedAddress, useOfKey } from './introspected-key.ts';
import { readAccessKey } from './presented-access-key.ts';
import { formOf } from './receive-form.ts';
import { noteRejection, type Rejection } from './record-use.ts';

/** An introspection request. */
type AskedIntrospection = {
  token: string;
  /**
   * The resource server that asks, or undefined if the caller is not one. Other clients could use introspection to test
   * tokens, so every token is inactive for them (RFC 7662 §4).
   */
  server: Client | undefined;
  /** The value of the access key in the request that the resource server serves, not verified. */
  accessKey: string | undefined;
  usedScope: string | undefined;
  /** The address of the request that the resource server serves, as it reports it. */
  address: string | undefined;
};

/**
 * Reads the introspection request of an authenticated client (RFC 7662 §2.1). The fast path and the application call
 * this function.
 * @throws {KeyturnError} `invalid_request` if there is no token.
 */
export function readIntrospectionRequest({ client }: Caller, form: Form): AskedIntrospection {
  const { values } = form;
  return {
    token: requireToken(values),
    server: client.kind === 'resource_server' ? client : undefined,
    accessKey: values.get('access_key'),
    usedScope: values.get('used_scope'),
    address: reportedAddress(form),
  };
}

/** @throws {KeyturnError} `invalid_request` if the parameter `token` is missing (RFC 7662 §2.1, RFC 7009 §2.1). */
function requireToken(values: Form['values']): string {
  const token = values.get('token');
  if (token === undefined) throw new KeyturnError('invalid_request', 400, "missing required parameter 'token'");
  return token;
}

/** Serves introspection (RFC 7662) and revocation (RFC 7009). */
export function serveIssuedTokens(core: Core) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.path === '/oauth2/introspect') ctx.body = await introspect(core, ctx);
    else if (ctx.path === '/oauth2/revoke') await revoke(core, ctx);
    else await next();
  };
}

/**
 * Revokes a token of the caller. The answer is an empty object: RFC 7009 §2.2 lets clients ignore it, but some require
 * JSON.
 */
async function revoke(core: Core, ctx: Context): Promise<void> {
  const token = requireToken(formOf(ctx).values);
  const { client } = callerOf(ctx);
  const seconds = core.revocationRate?.secondsToWait(client.id);
  if (seconds !== undefined)
    throw new TooManyRequests('This client has revoked too many tokens. Try again later.', seconds);
  core.revocationRate?.count(client.id);
  await revokeOwnToken(core, client, token);
  ctx.body = {};
}

/**
 * Returns the introspection response (RFC 7662 §2.2).
 * @throws {StoreUnavailable}
 */
async function introspect(core: Core, ctx: Context): Promise<object> {
  const { token, server, ...asked } = readIntrospectionRequest(callerOf(ctx), formOf(ctx));
  if (!server) return { active: false };
  rethrowFailure(ctx.req);
  const examined = await examineToken(core, token, server, {
    presented: asked.accessKey === undefined ? undefined : readPresentedKey,
    address: asked.address,
  });
  if ('refusal' in examined) {
    const { standalone, refusal } = examined;
    if (standalone) ctx.state['refusedKeyUse'] = { ...useOfKey(standalone, asked.address), reason: refusal };
    noteRejection(ctx, rejectionOfToken(server, examined));
    return { active: false };
  }
  const { scope, accessKey, standalone } = examined;
  if (standalone) {
    if (!(await recordFirstUse(core, standalone).then(() => true, removedMeanwhile))) return { active: false };
    ctx.state['keyUse'] = useOfKey(standalone, asked.address);
  }
  if (accessKey) core.usedScopes.count(accessKey.id, usedScope(asked.usedScope, scope, accessKey, server));
  return presentIntrospection(core, examined);

  function removedMeanwhile(error: unknown): false {
    if (error instanceof RefusedAccessKey) return false;
    throw error;
  }

  /** Returns undefined for an invalid access key, which makes the token inactive without a reason in the answer. */
  function readPresentedKey(client: Client) {
    return readAccessKey(core, ctx, client, asked.address).catch((error: unknown) => {
      if (error instanceof RefusedAccessKey) return undefined;
      throw error;
    });
  }
}

/** Returns why a token is not active, which the answer must not say. */
export function rejectionOfToken(server: Client, { refusal, record, client, key }: RefusedToken): Rejection {
  const isOfKey = key !== undefined && refusal !== 'other_resource' && refusal !== 'no_scope_left';
  const decidedBy = (isOfKey ? key.id : client?.id) ?? null;
  const generation = (isOfKey ? record?.accessKey?.generation : record?.generation) ?? null;
  return { reason: refusal, client: server.id, decidedBy, generation };
}

/** Returns the introspection response for a live token. */
export function presentIntrospection(core: Core, live: LiveToken) {
  const { record, scope, audience, accessKey, organizationId, claims } = live;
  const introspection = {
    active: true,
    // A stand-alone key has no client; it acts for its contact.
    sub: record.clientId ?? accessKey?.contactId,
    access_key_id: accessKey?.id,
    contact_id: accessKey?.contactId,
    organization_id: organizationId,
    client_id: record.clientId,
    exp: Number.isFinite(record.expiresAt) ? Math.floor(record.expiresAt) : undefined,
    iat: Math.floor(record.issuedAt / 1_000),
    iss: core.issuer,
    jti: record.jti || undefined,
    aud: audience,
    scope,
    cnf: record.confirmation,
    ...(record.chain ? { act: actorClaim(record.chain), parent_jtis: idsOf(record).slice(1) } : {}),
    token_type: tokenTypeOf(record),
    ...(record.clientId === undefined ? countAndPresentKey(core, live) : {}),
  };
  return claims ? { ...claims, ...introspection } : introspection;
}

/**
 * Returns the scopes of the access key that were reported as used, by any of their names, and that the answer contains.
 * Others do not count as used.
 */
function usedScope(reported: string | undefined, allowed: string, key: AccessKey, server: Client): string[] {
  if (reported === undefined) return [];
  const scopes = parseScope(allowed);
  const used = parseScope(reported).filter((scope) => isHeld(server, scopes, scope));
  return key.scope.filter((scope) => isHeld(server, used, scope));
}

const jwtAnswer = 'application/token-introspection+jwt';

/**
 * Signs the answer of an introspection if the resource server asks for it (RFC 9701 §5), so that it can keep the answer
 * as evidence. "Not active" is signed too; errors stay JSON.
 */
export function signIntrospection({ signingKeys, issuer, clock }: Core) {
  return async (ctx: Context, next: Next): Promise<void> => {
    await next();
    if (ctx.path !== '/oauth2/introspect' || !isSignedAnswerAsked(ctx)) return;
    const introspection = ctx.body as { active: boolean };
    // No `sub` and `exp` at the top level, so that the answer cannot be used as an access token (RFC 9701 §5, RFC
    // 8725).
    const claims = {
      iss: issuer,
      aud: callerOf(ctx).clientId,
      iat: Math.floor(clock() / 1_000),
      token_introspection: introspection,
    };
    ctx.body = signJwt(await signingKeys.current(), 'token-introspection+jwt', claims);
    ctx.type = jwtAnswer;
    ctx.state['active'] = introspection.active;
  };
}

/** Returns whether the Accept header names the media type (RFC 9701 §4). Clients that accept anything get JSON. */
function isSignedAnswerAsked(ctx: Context): boolean {
  const isNamed = ctx.get('Accept').toLowerCase().includes(jwtAnswer);
  return isNamed && ctx.accepts(['application/json', jwtAnswer]) === jwtAnswer;
}
