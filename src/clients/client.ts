import type { Secret } from '../credentials/secret.ts';
import { InvalidInput, KeyturnError } from '../errors.ts';
import type { CertificateSubject } from './certificate-subject.ts';
import type { ClientJwks } from './client-jwks.ts';

export const actions = ['create', 'read', 'update', 'delete'] as const;
const secretMethods = ['client_secret_basic', 'client_secret_post'] as const;
/** With a certificate in TLS (RFC 8705 §2). */
export const certificateMethods = ['tls_client_auth', 'self_signed_tls_client_auth'] as const;
/** RFC 7591 §2 `token_endpoint_auth_method`. */
export const authMethods = [...secretMethods, 'private_key_jwt', ...certificateMethods] as const;

export type ClientKind = 'integration' | 'resource_server';
export type SecretMethod = (typeof secretMethods)[number];
export type AuthMethod = (typeof authMethods)[number];
export type TokenFormat = 'opaque' | 'jwt';

/** A registered client (RFC 6749 §2). */
export type Client = {
  /** Stays when the Client ID is regenerated; never leaves the server. */
  id: string;
  /** The current public Client ID. */
  clientId: string;
  kind: ClientKind;
  name: string;
  enabled: boolean;
  /** The most that an integration may be granted, as `kind:action`. */
  scope: readonly string[];
  accessKey: 'optional' | 'required';
  reveal: boolean;
  authMethod: AuthMethod;
  /** The public keys of one that authenticates with them; null: it has none, or they are at `jwksUri`. */
  jwks: ClientJwks | null;
  jwksUri: string | null;
  /** Whom the certificate of one with `tls_client_auth` must name. */
  certificateSubject: CertificateSubject | null;
  /** Whether its tokens are bound to the certificate that it asks for them with (RFC 8705 §3). */
  certificateBoundTokens: boolean;
  /** Whether it gets no token without a DPoP proof (RFC 9449 §5.2). */
  dpopBoundTokens: boolean;
  /** A resource server's identifier (RFC 8707), or the one an integration gets when it names none. */
  resource: string | null;
  /** The kinds of information that a resource server offers. */
  information: readonly string[];
  tokenFormat: TokenFormat | null;
  /** Tokens issued under an earlier epoch are dead. A count and not a date, so that no clock decides. */
  tokenEpoch: number;
  tokensNotBefore: Date | null;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
};

/** All that a request needs to know of a client and its secrets, newest first: what each process caches, by every Client ID that it answers to. */
export type KnownClient = { client: Client; secrets: readonly Secret[] };

/** Whether a client of this method authenticates with a secret; otherwise it never has one. */
export function isSecretMethod(method: AuthMethod): method is SecretMethod {
  return (secretMethods as readonly string[]).includes(method);
}

/** Whether it authenticates with a certificate. */
export function hasCertificate({ authMethod }: Pick<Client, 'authMethod'>): boolean {
  return (certificateMethods as readonly string[]).includes(authMethod);
}

/** Whether it gets no token that is not bound to something that it has. */
export function bindsTokens({ certificateBoundTokens, dpopBoundTokens }: Client): boolean {
  return certificateBoundTokens || dpopBoundTokens;
}

/** The client as it is with all its live tokens dead. */
export function withoutTokens(client: Client, now: number): Client {
  return { ...client, tokenEpoch: client.tokenEpoch + 1, tokensNotBefore: new Date(now) };
}

/** Whether a scope is written as RFC 6749 §3.3 has it: one space between one item and the next, and none elsewhere. */
export function isWellFormedScope(scope: string): boolean {
  return /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/.test(scope);
}

/** The scopes of a space-separated list (RFC 6749 §3.3), each once, in the order given. */
export function parseScope(scope: string): string[] {
  return [...new Set(scope.split(' ').filter(Boolean))];
}

/** @throws {KeyturnError} `invalid_scope` when something is asked that is not granted (RFC 6749 §5.2). */
export function requireGranted(asked: readonly string[], granted: readonly string[]): void {
  for (const scope of asked) {
    if (!granted.includes(scope)) {
      throw new KeyturnError('invalid_scope', 400, 'The requested scope is unknown or not granted.');
    }
  }
}

const offered = new WeakMap<readonly string[], readonly string[]>();

/** Every scope that a list of kinds of information makes; worked out once for each list. */
export function offeredScopes(information: readonly string[]): readonly string[] {
  let scopes = offered.get(information);
  if (!scopes) {
    scopes = information.flatMap((kind) => actions.map((action) => `${kind}:${action}`));
    offered.set(information, scopes);
  }
  return scopes;
}

/** Every scope that any of these resource servers offers. */
export function scopesOfferedBy(servers: readonly Pick<Client, 'information'>[]): Set<string> {
  return new Set(servers.flatMap(({ information }) => offeredScopes(information)));
}

/** @throws {InvalidInput} that names what none of these resource servers offers. */
export function requireOffered(scope: readonly string[], servers: readonly Pick<Client, 'information'>[]): void {
  const offered = scopesOfferedBy(servers);
  const unknown = scope.filter((item) => !offered.has(item));
  if (unknown.length > 0) throw new InvalidInput(`No resource server offers: ${unknown.join(', ')}`);
}
