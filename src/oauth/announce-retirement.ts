import type { Context, Next } from 'koa';
import type { Secret } from '../credentials/secret.ts';
import { callerOf } from './client-authentication.ts';

/**
 * Adds `Deprecation` (since when, RFC 9745 §2) and `Sunset` (until when, RFC 8594 §3) to every answer to a request with
 * a retiring secret or access key, so that the integrator learns it from the integration itself.
 */
export async function announceRetirement(ctx: Context, next: Next): Promise<void> {
  const retirement = retirementHeaders(callerOf(ctx));
  if (retirement) ctx.set(retirement);
  await next();
}

/** The client secret or access key value of a request, with the other secrets of its owner. */
type Presented = { secret?: Secret | undefined; secrets: readonly Secret[] };

/** Returns the headers for the presented secret that expires first, or undefined if none is retiring. */
export function retirementHeaders(
  ...presented: readonly (Presented | undefined)[]
): { Deprecation: string; Sunset: string } | undefined {
  if (!presented.some((one) => one?.secret?.retiresAt)) return undefined;
  const [first] = presented.flatMap((one) => retirementOf(one) ?? []).sort((one, other) => +one.until - +other.until);
  return first && { Deprecation: `@${Math.floor(+first.since / 1_000)}`, Sunset: first.until.toUTCString() };
}

/** Returns since when and until when a presented secret is retiring, or undefined if it is not. */
export function retirementOf(presented: Presented | undefined): { since: Date; until: Date } | undefined {
  const secret = presented?.secret;
  if (!presented || !secret?.retiresAt) return undefined;
  // A secret is deprecated since its successor was created.
  const successor = presented.secrets.find(({ retiresAt }) => retiresAt === null);
  return { since: successor?.createdAt ?? secret.createdAt, until: secret.retiresAt };
}
