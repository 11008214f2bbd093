import { STATUS_CODES } from 'node:http';
import type { Context, Next } from 'koa';
import { KeyturnError, NotFound } from '../errors.ts';
import { beginErrorAnswer } from '../http/error-answer.ts';
import type { Log } from '../observability/log.ts';

/** The content of an error response, which the API renders as a problem and the console as a page. */
export type DescribedError = {
  status: number;
  /** The error code for programs, which stays the same when texts change. */
  code: string;
  text: string;
  /** Further members of a problem. */
  extension: Record<string, unknown> | undefined;
};

/** Error codes for bodies that cannot be read, by HTTP status. */
export const bodyCodes = { 400: 'invalid_request', 413: 'content_too_large', 415: 'unsupported_media_type' };

/**
 * Answers failed requests, including 404 and 405 for requests that no route handles.
 * @param missing the noun for what no route handles.
 * @param render sets the type and the body of the answer. Its status and the headers of every error are set already.
 */
export function respondWithError(
  log: Log,
  missing: 'resource' | 'page',
  render: (ctx: Context, error: DescribedError) => void,
) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
      if (ctx.status === 404 && ctx.body === undefined) throw new NotFound(missing);
      if (ctx.status === 405 || ctx.status === 501) throw methodNotAllowed(ctx);
    } catch (error) {
      const described = describe(error);
      beginErrorAnswer(ctx, error, described, log);
      render(ctx, described);
    }
  };
}

/** Renders an error of the API as a problem (RFC 9457). */
export function renderProblem(ctx: Context, { status, code, text, extension }: DescribedError): void {
  // With `about:blank`, the title is the status's reason phrase (RFC 9457 §4.2.1).
  const title = STATUS_CODES[status] ?? 'Error';
  ctx.body = JSON.stringify({ ...extension, type: 'about:blank', title, status, detail: text, code });
  ctx.type = 'application/problem+json';
  if (status === 401) ctx.set('WWW-Authenticate', 'Bearer');
}

function describe(error: unknown): DescribedError {
  if (error instanceof KeyturnError) {
    const { status, code, message: text, extension } = error;
    return { status, code, text, extension };
  }
  const text = 'An internal error occurred. The log of the server has the details.';
  return { status: 500, code: 'server_error', text, extension: undefined };
}

function methodNotAllowed(ctx: Context): KeyturnError {
  return new KeyturnError('method_not_allowed', 405, `Method not allowed. Use ${ctx.response.get('Allow')}.`);
}
