import { createHash, X509Certificate } from 'node:crypto';
import { readForwardedCertificate } from './forwarded-certificate.ts';

/** Returns the client certificate of a Node.js TLS connection in DER, or undefined if it has none. */
export function certificateOfConnection(socket: unknown): Uint8Array | undefined {
  const { getPeerX509Certificate } = (socket ?? {}) as { getPeerX509Certificate?: () => X509Certificate | undefined };
  return getPeerX509Certificate?.call(socket)?.raw;
}

/**
 * Returns the `x5t#S256` of a certificate (RFC 8705 §3.1): the SHA-256 of its DER form.
 * @param certificate DER; or a string as proxies forward it: PEM, percent-encoded PEM, base64, or base64 between colons
 * (RFC 9440).
 * @returns undefined if the value is not a certificate.
 */
export function certificateThumbprint(certificate: Uint8Array | string): string | undefined {
  const x509 = typeof certificate === 'string' ? readForwardedCertificate(certificate) : parse(certificate);
  if (!x509 || x509 === 'unreadable') return undefined;
  return createHash('sha256').update(x509.raw).digest('base64url');
}

function parse(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}
