import type { Config } from '../config.ts';

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
