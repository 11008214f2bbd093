import { createHash, X509Certificate } from 'node:crypto';

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
  try {
    const { raw } = new X509Certificate(typeof certificate === 'string' ? readText(certificate) : certificate);
    return createHash('sha256').update(raw).digest('base64url');
  } catch {
    return undefined;
  }
}

function readText(text: string): string | Buffer {
  const plain = text.includes('%') ? decodeURIComponent(text) : text;
  if (plain.includes('-----BEGIN')) return plain;
  return Buffer.from(plain.trim().replace(/^:|:$/g, ''), 'base64');
}
