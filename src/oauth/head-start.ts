import type { IncomingMessage } from 'node:http';
import type { LiveToken } from '../tokens/examine-access-token.ts';
import type { Presented } from './client-authentication.ts';
import { PlainRequest } from './plain-exchange.ts';
import type { Form } from './read-form.ts';

/** What is known already of a request that the fast path began and left: nothing is read or asked twice. */
export type HeadStart = {
  /** Its whole body, which can be read only once. */
  body: string;
  /** What that says, if it is a form. */
  form?: Form;
  /** The credentials it came with, if they were read, and memory alone did not tell whose they are. */
  presented?: Presented;
  /** What became of the token that introspection asks about. */
  examined?: { live: LiveToken | undefined };
  /** Why it cannot be answered now. */
  failure?: unknown;
};

/** What was asked of a store in vain is not asked for again. To be called where it would be. */
export function rethrowFailure(request: IncomingMessage): void {
  const failure = headStartOf(request)?.failure;
  if (failure !== undefined) throw failure;
}

export function headStartOf(request: IncomingMessage): HeadStart | undefined {
  return request instanceof PlainRequest ? request.headStart : undefined;
}
