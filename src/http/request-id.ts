import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { createRangeCheck, plainAddress } from './address-ranges.ts';

/** Text without characters that a log line would have to escape, and shorter than a secret with its prefix. */
const wellFormed = /^[\w.:+=@/-]{1,50}$/;

/**
 * Returns a function that gives a request its id for the response and the log: a new UUID, or the X-Request-Id header
 * of a trusted proxy.
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
