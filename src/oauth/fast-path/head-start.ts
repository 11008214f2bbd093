import type { IncomingMessage } from 'node:http';
import { PlainRequest } from '../../internals/node-http.ts';
import type { Form } from '../form.ts';

/** Client ID and secret of a request, not verified. */
export type Pair = { clientId: string; clientSecret: string };

/**
 * The possible readings of a request: HTTP Basic with `%` or `+` is form-encoded by RFC 6749 §2.3.1, but many libraries
 * send the secret as it is.
 */
export type PresentedPair = Pair & {
  /** The same header without decoding, if that differs. */
  asWritten?: Pair | undefined;
};

/** Returns every reading of presented credentials, the one of the RFC first. */
export function readingsOf({ asWritten, ...decoded }: PresentedPair): readonly Pair[] {
  return asWritten ? [decoded, asWritten] : [decoded];
}

/**
 * Results of the fast path for a request that it leaves to the application, so that nothing is read or queried twice.
 */
export type HeadStart = {
  /** The whole body, which can be read only once. */
  body: string;
  /** The parsed body, if it is a form. */
  form?: Form;
  /** The error with which the authentication of the client failed, other than `InvalidClient`. */
  authenticationError?: unknown;
  /** The store failure because of which the request cannot be answered now. */
  failure?: unknown;
};

/** Passes the results of the fast path to the application. */
export function giveHeadStart(request: PlainRequest, headStart: HeadStart): void {
  request.notes = headStart;
}

/** Returns the results of the fast path for a request, or undefined if the fast path did not see it. */
export function headStartOf(request: IncomingMessage): HeadStart | undefined {
  return request instanceof PlainRequest ? (request.notes as HeadStart | undefined) : undefined;
}

/** Throws the store failure that the fast path met, instead of querying the store again. */
export function rethrowFailure(request: IncomingMessage): void {
  const failure = headStartOf(request)?.failure;
  if (failure !== undefined) throw failure;
}
