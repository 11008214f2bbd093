import type { Context } from 'koa';
import { RefusedAccessKey } from '../access-keys/require-access-key.ts';
import { type Client, parseScope } from '../clients/client.ts';
import type { Core } from '../core.ts';
import { examineToken, type LiveToken } from '../tokens/examine-access-token.ts';
import { tokenTypeOf } from '../tokens/token-store.ts';
import { callerOf } from './client-authentication.ts';
import { headStartOf, rethrowFailure } from './head-start.ts';
import { readAccessKey } from './read-access-key.ts';
import { formOf } from './read-form.ts';

/**
 * The answer to an introspection (RFC 7662 §2.2).
 * @throws {StoreUnavailable}
 */
export async function introspect(core: Core, ctx: Context): Promise<object> {
  const { client: server } = callerOf(ctx);
  // RFC 7662 §4: open to any client, introspection would let anybody try out tokens.
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

  /** A key that is not good makes the token inactive here, which is all that the resource server is told. */
  function readPresentedKey(client: Client) {
    return readAccessKey(core, ctx, client).catch((error: unknown) => {
      if (error instanceof RefusedAccessKey) return undefined;
      throw error;
    });
  }
}

/** What is told of a live token. */
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

/** What the resource server says that the request really used: only what it has just been told to be allowed counts. */
function usedScope(reported: string | undefined, allowed: string): string[] {
  const scopes = parseScope(allowed);
  return reported === undefined ? [] : [...new Set(parseScope(reported))].filter((scope) => scopes.includes(scope));
}
