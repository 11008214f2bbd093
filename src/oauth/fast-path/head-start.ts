import type { IncomingMessage } from 'node:http';
import type { LiveToken } from '../../tokens/examine-access-token.ts';
import type { Presented } from '../client-authentication.ts';
import type { Form } from '../read-form.ts';
import { PlainRequest } from './plain-exchange.ts';

/**
 * What the fast path has found out about a request that it leaves to the application, so that nothing is read or asked
 * twice.
 */
export type HeadStart = {
  /** The whole body, which can be read only once. */
  body: string;
  /** The parsed body, if it is a form. */
  form?: Form;
  /** The presented credentials, if they were read and their client is not in memory. */
  presented?: Presented;
  /** The result of examining the token of an introspection. */
  examined?: { live: LiveToken | undefined };
  /** The error because of which the request cannot be answered now. */
  failure?: unknown;
};

/** Throws the store failure that the fast path met, instead of asking the store again. */
export function rethrowFailure(request: IncomingMessage): void {
  const failure = headStartOf(request)?.failure;
  if (failure !== undefined) throw failure;
}

export function headStartOf(request: IncomingMessage): HeadStart | undefined {
  return request instanceof PlainRequest ? request.headStart : undefined;
}
