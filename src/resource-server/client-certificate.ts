import { createHash, X509Certificate } from 'node:crypto';
import { readForwardedCertificate } from './forwarded-certificate.ts';

/** The client certificate of a TLS connection of Node's, in DER; undefined where there is none. */
export function certificateOfConnection(socket: unknown): Uint8Array | undefined {
  const { getPeerX509Certificate } = (socket ?? {}) as { getPeerX509Certificate?: () => X509Certificate | undefined };
  return getPeerX509Certificate?.call(socket)?.raw;
}

/**
 * `x5t#S256` (RFC 8705 §3.1): the SHA-256 of a certificate's DER form.
 * @param certificate DER; or a text, as proxies hand it over: PEM, PEM that is percent-encoded, base64, or base64 between colons (RFC 9440).
 * @returns undefined for what is not a certificate.
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
