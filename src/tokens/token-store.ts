import type { Transaction } from '../storage/database.ts';

/** What is kept of an access token: ids, not permissions. What it may do is computed from today's client and access key. */
export type TokenRecord = {
  /** The token's SHA-256 in base64url: its key in the store, and the `jti` that is told (RFC 7662 §2.2). */
  jti: string;
  /** The Client ID that it was issued to. */
  clientId: string;
  /** The client's epoch when it was issued. */
  epoch: number;
  /** The generation of the client secret that it was obtained with; 0: issued by an operator, or without a secret. */
  generation: number;
  /** Milliseconds since the epoch. */
  issuedAt: number;
  /** Seconds since the epoch, as in `exp`. */
  expiresAt: number;
  /** What was asked for: undefined: all that there is, the empty text: a client without any scope. */
  scope: string | undefined;
  /** The one resource asked for (RFC 8707). */
  resource: string | undefined;
  /** The access key that it was obtained with. */
  accessKey: AccessKeyRef | undefined;
  /** What whoever presents it must prove to have; undefined: nothing. */
  confirmation: Confirmation | undefined;
};

/**
 * What a token is bound to, as in the claim `cnf`: a certificate by its SHA-256 (RFC 8705 §3.1), a key by its JWK thumbprint (RFC 9449
 * §6), or both. In this order, in which introspection tells them.
 */
export type Confirmation = { 'x5t#S256'?: string | undefined; jkt?: string | undefined };

/** Which state of which access key: an undone value or an earlier epoch is dead. */
export type AccessKeyRef = { id: string; epoch: number; generation: number };

/** Where live access tokens are. Losing them fails closed: an unknown token is inactive. */
export type TokenStore = {
  readonly name: 'redis' | 'database';
  /**
   * @param transaction where the caller is inside of one: it may hold the only connection that there is.
   * @throws {StoreUnavailable} when it is not known to be stored.
   */
  save(record: TokenRecord, now: number, transaction?: Transaction): Promise<void>;
  /** @throws {StoreUnavailable} rather than to answer undefined for what could not be asked. */
  find(jti: string): Promise<TokenRecord | undefined>;
  remove(jti: string): Promise<void>;
  /** Resolves when the store answers. @throws {StoreUnavailable} */
  ping(): Promise<void>;
};

/** RFC 6750 §6.1.1, RFC 9449 §5. One that is bound to a certificate alone is of the type Bearer (RFC 8705 §3). */
export function tokenTypeOf({ confirmation }: Pick<TokenRecord, 'confirmation'>): 'Bearer' | 'DPoP' {
  return confirmation?.jkt ? 'DPoP' : 'Bearer';
}

/** `id.epoch.generation`, also as a claim of JWTs. */
export function encodeAccessKeyRef({ id, epoch, generation }: AccessKeyRef): string {
  return `${id}.${epoch}.${generation}`;
}

export function decodeAccessKeyRef(text: string): AccessKeyRef {
  const [id = '', epoch, generation] = text.split('.');
  return { id, epoch: Number(epoch), generation: Number(generation) };
}
