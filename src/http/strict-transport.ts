import type { Config } from '../config.ts';

const seconds = 31_536_000;

/**
 * The value of `Strict-Transport-Security` (RFC 6797) on every answer of both listeners; undefined unless the deployment is reached
 * over TLS, by its own certificate or by an https issuer. A browser applies it to every port of a host, so never for `localhost`.
 */
export function strictTransport({ issuer, tlsFiles }: Pick<Config, 'issuer' | 'tlsFiles'>): string | undefined {
  const { protocol, hostname } = new URL(issuer);
  const isSecure = protocol === 'https:' || tlsFiles.cert !== undefined;
  return isSecure && hostname !== 'localhost' ? `max-age=${seconds}` : undefined;
}
