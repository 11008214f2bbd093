import type { X509Certificate } from 'node:crypto';
import { namesSubject } from './certificate-subject.ts';
import type { Client } from './client.ts';
import { registeredThumbprints } from './registered-certificate.ts';

/** The certificate of a request. The TLS handshake proved that the client has its private key. */
export type ClientCertificate = {
  x509: X509Certificate;
  /** The SHA-256 of the certificate, as in `x5t#S256` (RFC 8705 §3.1). */
  thumbprint: string;
  /** Whether a configured CA for client certificates issued it. */
  isTrusted: boolean;
};

/** Returns why a certificate does not authenticate the client (RFC 8705 §2), or undefined if it does. */
export function refusalOfCertificate(client: Client, certificate: ClientCertificate, now: number): string | undefined {
  const { authMethod, certificateSubject, jwks } = client;
  if (authMethod === 'tls_client_auth') {
    if (!certificate.isTrusted) return 'certificate_authority';
    if (!certificateSubject || !namesSubject(certificate.x509, certificateSubject)) return 'certificate_subject';
  } else if (authMethod === 'self_signed_tls_client_auth') {
    if (!jwks || !registeredThumbprints(jwks).has(certificate.thumbprint)) return 'certificate_unknown';
  } else {
    return 'wrong_method';
  }
  return isInDate(certificate, now) ? undefined : 'certificate_date';
}

/**
 * Returns whether a certificate is valid now. Checked for every request, because a connection may outlive its
 * certificate.
 */
export function isInDate({ x509 }: Pick<ClientCertificate, 'x509'>, now: number): boolean {
  return x509.validFromDate.getTime() <= now && now <= x509.validToDate.getTime();
}
