import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import {
  presentedValueOf,
  RefusedAccessKey,
  recordFirstUse,
  requireAccessKey,
} from '../access-keys/require-access-key.ts';
import type { Core } from '../core.ts';
import { KeyturnError, TooManyRequests } from '../errors.ts';
import { tokenPath } from '../http/token-path.ts';
import { accessKeyType, accessTokenType, exchangeGrantType } from '../tokens/exchange-names.ts';
import { exchangeStandaloneKey } from '../tokens/exchange-standalone-key.ts';
import { presentToken } from '../tokens/grant-rules.ts';
import { lifetimeOf } from '../tokens/token-record.ts';
import { retirementHeaders } from './announce-retirement.ts';
import { readExchange } from './exchange-grant.ts';
import { countFailedAttempt } from './failure-limit.ts';
import type { Form } from './form.ts';
import { isUnauthenticated } from './presented-secret.ts';
import { formOf } from './receive-form.ts';
import { instanceOf, noteRejection } from './record-use.ts';
import { createDpopProofs } from './token-binding-proof.ts';

/** Exchange of a stand-alone access key for an access token (RFC 8693). */

type AddressReader = (request: IncomingMessage) => string;

/**
 * Serves the exchange of a stand-alone access key. The key is the only credential of the request: RFC 8693 §2.1 leaves
 * client authentication to the server. Every other request is left to the following middleware.
 */
export function serveKeyExchange(core: Core, addressOf: AddressReader) {
  const dpopProofs = createDpopProofs(core);
  return async (ctx: Context, next: Next): Promise<void> => {
    const form = formOf(ctx);
    if (ctx.path !== tokenPath || !isKeyExchange(ctx.req, form)) return await next();
    const address = addressOf(ctx.req);
    const asked = readExchange(form, accessKeyType);
    const presented = await requireKey(core, ctx, asked.subjectToken, address);
    const { id } = presented.key;
    const seconds = core.tokenRate?.secondsToWait(id);
    if (seconds !== undefined)
      throw new TooManyRequests('This access key has requested too many tokens. Try again later.', seconds);
    const confirmation = await dpopProofs.read(ctx, id);
    await recordFirstUse(core, presented);
    const issued = await exchangeStandaloneKey(core, presented, { ...asked, confirmation });
    core.tokenRate?.count(id);
    const source = { address, userAgent: ctx.get('User-Agent'), instance: instanceOf(ctx.req, form) };
    core.usage.issued(presentedValueOf(presented), source, lifetimeOf(issued.record));
    ctx.set({ 'Cache-Control': 'no-store', Pragma: 'no-cache', ...retirementHeaders(presented) });
    ctx.body = { ...presentToken(issued), issued_token_type: accessTokenType };
  };
}

/** Returns whether a request exchanges an access key, without any client authentication. */
function isKeyExchange(request: IncomingMessage, { values }: Form): boolean {
  return (
    values.get('grant_type') === exchangeGrantType &&
    values.get('subject_token_type') === accessKeyType &&
    isUnauthenticated(request, values)
  );
}

/** @throws {KeyturnError} `invalid_request` for every key that is not accepted alone (RFC 8693 §2.2.2). */
async function requireKey(core: Core, ctx: Context, value: string, address: string): Promise<PresentedAccessKey> {
  try {
    if (!core.standaloneKeys) throw new RefusedAccessKey();
    return await requireAccessKey(core, value, { client: undefined, address });
  } catch (error) {
    if (!(error instanceof RefusedAccessKey)) throw error;
    const { refused } = error;
    countFailedAttempt(core.failureRate, address);
    if (refused) core.usage.refused(refused.secret, { address, userAgent: ctx.get('User-Agent') }, refused.reason);
    const decidedBy = refused?.secret.owner ?? null;
    const generation = refused?.secret.generation ?? null;
    noteRejection(ctx, { reason: refused?.reason ?? 'unknown_access_key', client: null, decidedBy, generation });
    throw invalid('subject_token: not an access key that is accepted alone.');
  }
}

function invalid(message: string): KeyturnError {
  return new KeyturnError('invalid_request', 400, message);
}
