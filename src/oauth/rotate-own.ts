import type { Context, Next } from 'koa';
import { type OwnRotation, ownGracePeriods, rotateOwnCredential } from '../clients/rotate-own-credential.ts';
import type { Core } from '../core.ts';
import { InvalidInput } from '../errors.ts';
import { parseStrictJson } from '../http/strict-json.ts';
import { callerOf } from './client-authentication.ts';
import type { Form } from './form.ts';
import { formOf } from './receive-form.ts';

export const rotatePath = '/oauth2/credentials/rotate';

/**
 * Serves `POST /oauth2/credentials/rotate`: a client that may do so rotates the credential that it authenticates with.
 * Authentication is that of a token request.
 */
export function serveOwnRotation(core: Core, addressOf: (request: Context['req']) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.path !== rotatePath) return await next();
    ctx.set('Cache-Control', 'no-store');
    ctx.set('Pragma', 'no-cache');
    const { client, clientId, secret } = callerOf(ctx);
    const request = { key: readKey(ctx.req), ...readParameters(formOf(ctx)) };
    const caller = { client, clientId, secret, address: addressOf(ctx.req) };
    // Whether every program has moved is decided by what is counted until now.
    await core.usage.flush();
    ctx.body = present(await core.change((transaction) => rotateOwnCredential(transaction, core, caller, request)));
  };
}

/**
 * Returns the Idempotency-Key. It is required, because a client whose answer is lost would have no valid secret after the
 * grace period. It is long, because with the previous credential it is enough to receive the new secret.
 */
function readKey(request: Context['req']): string {
  const values = request.headersDistinct['idempotency-key'] ?? [];
  const [key = ''] = values;
  if (values.length === 1 && /^[\x21-\x7e]{16,255}$/.test(key)) return key;
  throw new InvalidInput(
    'Idempotency-Key: must be sent once, with 16 to 255 printable characters that nobody can guess, such as a random UUID.',
  );
}

function readParameters({ values }: Form) {
  const jwks = values.get('jwks');
  const certificate = values.get('certificate');
  if (jwks !== undefined && certificate !== undefined) throw new InvalidInput('Send either `jwks` or `certificate`.');
  return {
    overlapSeconds: readSeconds(values.get('overlap_seconds')),
    finishWhenUnused: readFlag(values.get('finish_when_unused')),
    replace: jwks !== undefined ? { jwks: readJwks(jwks) } : certificate !== undefined ? { certificate } : undefined,
  };
}

function readSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const { min, max } = ownGracePeriods;
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (seconds >= min && seconds <= max) return seconds;
  throw new InvalidInput(`overlap_seconds: must be a whole number from ${min} to ${max}.`);
}

function readFlag(text = 'false'): boolean {
  if (text !== 'true' && text !== 'false') throw new InvalidInput('finish_when_unused: must be `true` or `false`.');
  return text === 'true';
}

function readJwks(text: string): { keys: Record<string, unknown>[] } {
  const set = parseStrictJson(text, 'invalid_request') as { keys?: unknown } | null;
  const keys = typeof set === 'object' && set !== null ? set.keys : undefined;
  const isObject = (key: unknown) => typeof key === 'object' && key !== null && !Array.isArray(key);
  if (Array.isArray(keys) && keys.length <= 100 && keys.every(isObject)) {
    return { keys: keys as Record<string, unknown>[] };
  }
  throw new InvalidInput('jwks: must be a JWK set (RFC 7517 §5).');
}

function present({ regeneration, state, plaintext, clientId, usingNew, moved, stillUsingOld }: OwnRotation): object {
  const firstUses = usingNew.flatMap(({ firstUsedAt }) => (firstUsedAt ? [firstUsedAt.getTime()] : []));
  return {
    regeneration_id: regeneration.id,
    state,
    client_id: clientId,
    ...(plaintext === undefined ? {} : { client_secret: plaintext }),
    previous: { retires_at: regeneration.oldSecret.retiresAt?.toISOString() ?? null },
    first_used_at: firstUses.length === 0 ? null : new Date(Math.min(...firstUses)).toISOString(),
    moved_count: moved.length,
    not_moved_count: stillUsingOld.length,
  };
}
