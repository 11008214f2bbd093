import { createHash, randomBytes } from 'node:crypto';
import type { Context, Next } from 'koa';
import { type Permission, reachOf } from '../../../contacts/contact.ts';
import type { Core } from '../../../core.ts';
import { Forbidden, KeyturnError } from '../../../errors.ts';
import type { Queryable, Row, Transaction } from '../../../storage/database.ts';
import type { Operator } from '../../operator-auth.ts';
import { seeOther } from '../post-redirect-get.ts';
import { siteOf } from '../site.ts';

/** A signed-in operator with their current permissions. */
export type Session = {
  /** Unique name of the session. It does not grant access, and stays the same when the cookie is renewed. */
  name: string;
  operator: Omit<Operator, 'address'>;
  /** Time of the last proof of identity. */
  provedAt: Date;
};

/** A contact that has proved its identity, and the verifier of its current operator token; null if it has no token. */
export type Proved = { contact: string; operatorToken: Uint8Array | null };

const lifetimeMs = 8 * 3_600_000;

/** Hashes a random value for storage (SHA-256). */
export function digest(value: string): Uint8Array {
  return createHash('sha256').update(value).digest();
}

/** Returns 256 random bits for a cookie or a link, as base64url. */
export function randomCode(): string {
  return randomBytes(32).toString('base64url');
}

/**
 * Finds the session of a cookie. Returns undefined if it has expired, if the contact's operator token was issued,
 * replaced or revoked since sign-in, if its permissions have changed, or if its organization is disabled.
 */
async function findSession(database: Queryable, cookie: string, now: number): Promise<Session | undefined> {
  const rows = await database.query<
    Row & {
      session: string;
      contact: string;
      name: string;
      permissions: Permission[];
      organization: string;
      proved_at: Date;
    }
  >(
    `SELECT s.name AS session, s.contact, c.name, c.permissions, c.organization, s.proved_at
     FROM console_sessions s JOIN contacts c ON c.id = s.contact JOIN organizations o ON o.id = c.organization
       LEFT JOIN operator_tokens t ON t.contact = c.id
     WHERE s.id = $1 AND s.expires_at > $2 AND o.enabled AND t.verifier IS NOT DISTINCT FROM s.operator_token
       AND c.permissions <@ s.permissions AND s.permissions <@ c.permissions`,
    [digest(cookie), new Date(now)],
  );
  const row = rows[0];
  return (
    row && {
      name: row.session,
      operator: {
        id: row.contact,
        name: row.name,
        permissions: row.permissions,
        organizationId: reachOf({ organizationId: row.organization }),
      },
      provedAt: row.proved_at,
    }
  );
}

/**
 * Starts a session of 8 hours.
 * @param mark prefix of the cookie.
 * @returns the cookie's value.
 */
export async function startSession(
  transaction: Transaction,
  { contact, operatorToken }: Proved,
  { mark, now }: { mark: string; now: number },
): Promise<string> {
  const cookie = mark + randomCode();
  await transaction.query(
    `INSERT INTO console_sessions (id, contact, operator_token, permissions, created_at, proved_at, expires_at)
     SELECT $1, id, $3, permissions, $4, $4, $5 FROM contacts WHERE id = $2`,
    [digest(cookie), contact, operatorToken, new Date(now), new Date(now + lifetimeMs)],
  );
  return cookie;
}

/**
 * Gives a session a new cookie after its contact has proved its identity with its current operator token. The session's
 * expiry stays the same.
 * @param mark prefix of the new cookie.
 * @returns the new cookie's value.
 */
export async function renewSession(
  transaction: Transaction,
  cookie: string,
  { operatorToken }: Proved,
  { mark, now }: { mark: string; now: number },
): Promise<string> {
  const renewed = mark + randomCode();
  await transaction.query('UPDATE console_sessions SET id = $2, operator_token = $3, proved_at = $4 WHERE id = $1', [
    digest(cookie),
    digest(renewed),
    operatorToken,
    new Date(now),
  ]);
  return renewed;
}

export async function endSession(database: Queryable, cookie: string): Promise<void> {
  await database.query('DELETE FROM console_sessions WHERE id = $1', [digest(cookie)]);
}

/**
 * Thrown if a call requires a proof of identity within the last 15 minutes. The response is a form that asks for the
 * operator token.
 */
export class ProofNeeded extends KeyturnError {
  constructor() {
    super('proof_needed', 401, 'Enter your operator token again to continue.');
  }
}

/**
 * Requires a session. Other requests are redirected to the sign-in page, except POST.
 * @param askSignIn answers a POST request without a session.
 */
export function requireSession(
  core: Core,
  addressOf: (request: Context['req']) => string,
  askSignIn: (ctx: Context) => Promise<void>,
) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const cookie = readSessionCookie(ctx);
    const session = cookie === undefined ? undefined : await findSession(core.database, cookie, core.clock());
    if (!session) {
      if (ctx.method === 'POST') return await askSignIn(ctx);
      const isStart = ctx.path === '/console/';
      return seeOther(ctx, `/console/sign-in${isStart ? '' : `?next=${encodeURIComponent(ctx.url)}`}`);
    }
    ctx.state['session'] = session;
    // The access log reads the operator too, as for requests to the API.
    ctx.state['operator'] = { ...session.operator, address: addressOf(ctx.req) } satisfies Operator;
    await next();
  };
}

/** The names of a cookie with and without TLS. */
type CookieNames = { secure: string; plain: string };

const securePrefix = '__Host-';

/**
 * Returns the names of a cookie. Browsers accept a cookie with the prefix `__Host-` only over TLS and only for this host
 * (RFC 6265bis §4.1.3.2).
 */
export function cookieNames(plain: string): CookieNames {
  return { secure: `${securePrefix}${plain}`, plain };
}

/** Returns the names of the session cookie of the site that serves a request. */
function sessionNames(ctx: Context): CookieNames {
  return cookieNames(siteOf(ctx).cookie);
}

/**
 * Prefix of the cookie of a session that was started over TLS. Such a cookie is rejected under the plain name, which
 * other origins can set.
 */
const secureMark = 's_';

/**
 * Returns the value of the session cookie. The cookie with the plain name can be set by a page on another port or
 * subdomain, so it is accepted only for a session that was started without TLS, in a request that shows no sign of TLS.
 */
export function readSessionCookie(ctx: Context): string | undefined {
  const names = sessionNames(ctx);
  const secure = ctx.cookies.get(names.secure);
  if (secure !== undefined || isSecure(ctx)) return secure;
  const plain = ctx.cookies.get(names.plain);
  return plain?.startsWith(secureMark) ? undefined : plain;
}

export function setSessionCookie(ctx: Context, value: string): void {
  setCookie(ctx, sessionNames(ctx), value);
}

/** Sets a cookie that only this host reads. @param more further attributes, each after `; `. */
export function setCookie(ctx: Context, names: CookieNames, value: string, more = ''): void {
  const isOverTls = isSecure(ctx);
  const attributes = `Path=/; HttpOnly; SameSite=Strict${more}${isOverTls ? '; Secure' : ''}`;
  ctx.append('Set-Cookie', `${isOverTls ? names.secure : names.plain}=${value}; ${attributes}`);
}

/** Returns the prefix for the cookie of a session that this request starts. */
export function sessionMark(ctx: Context): string {
  return isSecure(ctx) ? secureMark : '';
}

/** Returns whether the browser uses TLS. The Origin of a form shows this even if a proxy terminates TLS. */
function isSecure(ctx: Context): boolean {
  return ctx.secure || ctx.get('Origin').toLowerCase().startsWith('https:');
}

export function clearSessionCookie(ctx: Context): void {
  const { secure, plain } = sessionNames(ctx);
  for (const name of [secure, plain]) clearCookie(ctx, name);
}

/** Removes a cookie that `setCookie` has set under this name. */
export function clearCookie(ctx: Context, name: string): void {
  const secure = name.startsWith(securePrefix) ? '; Secure' : '';
  ctx.append('Set-Cookie', `${name}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0${secure}`);
}

/**
 * Rejects state-changing requests without an Origin header. Browsers send one with every form, so such a request does
 * not come from a console page. `requireOwnOrigin` has already rejected other origins.
 */
export async function requireOwnPage(ctx: Context, next: Next): Promise<void> {
  const isRead = ctx.method === 'GET' || ctx.method === 'HEAD';
  if (!isRead && ctx.req.headers.origin === undefined) {
    throw new Forbidden('The Origin header is missing, so it is not known which page the form comes from.');
  }
  await next();
}
