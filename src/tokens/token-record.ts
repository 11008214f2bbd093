import { timingSafeEqual } from 'node:crypto';
import type { KeyRing } from '../credentials/key-ring.ts';
import { hmacSha256 } from '../credentials/verifier.ts';
import type { Database } from '../storage/database.ts';

/**
 * The stored part of an access token: IDs instead of permissions. Permissions follow from the current client and access
 * key.
 */
export type TokenRecord = {
  /** The token's SHA-256 in base64url: its key in the store, and the `jti` in introspections (RFC 7662 §2.2). */
  jti: string;
  /** The Client ID that the token was issued to. */
  clientId: string;
  /** The client's epoch when the token was issued. */
  epoch: number;
  /**
   * The generation of the client secret that the token was obtained with; 0 if issued by an operator or without a
   * secret.
   */
  generation: number;
  /** Milliseconds since the epoch. */
  issuedAt: number;
  /** Seconds since the epoch, as in `exp`. */
  expiresAt: number;
  /** The requested scope: undefined if none was requested; empty if the client has no scope. */
  scope: string | undefined;
  /** The requested resource (RFC 8707), or that of the only JWT resource server for the scopes. */
  resource: string | undefined;
  /** The access key that the token was obtained with. */
  accessKey: AccessKeyRef | undefined;
  /** The key or certificate whose possession a caller must prove, or undefined if the token is not bound. */
  confirmation: Confirmation | undefined;
};

/**
 * The binding of a token, as in the claim `cnf`: a certificate by its SHA-256 (RFC 8705 §3.1), a key by its JWK
 * thumbprint (RFC 9449 §6), or both. Introspection returns them in this order.
 */
export type Confirmation = { 'x5t#S256'?: string | undefined; jkt?: string | undefined };

/** A state of an access key. A token of an undone value or of another epoch is not valid. */
export type AccessKeyRef = { id: string; epoch: number; generation: number };

/**
 * Returns the token type (RFC 6750 §6.1.1, RFC 9449 §5). A token bound only to a certificate is of type Bearer (RFC
 * 8705 §3).
 */
export function tokenTypeOf({ confirmation }: Pick<TokenRecord, 'confirmation'>): 'Bearer' | 'DPoP' {
  return confirmation?.jkt ? 'DPoP' : 'Bearer';
}

/** Formats a reference as `id.epoch.generation`, also used as a claim of JWTs. */
export function encodeAccessKeyRef({ id, epoch, generation }: AccessKeyRef): string {
  return `${id}.${epoch}.${generation}`;
}

export function decodeAccessKeyRef(text: string): AccessKeyRef {
  const [id = '', epoch, generation] = text.split('.');
  return { id, epoch: Number(epoch), generation: Number(generation) };
}

/** Encodes and decodes stored token records: a short JSON array whose last element authenticates the others. */
export type TokenRecordCodec = {
  encode(record: TokenRecord): string;
  /** Returns undefined if this deployment did not write the text for this token. */
  decode(jti: string, text: string): TokenRecord | undefined;
};

/** Limits for accepted records without authentication, which the previous version wrote. Times are in milliseconds. */
type UnauthenticatedRecords = { issuedBefore: number; ttlMs: number };

type Hmac = ReturnType<typeof hmacSha256>;

type Values = [
  clientId: string,
  epoch: number,
  generation: number,
  issuedAt: number,
  expiresAt: number,
  scope?: string | 0,
  resource?: string | 0,
  accessKey?: string | 0,
  jkt?: string | 0,
  x5t?: string | 0,
];

/**
 * Authenticates records with a key derived from the root key, so that write access to the token store is not enough to
 * forge a token. The code also covers the token's hash, so that a record is not valid for another token. The version of
 * the root key is stored beside the code, and every version in the key ring is accepted.
 */
export function createTokenRecordCodec(keyRing: KeyRing, unauthenticated?: UnauthenticatedRecords): TokenRecordCodec {
  const hmacs = new Map<string, Hmac>();
  for (const version of keyRing.versions) {
    const key = keyRing.key('token-record', version);
    if (key) hmacs.set(version, hmacSha256(key));
  }

  /** HMAC-SHA-256, cut to 128 bits (RFC 2104 §5). */
  function authenticate(hmac: Hmac, jti: string, body: string): string {
    return hmac(`${jti}\n${body}`).toString('base64url', 0, 16);
  }

  function isAuthentic(jti: string, body: string, version: string, code: string): boolean {
    const hmac = hmacs.get(version);
    return hmac !== undefined && timingSafeEqual(Buffer.from(code), Buffer.from(authenticate(hmac, jti, body)));
  }

  function readUnauthenticated(jti: string, text: string): TokenRecord | undefined {
    if (!unauthenticated) return undefined;
    const record = fromText(jti, text);
    const { issuedBefore, ttlMs } = unauthenticated;
    const isAccepted = record && record.issuedAt <= issuedBefore && record.expiresAt * 1_000 <= record.issuedAt + ttlMs;
    return isAccepted ? record : undefined;
  }

  return {
    encode: (record) => {
      const body = JSON.stringify(toValues(record));
      const code = authenticate(hmacs.get(keyRing.current) as Hmac, record.jti, body);
      return `${body.slice(0, -1)},"${keyRing.current}.${code}"]`;
    },
    decode: (jti, text) => {
      const [, values, version = '', code = ''] = /^(\[.*),"([A-Za-z0-9]{1,16})\.([\w-]{22})"\]$/.exec(text) ?? [];
      if (values === undefined) return readUnauthenticated(jti, text);
      const body = `${values}]`;
      return isAuthentic(jti, body, version, code) ? fromText(jti, body) : undefined;
    },
  };
}

/** Returns always ten values, so that the code is the eleventh, which the previous version ignores. */
function toValues(record: TokenRecord): Values {
  const { clientId, epoch, generation, issuedAt, expiresAt, scope, resource, accessKey, confirmation } = record;
  const key = accessKey ? encodeAccessKeyRef(accessKey) : 0;
  const { jkt = 0, 'x5t#S256': x5t = 0 } = confirmation ?? {};
  return [clientId, epoch, generation, issuedAt, expiresAt, scope ?? 0, resource ?? 0, key, jkt, x5t];
}

function fromText(jti: string, text: string): TokenRecord | undefined {
  const values = parse(text);
  if (!values) return undefined;
  const [clientId, epoch, generation, issuedAt, expiresAt, scope, resource, key, jkt, x5t] = values;
  return {
    jti,
    clientId,
    epoch,
    generation,
    issuedAt,
    expiresAt,
    scope: scope === 0 ? undefined : scope,
    resource: resource || undefined,
    accessKey: key ? decodeAccessKeyRef(key) : undefined,
    confirmation: jkt || x5t ? { ...(x5t ? { 'x5t#S256': x5t } : {}), ...(jkt ? { jkt } : {}) } : undefined,
  };
}

function parse(text: string): Values | undefined {
  try {
    const values: unknown = JSON.parse(text);
    return Array.isArray(values) && values.length >= 5 && values.length <= 10 ? (values as Values) : undefined;
  } catch {
    return undefined;
  }
}

/** Time after the migration during which processes of the previous version may still issue tokens. */
const rolloutMs = 3_600_000;

/**
 * Returns which token records without authentication are accepted: those that the previous version issued until an hour
 * after the migration. Returns undefined once the last of those tokens have expired.
 */
export async function findUnauthenticatedRecords(
  database: Database,
  now: number,
  ttlSeconds: number,
): Promise<UnauthenticatedRecords | undefined> {
  const rows = await database.query<{ since: Date | null }>(
    'SELECT max(since) AS since FROM authenticated_token_records',
  );
  const since = rows[0]?.since;
  if (!since) return undefined;
  const issuedBefore = since.getTime() + rolloutMs;
  const ttlMs = ttlSeconds * 1_000;
  return now < issuedBefore + ttlMs ? { issuedBefore, ttlMs } : undefined;
}
