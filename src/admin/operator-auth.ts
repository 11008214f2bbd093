import type { Context, Next } from 'koa';
import { describePermission, type Permission } from '../contacts/contact.ts';
import { authenticateOperator, type Grantor } from '../contacts/manage-contacts.ts';
import type { Core } from '../core.ts';
import { Forbidden, KeyturnError } from '../errors.ts';
import { createAttemptLimit } from './rate-limits.ts';

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
    const { id, name, permissions } = await limited(address, async () => {
      const contact = await authenticateOperator(core, token);
      if (!contact) throw unauthenticated();
      return contact;
    });
    ctx.state['presented'] = false;
    ctx.state['operator'] = { id, name, permissions, address } satisfies Operator;
    await next();
  };
}

function unauthenticated(): KeyturnError {
  return new KeyturnError('unauthenticated', 401, 'A valid operator token is required.');
}

export function requirePermission(permission: Permission) {
  return async (ctx: Context, next: Next): Promise<void> => {
    checkPermission(operatorOf(ctx), permission);
    await next();
  };
}

/** @throws {Forbidden} if the operator lacks the permission. */
export function checkPermission({ permissions }: Operator, permission: Permission): void {
  if (permissions.includes(permission)) return;
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
