import type { Context, Next } from 'koa';
import { reachOf } from '../../../contacts/contact.ts';
import type { Core } from '../../../core.ts';
import { Forbidden, KeyturnError } from '../../../errors.ts';
import { digest, randomCode } from '../../../sessions/link-store.ts';
import {
  deleteByCookie,
  findPresentedSession,
  type Grant,
  insertSession,
  isSameSession,
  noteSeen,
  replaceCookie,
  type SignedInPerson,
  type SignInMethod,
} from '../../../sessions/session-store.ts';
import type { Queryable, Transaction } from '../../../storage/database.ts';
import type { Operator } from '../../operator-auth.ts';
import { seeOther } from '../post-redirect-get.ts';
import { type Site, siteOf } from '../site.ts';

/** A signed-in operator with their current permissions. */
export type Session = {
  /** Identifies the session. It does not grant access, and stays the same when the cookie is renewed. */
  id: string;
  operator: Omit<Operator, 'address'>;
  /** Time of the last proof of identity. */
  provedAt: Date;
  /** Where the link back to the host product leads; null: there is none. Only sessions of the portal have one. */
  returnUrl: string | null;
  /** The identity provider that started the session, or null. */
  provider: string | null;
};

/**
 * A contact that has proved its identity, the verifier of its current operator token, and how it did so. The verifier is
 * null if it has no token.
 */
export type Proved = {
  contact: string;
  operatorToken: Uint8Array | null;
  method: SignInMethod;
  grant?: Grant;
  /** The person at an identity provider, for single sign-on. */
  person?: SignedInPerson;
};

/** Maximum number of characters of a user agent that are kept. */
const maxUserAgent = 300;

/** A browser's site, address and user agent, its session cookie, and the prefix of its next cookie. */
export type Visitor = {
  site: Site['name'];
  address: string;
  userAgent: string;
  cookie: string | undefined;
  mark: string;
};

export function visitorOf(ctx: Context, addressOf: (request: Context['req']) => string): Visitor {
  return {
    site: siteOf(ctx).name,
    address: addressOf(ctx.req),
    userAgent: ctx
      .get('User-Agent')
      .replace(/[^\x20-\x7e]/g, '')
      .slice(0, maxUserAgent),
    cookie: readSessionCookie(ctx),
    mark: sessionMark(ctx),
  };
}

/** How exactly the last use of a session is recorded, so that not every request writes. */
const seenEveryMs = 60_000;

/**
 * Hashes the cookie of a session for storage. A cookie of the portal is not one of the console, also for a process of an
 * earlier version, which does not read the column `site`.
 */
export function hashCookie(site: Site['name'], cookie: string): Uint8Array {
  return digest(site === 'console' ? cookie : `${site} ${cookie}`);
}

/** Finds the session of a cookie, and records that it is used. */
export async function useSession(
  { database, config, clock }: Core,
  site: Site['name'],
  cookie: string,
): Promise<Session | undefined> {
  const now = new Date(clock());
  const found = await findPresentedSession(database, site, hashCookie(site, cookie), now);
  if (!found) return undefined;
  const { id, contactId, name, permissions, provedAt, lastSeenAt, returnUrl, provider } = found;
  if (now.getTime() - lastSeenAt.getTime() >= seenEveryMs) await noteSeen(database, id, config.sessions, now);
  const operator = { id: contactId, name, permissions, organizationId: reachOf(found) };
  return { id, operator, provedAt, returnUrl, provider };
}

/**
 * Starts a session.
 * @returns the cookie's value.
 */
export async function startSession(
  transaction: Transaction,
  { config, clock }: Pick<Core, 'config' | 'clock'>,
  { contact: contactId, operatorToken, method, grant, person }: Proved,
  { site, mark, address, userAgent }: Visitor,
): Promise<string> {
  const cookie = mark + randomCode();
  const session = {
    site,
    grant,
    person,
    cookie: hashCookie(site, cookie),
    contactId,
    operatorToken,
    method,
    address,
    userAgent,
  };
  await insertSession(transaction, session, config.sessions, new Date(clock()));
  return cookie;
}

/**
 * Gives a session a new cookie after its contact has proved its identity with its current operator token. The session's
 * longest life stays the same.
 * @returns the new cookie's value.
 */
export async function renewSession(
  transaction: Transaction,
  { operatorToken }: Proved,
  { site, cookie = '', mark }: Visitor,
  now: number,
): Promise<string> {
  const renewed = mark + randomCode();
  const next = { cookie: hashCookie(site, renewed), operatorToken };
  await replaceCookie(transaction, hashCookie(site, cookie), next, new Date(now));
  return renewed;
}

/** Returns whether a link continues the session of the browser that opens it. */
export async function continuesSession(
  transaction: Transaction,
  { contact: contactId, operatorToken, grant }: Proved,
  { site, cookie }: Visitor,
  now: number,
): Promise<boolean> {
  if (!grant || cookie === undefined) return false;
  const session = { site, cookie: hashCookie(site, cookie), contactId, operatorToken, grant };
  return await isSameSession(transaction, session, new Date(now));
}

export async function forgetSession(database: Queryable, site: Site['name'], cookie: string): Promise<void> {
  await deleteByCookie(database, hashCookie(site, cookie));
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
    const session = cookie === undefined ? undefined : await useSession(core, siteOf(ctx).name, cookie);
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
/** Prefix of other session cookies, whose random part could begin with `s_`. */
const plainMark = 'p_';

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

/**
 * Sets a cookie that only this host reads.
 * @param more further attributes, each after `; `.
 * @param isLax whether the cookie is sent also when another site leads the browser back.
 */
export function setCookie(ctx: Context, names: CookieNames, value: string, more = '', isLax = false): void {
  const isOverTls = isSecure(ctx);
  const sentBy = isLax ? 'SameSite=Lax' : sameSite(ctx);
  const attributes = `Path=/; HttpOnly; ${sentBy}${more}${isOverTls ? '; Secure' : ''}`;
  ctx.append('Set-Cookie', `${isOverTls ? names.secure : names.plain}=${value}; ${attributes}`);
}

/**
 * Returns the attributes that say in which pages of other sites a cookie is sent: in none. In a frame of an allowed page,
 * the cookie is of this frame below that page alone (CHIPS). The check of Origin protects forms in either case.
 */
function sameSite(ctx: Context): string {
  const isFramed = siteOf(ctx).name === 'portal' && isSecure(ctx) && ctx.get('Sec-Fetch-Dest') === 'iframe';
  return isFramed ? 'SameSite=None; Partitioned' : 'SameSite=Strict';
}

/** Returns the prefix for the cookie of a session that this request starts. */
function sessionMark(ctx: Context): string {
  return isSecure(ctx) ? secureMark : plainMark;
}

/**
 * Returns whether the browser uses TLS. The Origin of a form and the configured URL show this even if a proxy terminates
 * TLS.
 */
export function isSecure(ctx: Context): boolean {
  return ctx.secure || ctx.state['isOverTls'] === true || ctx.get('Origin').toLowerCase().startsWith('https:');
}

export function clearSessionCookie(ctx: Context): void {
  const { secure, plain } = sessionNames(ctx);
  for (const name of [secure, plain]) clearCookie(ctx, name);
}

/** Removes a cookie that `setCookie` has set under this name. */
export function clearCookie(ctx: Context, name: string): void {
  const secure = name.startsWith(securePrefix) ? '; Secure' : '';
  ctx.append('Set-Cookie', `${name}=; Path=/; HttpOnly; ${sameSite(ctx)}; Max-Age=0${secure}`);
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
