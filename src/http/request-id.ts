import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { createRangeCheck, plainAddress } from './address-ranges.ts';

/** Nothing that a log line would have to escape, and nothing as long as a secret with its prefix may be. */
const wellFormed = /^[\w.:+=@/-]{1,50}$/;

/**
 * The id of a request, in its answer and in the log: a new one, or what a trusted proxy calls it in X-Request-Id.
 * @param trustProxy CIDRs or single addresses.
 */
export function createRequestIds(trustProxy: readonly string[]): (request: IncomingMessage) => string {
  if (trustProxy.length === 0) return () => randomUUID();
  const isTrusted = createRangeCheck(trustProxy);
  return ({ headers, socket }) => {
    const given = headers['x-request-id'];
    const isTaken = typeof given === 'string' && wellFormed.test(given);
    return isTaken && isTrusted(plainAddress(socket.remoteAddress ?? '')) ? given : randomUUID();
  };
}
