import type { IncomingMessage } from 'node:http';
import type { LiveToken } from '../../tokens/examine-access-token.ts';
import type { Presented } from '../client-authentication.ts';
import type { Form } from '../read-form.ts';
import { PlainRequest } from './plain-exchange.ts';

/**
 * Results of the fast path for a request that it leaves to the application, so that nothing is read or queried twice.
 */
export type HeadStart = {
  /** The whole body, which can be read only once. */
  body: string;
  /** The parsed body, if it is a form. */
  form?: Form;
  /** The presented credentials, if they were read and could not be verified from the cache. */
  presented?: Presented;
  /** The result of examining the token of an introspection. */
  examined?: { live: LiveToken | undefined };
  /** The store failure because of which the request cannot be answered now. */
  failure?: unknown;
};

/** Throws the store failure that the fast path met, instead of querying the store again. */
export function rethrowFailure(request: IncomingMessage): void {
  const failure = headStartOf(request)?.failure;
  if (failure !== undefined) throw failure;
}

export function headStartOf(request: IncomingMessage): HeadStart | undefined {
  return request instanceof PlainRequest ? request.headStart : undefined;
}
