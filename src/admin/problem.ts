import { STATUS_CODES } from 'node:http';
import type { Context, Next } from 'koa';
import { KeyturnError, NotFound } from '../errors.ts';
import { beginErrorAnswer } from '../http/error-answer.ts';
import type { Log } from '../observability/log.ts';

/** An error body (RFC 9457). Its `code` stays stable when texts change. */
type Problem = { type: 'about:blank'; title: string; status: number; detail: string; code: string };

/** Error codes for bodies that cannot be read, by HTTP status. */
export const bodyCodes = { 400: 'invalid_request', 413: 'content_too_large', 415: 'unsupported_media_type' };

/** Converts errors to problem responses (RFC 9457), including 404 and 405 for requests that no route handles. */
export function respondWithProblem(log: Log) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
      if (ctx.status === 404 && ctx.body === undefined) throw new NotFound('resource');
      if (ctx.status === 405 || ctx.status === 501) throw methodNotAllowed(ctx);
    } catch (error) {
      present(ctx, error, log);
    }
  };
}

function present(ctx: Context, error: unknown, log: Log): void {
  const problem = describe(error);
  beginErrorAnswer(ctx, error, problem, log);
  ctx.body = JSON.stringify(problem);
  ctx.type = 'application/problem+json';
  if (problem.status === 401) ctx.set('WWW-Authenticate', 'Bearer');
}

function describe(error: unknown): Problem {
  if (!(error instanceof KeyturnError))
    return toProblem(500, 'server_error', 'An internal error occurred. The log of the server has the details.');
  return { ...error.extension, ...toProblem(error.status, error.code, error.message) };
}

function toProblem(status: number, code: string, detail: string): Problem {
  // With `about:blank`, the title is the status's reason phrase (RFC 9457 §4.2.1).
  return { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, detail, code };
}

function methodNotAllowed(ctx: Context): KeyturnError {
  return new KeyturnError('method_not_allowed', 405, `Method not allowed. Use ${ctx.response.get('Allow')}.`);
}
