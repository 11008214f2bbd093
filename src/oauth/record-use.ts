import type { Context, Next } from 'koa';
import { errors } from 'oidc-provider';
import { RefusedAccessKey } from '../access-keys/require-access-key.ts';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import type { PresentedSecret, RequestSource } from '../usage/usage-counter.ts';
import { type Caller, presentedSecretOf } from './client-authentication.ts';
import { InvalidClient } from './oauth-error.ts';

/** Counts in memory the uses and failed attempts of each secret by source and result. */
export function recordUse(core: Core, addressOf: (request: Context['req']) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const source = { address: addressOf(ctx.req), userAgent: ctx.req.headers['user-agent'] ?? '' };
    try {
      await next();
    } catch (error) {
      countFailure(core, ctx, source, error);
      throw error;
    }
    const secret = presentedSecretOf(ctx.state['caller'] as Caller);
    countUse(core, ctx.path, source, secret, ctx.state['presentedAccessKey'] as PresentedSecret | undefined);
  };
}

/**
 * Counts an answered request. @param path determines whether the request counts as an issued token or as another use.
 */
export function countUse(
  { usage }: Core,
  path: string,
  source: RequestSource,
  secret: PresentedSecret,
  accessKey: PresentedSecret | undefined,
): void {
  const count = path === '/oauth2/token' ? usage.issued : usage.used;
  count(secret, source);
  if (accessKey) count(accessKey, source);
}

function countFailure({ usage }: Core, ctx: Context, source: RequestSource, error: unknown): void {
  if (error instanceof InvalidClient && error.refused) {
    usage.refused(error.refused.secret, source, error.refused.reason);
    return;
  }
  if (error instanceof RefusedAccessKey && error.refused) {
    usage.refused(error.refused.secret, source, error.refused.reason);
  }
  const caller = ctx.state['caller'] as Caller | undefined;
  const code = codeOf(error);
  if (caller && code !== undefined) usage.failed(presentedSecretOf(caller), source, code);
}

/** Returns the error code, or undefined for a failure of the server, which is not the client's. */
function codeOf(error: unknown): string | undefined {
  if (error instanceof KeyturnError && error.status < 500) return error.code;
  if (error instanceof errors.OIDCProviderError && error.statusCode < 500) return error.error;
  return undefined;
}
