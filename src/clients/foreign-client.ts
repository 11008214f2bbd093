import { randomUUID } from 'node:crypto';
import { InvalidInput } from '../errors.ts';
import type { CertificateSubject } from './certificate-subject.ts';
import { type AuthMethod, authMethods, type Client, hasCertificate, initialState, isSecretMethod } from './client.ts';
import { type KeyDeps, keyDepsOf, registerKeys } from './client-rules.ts';
import { detailsOf, type GivenDetails } from './given-details.ts';
import { type ClientJwks, readVerificationKey } from './verification-key.ts';

/** A client of another server, as a file describes it. Nothing in it has been checked. */
export type ForeignClient = {
  /** The position in the file, such as `line 3`. */
  place: string;
  clientId: string;
  clientSecret: string | undefined;
  /** A slow hash of the secret, as text or as the credential of Keycloak; undefined if the file has none. */
  secretHash?: unknown;
  /** When the secret expires on the other server. */
  secretExpiresAt: Date | undefined;
  /** A secret that was rotated on the other server and is still accepted there until `endsAt`. */
  previousSecret: { secret: string; endsAt: Date } | undefined;
  name: string;
  enabled: boolean;
  scope: readonly string[];
  accessKey: 'optional' | 'required';
  reveal: boolean;
  /** The default resource server of the client. */
  resource: string | undefined;
  /**
   * The only API that the other server issues it tokens for. Its default resource server, if there is one with this
   * identifier.
   */
  audience: string | undefined;
  authMethod: string;
  /** The only algorithm that its assertions may be signed with (RFC 7591 §2 `token_endpoint_auth_signing_alg`). */
  signingAlgorithm: string | undefined;
  jwks: ClientJwks | undefined;
  jwksUri: string | undefined;
  certificateSubjects: readonly CertificateSubject[];
  /** Undefined if the file does not define it; tokens are then bound if the client authenticates with a certificate. */
  certificateBoundTokens: boolean | undefined;
  dpopBoundTokens: boolean;
  /** Token lifetime, claims, default scope and notes, not checked; undefined if the file has none. */
  details?: GivenDetails | undefined;
  /** The contact who owns the client, as the file names it: an ID, an external ID or an e-mail address. */
  owners?: readonly string[] | undefined;
  /** Security requirements that cannot be imported, each as a reason to reject the client. */
  unmet: readonly string[];
  /** Settings that are not imported and do not weaken security, each as a sentence. */
  notes: readonly string[];
};

/** A client that is not imported, with all reasons. No reason contains a secret. */
export type RefusedClient = {
  place: string;
  /** Undefined if the file has no Client ID that is safe to show. */
  clientId: string | undefined;
  reasons: readonly string[];
};

/** Members of a JWK that limit or end its use. Keyturn does not evaluate them. */
const endsOfKeys = ['exp', 'nbf', 'revoked'];

/**
 * Lists the security requirements of another server's client that this server would not enforce. A requirement is
 * either imported or makes the import of its client fail; it is never dropped.
 */
export function demandProblems(row: ForeignClient, deps: KeyDeps): string[] {
  if (!(authMethods as readonly string[]).includes(row.authMethod)) {
    const shown = /^[\w-]{1,60}$/.test(row.authMethod) ? row.authMethod : 'this method';
    return [...row.unmet, `it cannot authenticate with ${shown} here`];
  }
  const own = keyDepsOf(deps, row.details);
  return [...row.unmet, ...subjectProblems(row), ...keyProblems(row, own), ...algorithmProblems(row, own)];
}

/**
 * Returns the keys of a client as they are registered. Keys of a client that authenticates with a secret are not
 * imported. @throws {InvalidInput}
 */
function keysOf(row: ForeignClient, deps: KeyDeps): ReturnType<typeof registerKeys> {
  const authMethod = row.authMethod as AuthMethod;
  const keys = isSecretMethod(authMethod) ? {} : { jwks: jwksOf(row, deps), jwksUri: row.jwksUri };
  return registerKeys(authMethod, { ...keys, certificateSubject: row.certificateSubjects[0] }, deps);
}

/** Returns the keys of a client. Limits an RSA key that fits several algorithms to the required one. */
function jwksOf({ jwks, signingAlgorithm }: ForeignClient, { assertionAlgorithms }: KeyDeps): ClientJwks | undefined {
  if (!jwks || signingAlgorithm === undefined) return jwks;
  return {
    keys: jwks.keys.map((jwk) => {
      const key = readVerificationKey(jwk, assertionAlgorithms);
      const algs: readonly string[] = typeof key === 'string' ? [] : key.algs;
      return algs.includes('RS256') && algs.includes(signingAlgorithm) ? { ...jwk, alg: signingAlgorithm } : jwk;
    }),
  };
}

function subjectProblems({ certificateSubjects }: ForeignClient): string[] {
  return certificateSubjects.length > 1 ? ['it has more than one `tls_client_auth_…` member (RFC 8705 §2.1.2)'] : [];
}

function keyProblems(row: ForeignClient, deps: KeyDeps): string[] {
  try {
    const { jwks } = keysOf(row, deps);
    const ended = jwks?.keys.some((key) => endsOfKeys.some((member) => key[member] !== undefined));
    return ended
      ? [`\`jwks\` has a key with ${endsOfKeys.join(', ')}, which is not followed here; remove the key`]
      : [];
  } catch (error) {
    if (error instanceof InvalidInput) return [error.message];
    throw error;
  }
}

/** Requires that every key has exactly the required algorithm. */
function algorithmProblems(row: ForeignClient, deps: KeyDeps): string[] {
  const { authMethod, signingAlgorithm } = row;
  const { assertionAlgorithms } = deps;
  const jwks = jwksOf(row, deps);
  if (authMethod !== 'private_key_jwt' || signingAlgorithm === undefined) return [];
  const field = '`token_endpoint_auth_signing_alg`';
  if (!(assertionAlgorithms as readonly string[]).includes(signingAlgorithm)) {
    return [`${field} is none of ${assertionAlgorithms.join(', ')}, the algorithms that are accepted here`];
  }
  if (!jwks) return [`${field} cannot be enforced for keys behind \`jwks_uri\`; register the keys as \`jwks\``];
  const canonical = (algorithm: string) => (algorithm === 'Ed25519' ? 'EdDSA' : algorithm);
  const fits = jwks.keys.every((jwk) => {
    const read = readVerificationKey(jwk, assertionAlgorithms);
    return typeof read === 'string' || read.algs.every((one) => canonical(one) === canonical(signingAlgorithm));
  });
  return fits ? [] : [`\`jwks\` has a key for another algorithm than ${field}`];
}

/** Returns a client as it is registered. @throws {InvalidInput} if its keys cannot be registered. */
export function importedClient(row: ForeignClient, at: Date, deps: KeyDeps, organizationId: string): Client {
  const authMethod = row.authMethod as AuthMethod;
  return {
    id: randomUUID(),
    clientId: row.clientId,
    kind: 'integration',
    organizationId,
    name: row.name,
    enabled: row.enabled,
    scope: row.scope,
    accessKey: row.accessKey,
    reveal: row.reveal,
    authMethod,
    ...keysOf(row, keyDepsOf(deps, row.details)),
    certificateBoundTokens: row.certificateBoundTokens ?? hasCertificate({ authMethod }),
    dpopBoundTokens: row.dpopBoundTokens,
    resource: row.resource ?? null,
    information: [],
    scopes: [],
    tokenFormat: null,
    tokenTyp: null,
    ...detailsOf(row.details ?? {}),
    ...initialState(at),
  };
}
