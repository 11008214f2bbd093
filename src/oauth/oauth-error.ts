import { errors } from 'oidc-provider';
import { KeyturnError, TooManyRequests } from '../errors.ts';
import { beginErrorAnswer } from '../http/error-answer.ts';
import type { Log } from '../observability/log.ts';
import type { PresentedSecret } from '../usage/usage-counter.ts';

/** The body of an error response (RFC 6749 §5.2). */
type OAuthErrorBody = { error: string; error_description?: string };

/**
 * The error for every failed client authentication (RFC 6749 §5.2 `invalid_client`): unknown or disabled client, wrong,
 * expired or missing secret. All answers are equal byte for byte, because a difference would reveal which Client IDs
 * exist.
 */
export class InvalidClient extends KeyturnError {
  /** The secret that was tried and the reason, if the client is known. For its operator; never part of the answer. */
  readonly refused: { secret: PresentedSecret; reason: string } | undefined;
  /** Whether the limit of failures has counted this failure already. */
  isCounted = false;

  constructor(detail: string, refused?: { secret: PresentedSecret; reason: string }) {
    // Skip the stack trace: this is an expected error, and collecting traces would make wrong secrets expensive.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super('invalid_client', 401, 'Client authentication failed.', { detail });
    Error.stackTraceLimit = stackTraceLimit;
    this.refused = refused;
  }
}

/** The members of a Koa context that an error answer sets. */
export type ErrorAnswer = {
  readonly path: string;
  status: number;
  body: unknown;
  set(name: string, value: string): void;
};

/** Converts an error to its answer. Called once per request. */
export function presentOAuthError(
  answer: ErrorAnswer,
  error: unknown,
  { issuer, log }: { issuer: string; log: Log },
): void {
  const { status, body } = describe(error);
  beginErrorAnswer(answer, error, { status, code: body.error }, log);
  answer.body = body;
  answer.set('Cache-Control', 'no-store');
  answer.set('Pragma', 'no-cache');
  if (status === 401) answer.set('WWW-Authenticate', `Basic realm="${issuer}"`);
}

/** Returns the error code of this listener. OAuth has one for every reason to try again later. */
export function codeOf(error: KeyturnError): string {
  return error instanceof TooManyRequests ? 'temporarily_unavailable' : error.code;
}

function describe(error: unknown): { status: number; body: OAuthErrorBody } {
  if (error instanceof KeyturnError) {
    return { status: error.status, body: { error: codeOf(error), error_description: error.message } };
  }
  if (error instanceof errors.OIDCProviderError && error.expose) {
    const { error_description: description } = error;
    return {
      status: error.statusCode,
      body: { error: error.error, ...(description === undefined ? {} : { error_description: description }) },
    };
  }
  return { status: 500, body: { error: 'server_error', error_description: 'An internal error occurred.' } };
}
