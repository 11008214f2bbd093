import type { Context, Next } from 'koa';
import { type Caller, callerOf } from './client-authentication.ts';

/**
 * Every answer to a request with a retiring secret says so, and until when it is good: `Deprecation` since when (RFC 9745 §2),
 * `Sunset` until when (RFC 8594 §3). So the integrator learns it from the integration itself.
 */
export async function announceRetirement(ctx: Context, next: Next): Promise<void> {
  const retirement = retirementHeaders(callerOf(ctx));
  if (retirement) ctx.set(retirement);
  await next();
}

/** Undefined: the secret is not retiring. */
export function retirementHeaders({ secret, secrets }: Caller): { Deprecation: string; Sunset: string } | undefined {
  if (!secret?.retiresAt) return undefined;
  // It has been deprecated since the secret that follows it was made.
  const successor = secrets.find(({ retiresAt }) => retiresAt === null);
  const since = successor?.createdAt ?? secret.createdAt;
  return {
    Deprecation: `@${Math.floor(since.getTime() / 1_000)}`,
    Sunset: secret.retiresAt.toUTCString(),
  };
}
