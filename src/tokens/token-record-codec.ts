import { timingSafeEqual } from 'node:crypto';
import { hmacSha256 } from '../credentials/hmac-sha256.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { decodeAccessKeyRef, encodeAccessKeyRef, type TokenRecord } from './token-store.ts';

/** Encodes and decodes stored token records: a short JSON array whose last element authenticates the others. */
export type TokenRecordCodec = {
  encode(record: TokenRecord): string;
  /** Returns undefined if this deployment did not write the text for this token. */
  decode(jti: string, text: string): TokenRecord | undefined;
};

/** Limits for accepted records without authentication, which the previous version wrote. Times are in milliseconds. */
export type UnauthenticatedRecords = { issuedBefore: number; ttlMs: number };

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
