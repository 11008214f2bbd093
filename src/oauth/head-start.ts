import type { IncomingMessage } from 'node:http';
import type { LiveToken } from '../tokens/examine-access-token.ts';

/** What is known already of a request that the fast path began and left: nothing is read or asked twice. */
export type HeadStart = {
  /** Its whole body, which can be read only once. */
  body: string;
  /** What became of the token that introspection asks about. */
  examined?: { live: LiveToken | undefined };
  /** Why it cannot be answered now. */
  failure?: unknown;
};

const headStarts = new WeakMap<IncomingMessage, HeadStart>();

export function giveHeadStart(request: IncomingMessage, headStart: HeadStart): void {
  headStarts.set(request, headStart);
}

/** What was asked of a store in vain is not asked for again. To be called where it would be. */
export function rethrowFailure(request: IncomingMessage): void {
  const failure = headStarts.get(request)?.failure;
  if (failure !== undefined) throw failure;
}

export function headStartOf(request: IncomingMessage): HeadStart | undefined {
  return headStarts.get(request);
}
