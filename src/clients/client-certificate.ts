import type { X509Certificate } from 'node:crypto';
import { namesSubject } from './certificate-subject.ts';
import type { Client } from './client.ts';
import { registeredThumbprints } from './registered-certificate.ts';

/** The certificate that a request came with; that its sender has the private key was proven in the handshake. */
export type ClientCertificate = {
  x509: X509Certificate;
  /** RFC 8705 §3.1 `x5t#S256`. */
  thumbprint: string;
  /** Whether it comes from a CA that this deployment takes clients' certificates from. */
  isTrusted: boolean;
};

/** Why a certificate does not let the client in (RFC 8705 §2); undefined: it does. */
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

/** Looked at with every request: a connection may outlive its certificate. */
export function isInDate({ x509 }: Pick<ClientCertificate, 'x509'>, now: number): boolean {
  return x509.validFromDate.getTime() <= now && now <= x509.validToDate.getTime();
}
