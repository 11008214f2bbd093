import type { Context, Next } from 'koa';
import type { Grantor } from '../contacts/manage-contacts.ts';
import type { Core } from '../core.ts';
import { Forbidden, KeyturnError } from '../errors.ts';
import { authenticateOperator } from '../operators/operator-token.ts';
import type { Permission } from '../operators/permission.ts';

/** Who asks, from where, and what they may do at this moment. */
export type Operator = Grantor;

/** Finds the operator by the token in the Authorization header (RFC 6750 §2.1), at every request anew: a permission taken away is gone. */
export function authenticateBearer(core: Core, addressOf: (request: Context['req']) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const token = bearerToken(ctx.req.rawHeaders);
    const contact = token === undefined ? undefined : await authenticateOperator(core, token);
    if (!contact) throw new KeyturnError('unauthenticated', 401, 'A valid operator token is needed.');
    const { id, name, permissions } = contact;
    ctx.state['operator'] = { id, name, permissions, address: addressOf(ctx.req) } satisfies Operator;
    await next();
  };
}

export function requirePermission(permission: Permission) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (!operatorOf(ctx).permissions.includes(permission)) throw new Forbidden(`This needs ${permission}.`);
    await next();
  };
}

export function operatorOf(ctx: Context): Operator {
  return ctx.state['operator'] as Operator;
}

/** Undefined too where the header comes twice: which of them would count? */
function bearerToken(rawHeaders: readonly string[]): string | undefined {
  const values = rawHeaders.filter(
    (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'authorization',
  );
  return values.length === 1 ? /^bearer +(\S+)$/i.exec(values[0] ?? '')?.[1] : undefined;
}
