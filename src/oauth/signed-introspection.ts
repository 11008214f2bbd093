import type { Context, Next } from 'koa';
import type { Core } from '../core.ts';
import { signJwt } from '../tokens/sign-jwt.ts';
import { callerOf } from './client-authentication.ts';

const jwtAnswer = 'application/token-introspection+jwt';

/**
 * Signs the answer of an introspection where the resource server asks for that (RFC 9701 §5): one that it can keep as evidence of what
 * it was told. "Not active" is signed like all else, and errors stay JSON.
 */
export function signIntrospection({ signingKeys, issuer, clock }: Core) {
  return async (ctx: Context, next: Next): Promise<void> => {
    await next();
    if (ctx.path !== '/oauth2/introspect' || !isSignedAnswerAsked(ctx)) return;
    const introspection = ctx.body as { active: boolean };
    // Neither `sub` nor `exp` stands beside them, so that it can be taken for no access token (RFC 9701 §5, RFC 8725).
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

/** Only by its name (RFC 9701 §4): whoever would take anything is given JSON, as before there was this. */
function isSignedAnswerAsked(ctx: Context): boolean {
  const isNamed = ctx.get('Accept').toLowerCase().includes(jwtAnswer);
  return isNamed && ctx.accepts(['application/json', jwtAnswer]) === jwtAnswer;
}
