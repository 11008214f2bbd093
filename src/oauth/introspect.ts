import type { Context } from 'koa';
import { RefusedAccessKey } from '../access-keys/require-access-key.ts';
import { type Client, parseScope } from '../clients/client.ts';
import type { Core } from '../core.ts';
import { examineToken, type LiveToken } from '../tokens/examine-access-token.ts';
import { tokenTypeOf } from '../tokens/token-store.ts';
import { callerOf } from './client-authentication.ts';
import { headStartOf, rethrowFailure } from './fast-path/head-start-of.ts';
import { readAccessKey } from './read-access-key.ts';
import { formOf } from './read-form.ts';

/**
 * Returns the introspection response (RFC 7662 §2.2).
 * @throws {StoreUnavailable}
 */
export async function introspect(core: Core, ctx: Context): Promise<object> {
  const { client: server } = callerOf(ctx);
  // RFC 7662 §4: only resource servers may introspect, because other clients could use it to test tokens.
  if (server.kind !== 'resource_server') return { active: false };
  const { values } = formOf(ctx);
  rethrowFailure(ctx.req);
  const examined = headStartOf(ctx.req)?.examined;
  const live = examined
    ? examined.live
    : await examineToken(
        core,
        values.get('token') ?? '',
        server,
        values.has('access_key') ? readPresentedKey : undefined,
      );
  if (!live) return { active: false };
  const { scope, accessKey } = live;
  if (accessKey) core.usedScopes.count(accessKey.id, usedScope(values.get('used_scope'), scope));
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
