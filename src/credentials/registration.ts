import { hash } from 'node:crypto';

/** How a client authenticates, in the members of a registration (RFC 7591 §2, RFC 8705 §2.1.2). */
export type Registration = {
  /** A value of `token_endpoint_auth_method`. */
  authMethod: string;
  jwks: { readonly keys: readonly Record<string, unknown>[] } | null;
  jwksUri: string | null;
  certificateSubject: { field: string; value: string } | null;
};

/** A registration as its column stores it. */
export type StoredRegistration = {
  auth_method: string;
  jwks: Registration['jwks'];
  jwks_uri: string | null;
  certificate_subject: Registration['certificateSubject'];
};

export function storeRegistration(registration: Registration): StoredRegistration {
  return {
    auth_method: registration.authMethod,
    jwks: registration.jwks,
    jwks_uri: registration.jwksUri,
    certificate_subject: registration.certificateSubject,
  };
}

export function readRegistration(stored: StoredRegistration): Registration {
  return {
    authMethod: stored.auth_method,
    jwks: stored.jwks,
    jwksUri: stored.jwks_uri,
    certificateSubject: stored.certificate_subject,
  };
}

/** Returns whether a client with this registration authenticates with a secret. */
export function isOfSecret({ authMethod }: Pick<Registration, 'authMethod'>): boolean {
  return authMethod === 'client_secret_basic' || authMethod === 'client_secret_post';
}

/** A public key or a certificate, by what it is recognised by. */
export type KeyName = {
  kind: 'key' | 'certificate' | 'trust';
  kid: string | null;
  /** Of a key as in RFC 7638, of a certificate as `x5t#S256` (RFC 8705 §3.1); the id of a trust. */
  thumbprint: string;
};

/** Returns the keys or certificates that are in a registration itself, not behind its URL or its subject. */
export function keysOfRegistration({ authMethod, jwks }: Pick<Registration, 'authMethod' | 'jwks'>): KeyName[] {
  return (jwks?.keys ?? []).map((jwk) => ({
    kind: authMethod === 'private_key_jwt' ? 'key' : 'certificate',
    kid: typeof jwk['kid'] === 'string' ? jwk['kid'] : null,
    thumbprint: authMethod === 'private_key_jwt' ? thumbprintOf(jwk) : certificateThumbprintOf(jwk),
  }));
}

const requiredMembers: Record<string, readonly string[]> = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n'],
};

/** Returns the thumbprint of a public key (RFC 7638 §3): the SHA-256 of its required members in alphabetical order. */
export function thumbprintOf(jwk: Readonly<Record<string, unknown>>): string {
  const members = requiredMembers[String(jwk['kty'])] ?? [];
  const canonical = JSON.stringify(Object.fromEntries(members.map((name) => [name, jwk[name]])));
  return hash('sha256', canonical, 'base64url');
}

function certificateThumbprintOf(jwk: Readonly<Record<string, unknown>>): string {
  const [first] = Array.isArray(jwk['x5c']) ? (jwk['x5c'] as unknown[]) : [];
  return hash('sha256', Buffer.from(String(first), 'base64'), 'base64url');
}

const maxNameLength = 120;

/**
 * Returns a name of registered keys or a certificate for people, such as `keys 2025, 2026` or `certificate CN=sync`.
 * It has no meaning for programs.
 */
export function nameOfRegistration(registration: Registration): string {
  const { authMethod, jwksUri, certificateSubject } = registration;
  if (authMethod === 'workload_identity') return 'workload identity';
  const keys = keysOfRegistration(registration);
  const name = certificateSubject
    ? `certificate ${certificateSubject.value}`
    : jwksUri !== null
      ? `keys at ${jwksUri}`
      : `${keys[0]?.kind}${keys.length === 1 ? '' : 's'} ${keys.map(({ kid, thumbprint }) => kid ?? thumbprint.slice(0, 16)).join(', ')}`;
  // The cut may split a surrogate pair, which PostgreSQL rejects in JSON.
  return name.length > maxNameLength ? `${name.slice(0, maxNameLength - 1).toWellFormed()}…` : name;
}
