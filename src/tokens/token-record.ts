/**
 * The stored part of an access token: IDs instead of permissions. Permissions follow from the current client and access
 * key.
 */
export type TokenRecord = {
  /** The token's SHA-256 in base64url: its key in the store, and the `jti` in introspections (RFC 7662 §2.2). */
  jti: string;
  /** The Client ID that the token was issued to; undefined for a stand-alone access key. */
  clientId: string | undefined;
  /** The client's epoch when the token was issued. */
  epoch: number;
  /**
   * The generation of the client secret that the token was obtained with; 0 if issued by an operator or without a
   * secret.
   */
  generation: number;
  /** Milliseconds since the epoch. */
  issuedAt: number;
  /** Seconds since the epoch, as in `exp`. A stand-alone access key may have fractions, or never expire (`Infinity`). */
  expiresAt: number;
  /** The requested scope: undefined if none was requested; empty if the client has no scope. */
  scope: string | undefined;
  /**
   * The versions of the scopes that were granted if none was requested, so that the token never gains scope; 0 for
   * access key or resource if there is none. Undefined with a requested scope, and in records of the previous version.
   */
  scopeVersions: { client: number; accessKey: number; resource: number } | undefined;
  /** The requested resource (RFC 8707), or that of the only JWT resource server for the scopes. */
  resource: string | undefined;
  /** The access key that the token was obtained with. */
  accessKey: AccessKeyRef | undefined;
  /** The key or certificate whose possession a caller must prove, or undefined if the token is not bound. */
  confirmation: Confirmation | undefined;
  /** The exchanges by which an API got the token, latest first; undefined for a token that was issued to its client. */
  chain?: readonly Exchange[] | undefined;
};

/**
 * The binding of a token, as in the claim `cnf`: a certificate by its SHA-256 (RFC 8705 §3.1), a key by its JWK
 * thumbprint (RFC 9449 §6), or both. Introspection returns them in this order.
 */
export type Confirmation = { 'x5t#S256'?: string | undefined; jkt?: string | undefined };

/** One exchange. @property actor the Client ID of the API that exchanged. @property parent the `jti` of the token it gave. */
export type Exchange = { actor: string; parent: string };

/** A state of an access key. A token of an undone value or of another epoch is not valid. */
export type AccessKeyRef = { id: string; epoch: number; generation: number };

/**
 * Returns the token type (RFC 6750 §6.1.1, RFC 9449 §5). A token bound only to a certificate is of type Bearer (RFC
 * 8705 §3).
 */
export function tokenTypeOf({ confirmation }: Pick<TokenRecord, 'confirmation'>): 'Bearer' | 'DPoP' {
  return confirmation?.jkt ? 'DPoP' : 'Bearer';
}

/** Returns the lifetime that a token was issued with, in seconds. */
export function lifetimeOf({ expiresAt, issuedAt }: Pick<TokenRecord, 'expiresAt' | 'issuedAt'>): number {
  return expiresAt - Math.floor(issuedAt / 1_000);
}

/** Formats a reference as `id.epoch.generation`, also used as a claim of JWTs. */
export function encodeAccessKeyRef({ id, epoch, generation }: AccessKeyRef): string {
  return `${id}.${epoch}.${generation}`;
}

export function decodeAccessKeyRef(text: string): AccessKeyRef {
  const [id = '', epoch, generation] = text.split('.');
  return { id, epoch: Number(epoch), generation: Number(generation) };
}

/** Returns the binding of a stored record. */
export function toConfirmation(jkt: string | undefined, x5t: string | undefined): TokenRecord['confirmation'] {
  if (jkt === undefined && x5t === undefined) return undefined;
  return { ...(x5t === undefined ? {} : { 'x5t#S256': x5t }), ...(jkt === undefined ? {} : { jkt }) };
}
