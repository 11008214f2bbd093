import type { Context } from 'koa';
import { errors } from 'oidc-provider';
import { KeyturnError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { PresentedSecret } from '../regeneration/usage-counter.ts';

/** What the client is told (RFC 6749 §5.2). */
type OAuthErrorBody = { error: string; error_description?: string };

/**
 * The one answer to every failed client authentication (RFC 6749 §5.2 `invalid_client`): unknown client, wrong, ended or absent
 * secret, disabled client. Equal in bytes, or it would tell which Client IDs exist.
 */
export class InvalidClient extends KeyturnError {
  /** Where the client is known: what was tried, for its operator to see. Never for the answer. */
  readonly refused: { secret: PresentedSecret; reason: string } | undefined;

  constructor(detail: string, refused?: { secret: PresentedSecret; reason: string }) {
    // Whoever tries out secrets is not to have stacks collected by it: nothing is wrong here, and nobody reads them.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super('invalid_client', 401, 'Client authentication failed.', { detail });
    Error.stackTraceLimit = stackTraceLimit;
    this.refused = refused;
  }
}

/** Too many failures from one address, or too many tokens of one client. */
export class TooManyRequests extends KeyturnError {
  readonly retryAfterSeconds: number;

  constructor(retryAfterSeconds: number, message: string) {
    super('temporarily_unavailable', 429, message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Turns whatever was thrown into its answer. Called once a request, at the outside. */
export function presentOAuthError(ctx: Context, error: unknown, { issuer, log }: { issuer: string; log: Log }): void {
  const { status, body } = describe(error);
  if (status >= 500) log.error({ error: detailOf(error), path: ctx.path }, body.error);
  else log.debug({ error: body.error, detail: detailOf(error) }, 'refused');
  ctx.status = status;
  ctx.body = body;
  ctx.set('Cache-Control', 'no-store');
  ctx.set('Pragma', 'no-cache');
  if (status === 401) ctx.set('WWW-Authenticate', `Basic realm="${issuer}"`);
  if (status === 503) ctx.set('Retry-After', '1');
  if (error instanceof TooManyRequests) ctx.set('Retry-After', String(error.retryAfterSeconds));
  // The rest of a body that was not read would be taken for the next request.
  if (status === 413 || status === 415) ctx.set('Connection', 'close');
}

function describe(error: unknown): { status: number; body: OAuthErrorBody } {
  if (error instanceof KeyturnError) {
    return { status: error.status, body: { error: error.code, error_description: error.message } };
  }
  if (error instanceof errors.OIDCProviderError && error.expose) {
    const { error_description: description } = error;
    return {
      status: error.statusCode,
      body: { error: error.error, ...(description === undefined ? {} : { error_description: description }) },
    };
  }
  return { status: 500, body: { error: 'server_error', error_description: 'Something went wrong on our side.' } };
}

function detailOf(error: unknown): string | undefined {
  if (error instanceof KeyturnError) return error.detail;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
