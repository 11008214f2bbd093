import type { Context, Next } from 'koa';
import type { Core } from '../core.ts';
import { signJwt } from '../tokens/signing-keys.ts';
import { callerOf } from './client-authentication.ts';

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
