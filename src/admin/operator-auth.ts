import type { Context, Next } from 'koa';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { organizationNotFound } from '../clients/hold-organizations.ts';
import { describePermission, type Permission } from '../contacts/contact.ts';
import type { Grantor } from '../contacts/grantor.ts';
import type { Core } from '../core.ts';
import { Forbidden, KeyturnError, TooManyRequests } from '../errors.ts';
import { networkOf } from '../http/client-address.ts';
import { findOperator } from '../operator-tokens/authenticate-operator.ts';

/** An authenticated operator with their address and current permissions. */
export type Operator = Grantor;

/**
 * Authenticates the operator by the bearer token in the Authorization header (RFC 6750 §2.1). Reads the permissions for
 * every request, so a withdrawn permission takes effect with the next one.
 */
export function authenticateBearer(core: Core, addressOf: (request: Context['req']) => string) {
  const limited = createAttemptLimit(core.config.failuresPerMinute);
  return async (ctx: Context, next: Next): Promise<void> => {
    const token = bearerToken(ctx.req.rawHeaders);
    if (token === undefined) throw unauthenticated();
    ctx.state['presented'] = true;
    const address = addressOf(ctx.req);
    const operator = await limited(address, async () => {
      const found = await findOperator(core, token, address);
      if (!found) throw unauthenticated();
      return found;
    });
    ctx.state['presented'] = false;
    ctx.state['operator'] = operator satisfies Operator;
    await next();
  };
}

function unauthenticated(): KeyturnError {
  return new KeyturnError('unauthenticated', 401, 'A valid operator token is required.');
}

/** The requirements of an endpoint or a page for its operators. */
export type Access = { permission: Permission | null; reach?: 'organization'; own?: true };

export function requireAccess(endpoint: Access) {
  return async (ctx: Context, next: Next): Promise<void> => {
    checkAccess(operatorOf(ctx), endpoint);
    await next();
  };
}

/** @throws {Forbidden} if the operator lacks the permission of an endpoint, or its reach does not include the endpoint. */
export function checkAccess(operator: Operator, access: Access): void {
  if (contactLimitOf(operator, access) === null) checkPermission(operator, access.permission);
  if (access.reach !== 'organization') checkDeployment(operator);
}

/**
 * Returns the contact that an operator is limited to at an endpoint: itself, if it lacks the permission and the endpoint
 * is for own things too. Null: no such limit.
 */
export function contactLimitOf(
  { id, permissions, organizationId }: Operator,
  { permission, own }: Pick<Access, 'permission' | 'own'>,
): string | null {
  const isLimited = own && organizationId !== null && permission !== null && !permissions.includes(permission);
  return isLimited ? id : null;
}

/** @throws {Forbidden} for an operator of an organization. */
function checkDeployment({ organizationId }: Operator): void {
  if (organizationId === null) return;
  throw new Forbidden('Only operators of the deployment itself may do this, not those of an organization.');
}

/**
 * Returns the organization of something that an operator creates.
 * @param asked the organization in the request.
 * @throws {InvalidInput} as `requireOwnOrganization`.
 */
export function organizationFor(operator: Operator, asked: string | undefined): string | undefined {
  requireOwnOrganization(operator, asked);
  return asked ?? operator.organizationId ?? undefined;
}

/**
 * Checks the organization in the request of an operator of an organization.
 * @throws {InvalidInput} if it is another one, whether or not that exists.
 */
export function requireOwnOrganization({ organizationId: own }: Operator, asked: string | undefined): void {
  if (own !== null && asked !== undefined && asked !== own) throw organizationNotFound();
}

/** @throws {Forbidden} if the operator lacks the permission. */
export function checkPermission({ permissions }: Operator, permission: Permission | null): void {
  if (permission === null || permissions.includes(permission)) return;
  throw new Forbidden(`You need the permission ${describePermission(permission)}.`);
}

export function operatorOf(ctx: Context): Operator {
  return ctx.state['operator'] as Operator;
}

/**
 * Returns the bearer token, or undefined if the Authorization header is missing, malformed or repeated: a repeated
 * header is ambiguous.
 */
function bearerToken(rawHeaders: readonly string[]): string | undefined {
  const values = rawHeaders.filter(
    (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'authorization',
  );
  return values.length === 1 ? /^bearer +(\S+)$/i.exec(values[0] ?? '')?.[1] : undefined;
}

/**
 * Runs an authentication attempt from an address, and counts it as failed if it throws a KeyturnError of status 401.
 * @throws {TooManyRequests} instead of the 401 after too many failures.
 */
type AttemptLimit = <T>(address: string, attempt: () => Promise<T>) => Promise<T>;

/**
 * Limits the failed attempts per minute and network, counted in this process. Valid credentials always pass, so the
 * failures of other callers behind the same proxy do not lock anyone out.
 * @param perMinute 0 disables the limit.
 */
export function createAttemptLimit(perMinute: number): AttemptLimit {
  if (perMinute === 0) return (_address, attempt) => attempt();
  const limiter = new RateLimiterMemory({ points: perMinute, duration: 60 });
  return async (address, attempt) => {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof KeyturnError) || error.status !== 401) throw error;
      const network = networkOf(address);
      if (network === undefined) throw error;
      await limiter.consume(network).catch((rejected: unknown) => {
        if (!(rejected instanceof RateLimiterRes)) throw rejected;
        const seconds = Math.max(1, Math.ceil(rejected.msBeforeNext / 1_000));
        throw new TooManyRequests(
          `Too many failed attempts from your address. Try again in ${seconds} seconds.`,
          seconds,
        );
      });
      throw error;
    }
  };
}

const perMinute = 30;

/**
 * Limits how many secrets one operator can reveal per minute, so that a stolen operator token cannot read all of them
 * quickly. Counted in this process.
 */
export function createRevealLimit(): (operator: string) => Promise<void> {
  const limiter = new RateLimiterMemory({ points: perMinute, duration: 60 });
  return async (operator) => {
    await limiter.consume(operator).catch((rejected: unknown) => {
      if (!(rejected instanceof RateLimiterRes)) throw rejected;
      const seconds = Math.max(1, Math.ceil(rejected.msBeforeNext / 1_000));
      throw new TooManyRequests(
        `You can show at most ${perMinute} secrets per minute. Try again in ${seconds} seconds.`,
        seconds,
      );
    });
  };
}
