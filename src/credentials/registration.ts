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

const maxNameLength = 120;

/**
 * Returns a name of registered keys or a certificate for people, such as `keys 2025, 2026` or `certificate CN=sync`.
 * It has no meaning for programs.
 */
export function nameOfRegistration({ jwks, jwksUri, certificateSubject, authMethod }: Registration): string {
  const name = certificateSubject
    ? `certificate ${certificateSubject.value}`
    : jwksUri !== null
      ? `keys at ${jwksUri}`
      : `${authMethod === 'private_key_jwt' ? 'key' : 'certificate'}${jwks?.keys.length === 1 ? '' : 's'} ${jwks?.keys.map(({ kid }) => kid ?? 'without kid').join(', ')}`;
  return name.length > maxNameLength ? `${name.slice(0, maxNameLength - 1)}…` : name;
}
