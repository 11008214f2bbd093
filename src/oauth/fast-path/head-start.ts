import type { LiveToken } from '../../tokens/examine-access-token.ts';
import type { Form } from '../parse-form.ts';

/** Client ID and secret of a request, not verified. */
export type PresentedPair = { clientId: string; clientSecret: string };

/**
 * Results of the fast path for a request that it leaves to the application, so that nothing is read or queried twice.
 */
export type HeadStart = {
  /** The whole body, which can be read only once. */
  body: string;
  /** The parsed body, if it is a form. */
  form?: Form;
  /** The presented credentials, if they were read and could not be verified from the cache. */
  presented?: PresentedPair;
  /** The result of examining the token of an introspection. */
  examined?: { live: LiveToken | undefined };
  /** The store failure because of which the request cannot be answered now. */
  failure?: unknown;
};
