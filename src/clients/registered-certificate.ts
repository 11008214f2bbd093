import { hash, type KeyObject, X509Certificate } from 'node:crypto';
import type { Registration } from '../credentials/registration.ts';
import { type CertificateSubject, namesSubject } from './certificate-subject.ts';
import { type ClientJwks, readPublicJwk } from './verification-key.ts';

const curves = ['prime256v1', 'secp384r1', 'secp521r1'];

/** Caches thumbprints by registration object, which is replaced when the registration changes. */
const thumbprints = new WeakMap<ClientJwks, ReadonlySet<string>>();

/**
 * Returns the certificate of a key registered for `self_signed_tls_client_auth` (RFC 8705 §2.2.2): the first in its
 * `x5c`.
 * @returns the certificate, or the reason why it cannot be used, as the end of a sentence that begins with "The key".
 */
export function readRegisteredCertificate(jwk: unknown): X509Certificate | string {
  const read = readPublicJwk(jwk);
  if (typeof read === 'string') return read;
  const { x5c } = read.members;
  if (!Array.isArray(x5c) || typeof x5c[0] !== 'string') return 'has no x5c with its certificate';
  const certificate = parse(Buffer.from(x5c[0], 'base64'));
  if (!certificate) return 'has an x5c that begins with no certificate';
  if (!certificate.publicKey.equals(read.key)) return 'is not the one of the certificate in its x5c';
  return isStrong(read.key) ? certificate : 'is of a kind or size that is not allowed';
}

/** Returns the SHA-256 of each registered certificate, as in `x5t#S256`. */
function registeredThumbprints(jwks: ClientJwks): ReadonlySet<string> {
  let found = thumbprints.get(jwks);
  if (!found) {
    const certificates = jwks.keys.map(readRegisteredCertificate).filter((read) => typeof read !== 'string');
    found = new Set(certificates.map(({ raw }) => hash('sha256', raw, 'base64url')));
    thumbprints.set(jwks, found);
  }
  return found;
}

function parse(der: Buffer): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(der);
    return certificate.raw.equals(der) ? certificate : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Returns whether a key has a permitted kind and size (FAPI 2.0 Security Profile §5.4.1). Each TLS handshake proves
 * that the client has the private key.
 */
function isStrong({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  const { namedCurve = '', modulusLength = 0 } = asymmetricKeyDetails ?? {};
  if (asymmetricKeyType === 'ec') return curves.includes(namedCurve);
  return asymmetricKeyType === 'ed25519' || (asymmetricKeyType === 'rsa' && modulusLength >= 2_048);
}

/** The certificate of a request. The TLS handshake proved that the client has its private key. */
export type ClientCertificate = {
  x509: X509Certificate;
  /** The SHA-256 of the certificate, as in `x5t#S256` (RFC 8705 §3.1). */
  thumbprint: string;
  /** Whether a configured CA for client certificates issued it. */
  isTrusted: boolean;
};

/**
 * Returns why a certificate does not authenticate a client with this registration (RFC 8705 §2), or undefined if it
 * does.
 */
export function refusalOfCertificate(
  { authMethod, certificateSubject, jwks }: Registration,
  certificate: ClientCertificate,
  now: number,
): string | undefined {
  if (authMethod === 'tls_client_auth') {
    if (!certificate.isTrusted) return 'certificate_authority';
    if (!certificateSubject || !namesSubject(certificate.x509, certificateSubject as CertificateSubject))
      return 'certificate_subject';
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
