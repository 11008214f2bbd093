import type { Dialect } from '../configuration/dialects.ts';
import { isOfSecret, type Registration } from '../credentials/registration.ts';
import { newTokenEpoch, type Secret } from '../credentials/secret.ts';
import type { NetworkLimit } from '../http/allowed-networks.ts';
import type { CertificateSubject } from './certificate-subject.ts';
import type { ClientDetails } from './client-details.ts';
import type { Claims } from './custom-claims.ts';
import type { DeclaredScope } from './declared-scopes.ts';
import type { ClientJwks } from './verification-key.ts';

const secretMethods = ['client_secret_basic', 'client_secret_post'] as const;
/** Authentication by TLS certificate (RFC 8705 §2). */
export const certificateMethods = ['tls_client_auth', 'self_signed_tls_client_auth'] as const;
/**
 * Values of RFC 7591 §2 `token_endpoint_auth_method`, and Keyturn's own for clients that authenticate with tokens of trusted
 * issuers (src/trusts).
 */
export const authMethods = [...secretMethods, 'private_key_jwt', ...certificateMethods, 'workload_identity'] as const;

export type ClientKind = 'integration' | 'resource_server';
export type SecretMethod = (typeof secretMethods)[number];
export type AuthMethod = (typeof authMethods)[number];
export type TokenFormat = 'opaque' | 'jwt';
/**
 * Values of the `typ` header of JWT access tokens. `at+jwt` is that of RFC 9068 §2.1; `JWT` is for resource servers whose
 * libraries refuse it.
 */
export const tokenTyps = ['at+jwt', 'JWT'] as const;
export type TokenTyp = (typeof tokenTyps)[number];

/**
 * Earlier scopes of a client or access key, or earlier kinds of information of a resource server: the last 100 of the
 * last 25 hours, oldest first. The database keeps them (sql/0021.do.scope-history.sql).
 */
export type ScopeHistory = readonly { version: number; scope: readonly string[] }[];

/** A registered client (RFC 6749 §2). */
export type Client = NetworkLimit & {
  /** Does not change when the Client ID is regenerated; never leaves the server. */
  id: string;
  /** The current public Client ID. */
  clientId: string;
  kind: ClientKind;
  /** The organization that an integration belongs to. A resource server belongs to the deployment. */
  organizationId: string;
  name: string;
  /** In the cache of requests, false also if the organization is disabled. */
  enabled: boolean;
  /** The largest scope that an integration may be granted: `kind:action`, or names that a resource server declares. */
  scope: readonly string[];
  accessKey: 'optional' | 'required';
  reveal: boolean;
  authMethod: AuthMethod;
  /** Registered public keys; null if there are none or they are at `jwksUri`. */
  jwks: ClientJwks | null;
  jwksUri: string | null;
  /** The subject that the certificate of a `tls_client_auth` client must have. */
  certificateSubject: CertificateSubject | null;
  /** Whether tokens are bound to the certificate of the token request (RFC 8705 §3). */
  certificateBoundTokens: boolean;
  /** Whether tokens are issued only with a DPoP proof (RFC 9449 §5.2). */
  dpopBoundTokens: boolean;
  /** Whether the client may rotate its own credential. */
  selfRotation: boolean;
  /** A resource server's identifier (RFC 8707), or the default resource of an integration. */
  resource: string | null;
  /** The kinds of information that a resource server offers. */
  information: readonly string[];
  /** The scopes that a resource server declares beside those of `information`. */
  scopes: readonly DeclaredScope[];
  /** The versions of `scope`, or of `information` for a resource server. */
  scopeVersion: number;
  scopeHistory: ScopeHistory;
  tokenFormat: TokenFormat | null;
  /** Null unless `tokenFormat` is `jwt`. */
  tokenTyp: TokenTyp | null;
  /** The lifetime of its tokens in seconds, or null for none of its own. The shorter of client and resource server applies. */
  tokenTtlSeconds: number | null;
  /** The scope of a token that an integration requests without `scope`: a part of `scope`, or null for all of it. */
  defaultScope: readonly string[] | null;
  /** Deviations that are accepted of this client in addition to those of the deployment. */
  dialects: readonly Dialect[];
  /** Custom claims of its tokens, or of tokens for a resource server. */
  claims: Claims;
  /** Null in the cache of requests, because metadata is large. */
  details: ClientDetails | null;
  /** Tokens issued in another epoch are not valid. A random number instead of a date, so that no clock decides. */
  tokenEpoch: number;
  tokensNotBefore: Date | null;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
};

/**
 * A client with its secrets, newest first, as requests need it. Each process caches it under every Client ID of the
 * client.
 */
export type KnownClient = { client: Client; secrets: readonly Secret[] };

/** Returns whether clients with this method authenticate with a secret; others never have one. */
export function isSecretMethod(method: AuthMethod): method is SecretMethod {
  return isOfSecret({ authMethod: method });
}

/** Returns whether the client authenticates with a certificate. */
export function hasCertificate({ authMethod }: Pick<Client, 'authMethod'>): boolean {
  return (certificateMethods as readonly string[]).includes(authMethod);
}

/** A client's authentication method and its keys. */
export type Authentication = Pick<Client, 'authMethod' | 'jwks' | 'jwksUri' | 'certificateSubject'>;

/** Returns how a client authenticates. */
export function registrationOf({ authMethod, jwks, jwksUri, certificateSubject }: Authentication): Authentication {
  return { authMethod, jwks, jwksUri, certificateSubject };
}

/** Returns the client with another way of authentication. @param registration of one of its credentials. */
export function withRegistration(client: Client, registration: Registration): Client {
  // Only registrations that were checked as those of a client are stored with a credential.
  return { ...client, ...(registration as Authentication) };
}

/** Returns the members that are the same for every client when it is registered. */
export function initialState(at: Date) {
  return {
    tokenEpoch: 0,
    scopeVersion: 0,
    scopeHistory: [],
    tokensNotBefore: null,
    revision: 1,
    createdAt: at,
    updatedAt: at,
  };
}

/** Returns the client with all its live tokens ended. */
export function withoutTokens(client: Client, now: number): Client {
  return { ...client, tokenEpoch: newTokenEpoch(), tokensNotBefore: new Date(now) };
}

/** Checks the form of RFC 6749 §3.3: single spaces between items and none elsewhere. */
export function isWellFormedScope(scope: string): boolean {
  return /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/.test(scope);
}

/** Splits a space-separated list of scopes (RFC 6749 §3.3), without repetitions, in the given order. */
export function parseScope(scope: string): string[] {
  return [...new Set(scope.split(' ').filter(Boolean))];
}

/** Returns the scope of this version, or an empty one if it is not known any more. @param current the current scope. */
export function scopeAt(
  { scopeVersion, scopeHistory }: { scopeVersion: number; scopeHistory: ScopeHistory },
  current: readonly string[],
  version: number,
): readonly string[] {
  if (version === scopeVersion) return current;
  return scopeHistory.find((earlier) => earlier.version === version)?.scope ?? [];
}
