import { STATUS_CODES } from 'node:http';
import type { Context, Next } from 'koa';
import { KeyturnError, NotFound } from '../errors.ts';
import type { Log } from '../observability/log.ts';

/** An error body (RFC 9457). Its `code` stays stable when texts change. */
type Problem = { type: 'about:blank'; title: string; status: number; detail: string; code: string };

/** Thrown with status 429 if a rate limit is exceeded. */
export class TooManyRequests extends KeyturnError {
  readonly retryAfterSeconds: number;

  constructor(message: string, retryAfterSeconds: number) {
    super('too_many_requests', 429, message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

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
  if (problem.status >= 500) log.error({ error: detailOf(error), path: ctx.path }, problem.code);
  else log.debug({ error: problem.code, detail: detailOf(error) }, 'rejected request');
  ctx.status = problem.status;
  ctx.body = JSON.stringify(problem);
  ctx.type = 'application/problem+json';
  if (problem.status === 401) ctx.set('WWW-Authenticate', 'Bearer');
  if (problem.status === 503) ctx.set('Retry-After', '1');
  if (error instanceof TooManyRequests) ctx.set('Retry-After', String(error.retryAfterSeconds));
  // Close the connection: unread bytes of the body would be parsed as the next request.
  if (problem.status === 413 || problem.status === 415) ctx.set('Connection', 'close');
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

function detailOf(error: unknown): string | undefined {
  if (error instanceof KeyturnError) return error.detail;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
