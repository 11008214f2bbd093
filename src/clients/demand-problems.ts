import { InvalidInput } from '../errors.ts';
import { type AuthMethod, authMethods, isSecretMethod } from './client.ts';
import type { ForeignClient } from './foreign-client.ts';
import { registerKeys } from './key-registration.ts';
import { readVerificationKey, verificationAlgorithms } from './verification-key.ts';

/** Members of a JWK that limit or end its use. Keyturn does not evaluate them. */
const endsOfKeys = ['exp', 'nbf', 'revoked'];

/**
 * Lists the security requirements of another server's client that this server would not enforce. A requirement is
 * either imported or makes the import of its client fail; it is never dropped.
 */
export function demandProblems(row: ForeignClient): string[] {
  if (!(authMethods as readonly string[]).includes(row.authMethod)) {
    const shown = /^[\w-]{1,60}$/.test(row.authMethod) ? row.authMethod : 'this method';
    return [...row.unmet, `it cannot authenticate with ${shown} here`];
  }
  return [...row.unmet, ...subjectProblems(row), ...keyProblems(row), ...algorithmProblems(row)];
}

/**
 * Returns the keys of a client as they are registered. Keys of a client that authenticates with a secret are not
 * imported. @throws {InvalidInput}
 */
export function keysOf(row: ForeignClient): ReturnType<typeof registerKeys> {
  const authMethod = row.authMethod as AuthMethod;
  const keys = isSecretMethod(authMethod) ? {} : { jwks: row.jwks, jwksUri: row.jwksUri };
  return registerKeys(authMethod, { ...keys, certificateSubject: row.certificateSubjects[0] });
}

function subjectProblems({ certificateSubjects }: ForeignClient): string[] {
  return certificateSubjects.length > 1 ? ['it has more than one `tls_client_auth_…` member (RFC 8705 §2.1.2)'] : [];
}

function keyProblems(row: ForeignClient): string[] {
  try {
    const { jwks } = keysOf(row);
    const ended = jwks?.keys.some((key) => endsOfKeys.some((member) => key[member] !== undefined));
    return ended
      ? [`\`jwks\` has a key with ${endsOfKeys.join(', ')}, which is not followed here; remove the key`]
      : [];
  } catch (error) {
    if (error instanceof InvalidInput) return [error.message];
    throw error;
  }
}

/** Returns whether every registered key has the required algorithm. Each key here has exactly one. */
function algorithmProblems({ authMethod, signingAlgorithm, jwks }: ForeignClient): string[] {
  if (authMethod !== 'private_key_jwt' || signingAlgorithm === undefined) return [];
  const field = '`token_endpoint_auth_signing_alg`';
  if (!(verificationAlgorithms as readonly string[]).includes(signingAlgorithm)) {
    return [`${field} is none of ${verificationAlgorithms.join(', ')}, the algorithms that are accepted here`];
  }
  if (!jwks) return [`${field} cannot be enforced for keys behind \`jwks_uri\`; register the keys as \`jwks\``];
  const canonical = (algorithm: string) => (algorithm === 'Ed25519' ? 'EdDSA' : algorithm);
  const fits = jwks.keys.map(readVerificationKey).every((read) => {
    return typeof read === 'string' || read.algs.every((one) => canonical(one) === canonical(signingAlgorithm));
  });
  return fits ? [] : [`\`jwks\` has a key for another algorithm than ${field}`];
}
