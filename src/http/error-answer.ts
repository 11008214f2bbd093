import { KeyturnError, TooManyRequests } from '../errors.ts';
import type { Log } from '../observability/log.ts';

/** The members of a Koa context that an error answer needs. */
type Answer = { readonly path: string; status: number; set(name: string, value: string): void };

/**
 * Logs an error, and sets the status and the headers that the error answers of both listeners have in common. The body
 * is the presenter's own.
 * @param described what the answer says about the error.
 */
export function beginErrorAnswer(
  answer: Answer,
  error: unknown,
  described: { status: number; code: string },
  log: Log,
) {
  const { status, code } = described;
  if (status >= 500) log.error({ error: detailOf(error), path: answer.path }, code);
  else log.debug({ error: code, detail: detailOf(error) }, 'rejected request');
  answer.status = status;
  if (status === 503) answer.set('Retry-After', '1');
  setRetryAfter(answer, error);
  // Unread bytes of the body would be parsed as the next request.
  if (status === 413 || status === 415) answer.set('Connection', 'close');
}

/** Says when a request that exceeded a limit may be repeated. */
export function setRetryAfter(answer: Pick<Answer, 'set'>, error: unknown): void {
  if (error instanceof TooManyRequests) answer.set('Retry-After', String(error.retryAfterSeconds));
}

function detailOf(error: unknown): string | undefined {
  if (error instanceof KeyturnError) return error.detail;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
