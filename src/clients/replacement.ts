import { X509Certificate } from 'node:crypto';
import { isOfSecret, type Registration } from '../credentials/registration.ts';
import { InvalidInput } from '../errors.ts';
import type { Authentication, AuthMethod } from './client.ts';
import { type GivenKeys, registerKeys } from './client-rules.ts';

/** What a client is to authenticate with in future: members of a registration, or a certificate in PEM. */
export type GivenReplacement = GivenKeys & { authMethod?: AuthMethod | undefined; certificate?: string | undefined };

/**
 * Returns the registration that replaces a client's current one. The method may be absent if the other members
 * determine it.
 * @throws {InvalidInput} if it cannot be registered, or is registered already.
 */
export function readReplacement(current: Registration, given: GivenReplacement): Authentication {
  const { certificate, ...keys } = given;
  if (certificate !== undefined && given.jwks) throw new InvalidInput('`replace` has both `jwks` and `certificate`.');
  const jwks = certificate === undefined ? given.jwks : { keys: readCertificateKeys(certificate) };
  const authMethod = given.authMethod ?? methodFor(current, given);
  const replacement = { authMethod, ...registerKeys(authMethod, { ...keys, jwks }) };
  if (!isOfSecret(replacement) && isSame(current, replacement)) {
    throw new InvalidInput('`replace` is what this client authenticates with already, so nothing would change.');
  }
  return replacement;
}

function methodFor(current: Registration, given: GivenReplacement): AuthMethod {
  if (given.certificate !== undefined) return 'self_signed_tls_client_auth';
  if (given.certificateSubject) return 'tls_client_auth';
  if (given.jwks && current.authMethod === 'self_signed_tls_client_auth') return 'self_signed_tls_client_auth';
  if (given.jwks || given.jwksUri !== undefined) return 'private_key_jwt';
  throw new InvalidInput(
    '`replace` needs `auth_method`, `jwks`, `jwks_uri`, `certificate` or a `tls_client_auth_…` member.',
  );
}

/** Returns each certificate of a PEM text as a key that contains it (RFC 8705 §2.2.2). @throws {InvalidInput} */
function readCertificateKeys(pem: string): Record<string, unknown>[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new InvalidInput('`certificate` has no certificate in PEM.');
  return blocks.map((block) => {
    try {
      const { publicKey, raw } = new X509Certificate(block);
      return { ...publicKey.export({ format: 'jwk' }), x5c: [raw.toString('base64')] };
    } catch {
      throw new InvalidInput('`certificate` has a certificate that cannot be read.');
    }
  });
}

function isSame(one: Registration, other: Registration): boolean {
  return comparable(one) === comparable(other);
}

function comparable({ authMethod, jwks, jwksUri, certificateSubject }: Registration): string {
  // The database returns members of JSON in another order.
  const sorted = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value)
          .sort(([left], [right]) => (left < right ? -1 : 1))
          .map(([name, member]) => [name, sorted(member)])
      : Array.isArray(value)
        ? value.map(sorted)
        : value;
  return JSON.stringify([authMethod, sorted(jwks), jwksUri, sorted(certificateSubject)]);
}
