import type { Context, Next } from 'koa';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import type { Client } from '../clients/client.ts';
import type { Core } from '../core.ts';
import { type Secret, shownHint } from '../credentials/secret.ts';
import { KeyturnError } from '../errors.ts';
import { unreadableAddress } from '../http/client-address.ts';
import { findGrantable } from '../tokens/grantable-scope.ts';
import { defaultGrant } from '../tokens/issue-access-token.ts';
import { type Caller, callerOf } from './client-authentication.ts';
import { readAccessKey } from './presented-access-key.ts';
import { formOf } from './receive-form.ts';
import { instanceOf } from './record-use.ts';

/**
 * Serves `/oauth2/whoami`: tells an authenticated client which credential it used, until when that is valid, which scope
 * a token request would get, from which address it appears, which instance it is, and how far its clock is off.
 * Authentication is that of a token request, with a form that may also contain `access_key` and `resource`. It issues nothing.
 */
export function serveWhoami(core: Core, addressOf: (request: Context['req']) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.path !== '/oauth2/whoami') return await next();
    const caller = callerOf(ctx);
    const address = addressOf(ctx.req);
    const accessKey = await readAccessKey(core, ctx, caller.client, address);
    const now = core.clock();
    ctx.set('Cache-Control', 'no-store');
    ctx.body = {
      client_id: caller.clientId,
      name: caller.client.name,
      kind: caller.client.kind,
      auth_method: caller.client.authMethod,
      credential: presentCredential(caller, now),
      ...(accessKey ? { access_key: presentAccessKey(accessKey, now) } : {}),
      ...(caller.client.kind === 'integration' ? { scope: await scopeOf(core, ctx, caller.client, accessKey) } : {}),
      address: address === unreadableAddress ? null : address,
      instance: instanceOf(ctx.req, formOf(ctx)) ?? null,
      server_time: new Date(now).toISOString(),
      clock_difference_seconds: clockDifference(ctx.req.headers.date, now),
    };
  };
}

/** Returns the scope of a token that is asked for without `scope`. @throws {KeyturnError} `invalid_target`. */
async function scopeOf(
  core: Core,
  ctx: Context,
  client: Client,
  accessKey: PresentedAccessKey | undefined,
): Promise<string> {
  const { resources } = formOf(ctx);
  if (resources.length > 1) throw new KeyturnError('invalid_target', 400, 'Only one resource can be requested.');
  const servers = await core.clients.resourceServers();
  const { grantable } = findGrantable(client, { resource: resources[0], accessKey }, servers);
  return defaultGrant(client, grantable).join(' ');
}

/** Describes the credential that authenticated the request, never its value. */
function presentCredential({ secret, key, client }: Caller, now: number): object {
  // Keys and certificates have no row, and therefore no hint, until they are replaced for the first time.
  const life = secret ?? { createdAt: client.createdAt, retiresAt: null };
  if (!key) return { kind: 'client_secret', ...presentLife(life, now) };
  return { kind: key.kind, kid: key.kid, thumbprint: key.thumbprint, ...presentLife(life, now) };
}

function presentAccessKey({ key, secret }: PresentedAccessKey, now: number): object {
  const ends = [key.expiresAt, secret.retiresAt].flatMap((end) => (end ? [end] : []));
  const first = ends.sort((one, other) => +one - +other)[0];
  return { id: key.id, name: key.name, ...presentLife({ ...secret, retiresAt: first ?? null }, now) };
}

type Life = Pick<Secret, 'createdAt' | 'retiresAt'> & Partial<Pick<Secret, 'hint' | 'registration'>>;

function presentLife({ hint, registration = null, createdAt, retiresAt }: Life, now: number): object {
  return {
    hint: hint === undefined ? null : shownHint({ hint, registration }),
    created_at: createdAt.toISOString(),
    age_seconds: Math.max(0, Math.floor((now - +createdAt) / 1_000)),
    expires_at: retiresAt?.toISOString() ?? null,
  };
}

/**
 * Returns by how many seconds the caller's clock is ahead of the server's, by the `Date` header of the request (RFC 9110
 * §6.6.1), or null if it has none. The header has whole seconds, so a difference of one second means nothing.
 */
function clockDifference(date: string | undefined, now: number): number | null {
  const sent = date === undefined ? Number.NaN : Date.parse(date);
  return Number.isNaN(sent) ? null : Math.round(sent / 1_000) - Math.floor(now / 1_000);
}
