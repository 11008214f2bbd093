import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Config } from '../config.ts';
import { createRangeCheck, plainAddress } from './client-address.ts';

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

const seconds = 31_536_000;

/**
 * Returns the value of `Strict-Transport-Security` (RFC 6797) for every response of both listeners. Returns undefined
 * if the deployment has neither its own certificate nor an https issuer, and for `localhost`, because browsers apply
 * the header to every port of a host.
 */
export function strictTransport({ issuer, tlsFiles }: Pick<Config, 'issuer' | 'tlsFiles'>): string | undefined {
  const { protocol, hostname } = new URL(issuer);
  const isSecure = protocol === 'https:' || tlsFiles.cert !== undefined;
  return isSecure && hostname !== 'localhost' ? `max-age=${seconds}` : undefined;
}
