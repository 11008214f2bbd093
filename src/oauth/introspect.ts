import type { Context } from 'koa';
import { RefusedAccessKey } from '../access-keys/require-access-key.ts';
import { type Client, parseScope } from '../clients/client.ts';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import { examineToken, type LiveToken } from '../tokens/examine-access-token.ts';
import { tokenTypeOf } from '../tokens/token-record.ts';
import { type Caller, callerOf } from './client-authentication.ts';
import { headStartOf, rethrowFailure } from './fast-path/head-start-of.ts';
import type { Form } from './parse-form.ts';
import { readAccessKey } from './read-access-key.ts';
import { formOf } from './read-form.ts';

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
};

/**
 * Reads the introspection request of an authenticated client (RFC 7662 §2.1). The fast path and the application call
 * this function.
 * @throws {KeyturnError} `invalid_request` if there is no token.
 */
export function readIntrospectionRequest({ client }: Caller, { values }: Form): AskedIntrospection {
  return {
    token: requireToken(values),
    server: client.kind === 'resource_server' ? client : undefined,
    accessKey: values.get('access_key'),
    usedScope: values.get('used_scope'),
  };
}

/** @throws {KeyturnError} `invalid_request` if the parameter `token` is missing (RFC 7662 §2.1, RFC 7009 §2.1). */
function requireToken(values: Form['values']): string {
  const token = values.get('token');
  if (token === undefined) throw new KeyturnError('invalid_request', 400, "missing required parameter 'token'");
  return token;
}

/**
 * Returns the introspection response (RFC 7662 §2.2).
 * @throws {StoreUnavailable}
 */
export async function introspect(core: Core, ctx: Context): Promise<object> {
  const { token, server, ...asked } = readIntrospectionRequest(callerOf(ctx), formOf(ctx));
  if (!server) return { active: false };
  rethrowFailure(ctx.req);
  const examined = headStartOf(ctx.req)?.examined;
  const live = examined
    ? examined.live
    : await examineToken(core, token, server, asked.accessKey === undefined ? undefined : readPresentedKey);
  if (!live) return { active: false };
  const { scope, accessKey } = live;
  if (accessKey) core.usedScopes.count(accessKey.id, usedScope(asked.usedScope, scope));
  return presentIntrospection(core, live);

  /** Returns undefined for an invalid access key, which makes the token inactive without a reason in the answer. */
  function readPresentedKey(client: Client) {
    return readAccessKey(core, ctx, client).catch((error: unknown) => {
      if (error instanceof RefusedAccessKey) return undefined;
      throw error;
    });
  }
}

/** Returns the introspection response for a live token. */
export function presentIntrospection({ issuer }: Core, { record, scope, audience, accessKey }: LiveToken) {
  return {
    active: true,
    sub: record.clientId,
    access_key_id: accessKey?.id,
    contact_id: accessKey?.contactId,
    client_id: record.clientId,
    exp: record.expiresAt,
    iat: Math.floor(record.issuedAt / 1_000),
    iss: issuer,
    jti: record.jti,
    aud: audience,
    scope,
    cnf: record.confirmation,
    token_type: tokenTypeOf(record),
  };
}

/** Returns the reported scopes that the answer contains; others do not count as used. */
function usedScope(reported: string | undefined, allowed: string): string[] {
  const scopes = parseScope(allowed);
  return reported === undefined ? [] : [...new Set(parseScope(reported))].filter((scope) => scopes.includes(scope));
}
