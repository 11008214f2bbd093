import type { IncomingMessage } from 'node:http';
import type { HeadStart } from './head-start.ts';
import { PlainRequest } from './plain-exchange.ts';

/** Throws the store failure that the fast path met, instead of querying the store again. */
export function rethrowFailure(request: IncomingMessage): void {
  const failure = headStartOf(request)?.failure;
  if (failure !== undefined) throw failure;
}

/** Returns the results of the fast path for a request, or undefined if the fast path did not see it. */
export function headStartOf(request: IncomingMessage): HeadStart | undefined {
  return request instanceof PlainRequest ? request.headStart : undefined;
}
