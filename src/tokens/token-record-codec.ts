import { timingSafeEqual } from 'node:crypto';
import type { KeyRing } from '../credentials/key-ring.ts';
import { hmacSha256 } from '../credentials/verifier.ts';
import type { Database } from '../storage/database.ts';
import { toUuid } from '../text/read-text.ts';
import { packAscii, unpackAscii } from '../text/seven-bit-text.ts';
import { readJson, writeJson } from './previous-record-format.ts';
import { decodeChain, encodeChain } from './token-chain.ts';
import { type TokenRecord, toConfirmation } from './token-record.ts';

/** Encodes and decodes stored token records: a few dozen bytes with a code that authenticates them. */
export type TokenRecordCodec = {
  /**
   * Until when tokens must be readable for the previous version, in milliseconds since the epoch; 0 if there is none.
   */
  readonly previousVersionUntil: number;
  encode(record: TokenRecord): Buffer;
  /** Returns undefined if this deployment did not write the value for this token. */
  decode(jti: string, value: Buffer): TokenRecord | undefined;
};

/** Limits for accepted records without authentication, which the previous version wrote. Times are in milliseconds. */
type UnauthenticatedRecords = { issuedBefore: number; ttlMs: number };

type Hmac = ReturnType<typeof hmacSha256>;

/** The first byte of a record in this format. Records of the previous version are JSON arrays and begin with `[`. */
const format = 1;
/** The first byte of a record of an exchanged token, whose exchanges come before the rest. Earlier versions read none. */
const exchangedFormat = 2;
/** HMAC-SHA-256, cut to 128 bits (RFC 2104 §5). */
const codeBytes = 16;
const ownPrefix = 'kti_';

/** The bits of a record's first byte: which of its members follow. */
const has = { scope: 1, resource: 2, accessKey: 4, jkt: 8, x5t: 16, versions: 32, packedId: 64, packedScope: 128 };

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
  const headOf = (first: number) =>
    Buffer.from([first, keyRing.current.length, ...Buffer.from(keyRing.current, 'latin1')]);
  const head = headOf(format);
  const exchangedHead = headOf(exchangedFormat);

  function readUnauthenticated(jti: string, value: Buffer): TokenRecord | undefined {
    if (!unauthenticated) return undefined;
    const record = readJson(jti, value.toString());
    const { issuedBefore, ttlMs } = unauthenticated;
    const isAccepted = record && record.issuedAt <= issuedBefore && record.expiresAt * 1_000 <= record.issuedAt + ttlMs;
    return isAccepted ? record : undefined;
  }

  return {
    previousVersionUntil: unauthenticated?.issuedBefore ?? 0,
    encode(record) {
      // Processes of the previous version may still be serving, and can read their own format only.
      if (unauthenticated && !record.chain && record.issuedAt <= unauthenticated.issuedBefore)
        return Buffer.from(writeJson(record));
      const body = record.chain ? Buffer.concat([encodeChain(record.chain), writeBody(record)]) : writeBody(record);
      const code = (hmacs.get(keyRing.current) as Hmac)(record.jti, body).subarray(0, codeBytes);
      return Buffer.concat([record.chain ? exchangedHead : head, code, body]);
    },
    decode(jti, value) {
      if (value[0] !== format && value[0] !== exchangedFormat) return readUnauthenticated(jti, value);
      const codeAt = 2 + (value[1] ?? 0);
      const bodyAt = codeAt + codeBytes;
      const hmac = hmacs.get(value.toString('latin1', 2, codeAt));
      if (!hmac || value.length <= bodyAt) return undefined;
      const body = value.subarray(bodyAt);
      const isAuthentic = timingSafeEqual(value.subarray(codeAt, bodyAt), hmac(jti, body).subarray(0, codeBytes));
      if (!isAuthentic) return undefined;
      if (value[0] === format) return readBody(jti, body);
      const { chain, rest } = decodeChain(body);
      return { ...readBody(jti, rest), chain };
    },
  };
}

/** Formats a record for a column of type `text`. */
export function recordToText(value: Buffer): string {
  return value[0] === format || value[0] === exchangedFormat ? value.toString('base64url') : value.toString();
}

/** Reverses `recordToText`. */
export function recordFromText(text: string): Buffer {
  return text.startsWith('[') ? Buffer.from(text) : Buffer.from(text, 'base64url');
}

const longestFixedPart = 96;
/** Bytes of a UUID. */
const uuidBytes = 16;
/** Bytes of the 22 characters of a generated Client ID, read as base64 of which only 62 characters occur. */
const packedIdBytes = 18;
/** Makes 22 characters a multiple of four, so that base64 has no incomplete byte. */
const packing = 'AA';

function writeBody(record: TokenRecord): Buffer {
  const { issuedAt, scope, resource, accessKey, confirmation, scopeVersions } = record;
  // No client has an empty Client ID, so the previous version finds none for it.
  const clientId = record.clientId ?? '';
  const isPacked = /^kti_[0-9A-Za-z]{22}$/.test(clientId);
  let flags = isPacked ? has.packedId : 0;
  const texts: (string | Buffer)[] = isPacked ? [] : [clientId];
  const add = (flag: number, text: string | Buffer | undefined) => {
    if (text === undefined) return;
    flags |= flag;
    texts.push(text);
  };
  const packedScope = scope !== undefined && scope.length >= packedFrom ? packAscii(scope) : undefined;
  add(has.scope, packedScope ?? scope);
  if (packedScope) flags |= has.packedScope;
  add(has.resource, resource);
  add(has.jkt, confirmation?.jkt);
  add(has.x5t, confirmation?.['x5t#S256']);
  if (accessKey) flags |= has.accessKey;
  if (scopeVersions) flags |= has.versions;

  let room = longestFixedPart;
  for (const text of texts) room += 5 + Buffer.byteLength(text);
  const body = Buffer.allocUnsafe(room);
  body[0] = flags;
  let at = body.writeUIntBE(issuedAt, 1, 6);
  at = body.writeUInt32BE(record.epoch, at);
  at = writeNumber(body, Math.max(0, record.expiresAt - Math.floor(issuedAt / 1_000)), at);
  at = writeNumber(body, record.generation, at);
  if (isPacked) at += body.write(clientId.slice(ownPrefix.length) + packing, at, 'base64url');
  if (accessKey) {
    at += body.write(accessKey.id.replaceAll('-', ''), at, 'hex');
    at = writeNumber(body, accessKey.epoch, at);
    at = writeNumber(body, accessKey.generation, at);
  }
  if (scopeVersions) {
    at = writeNumber(body, scopeVersions.client, at);
    if (accessKey) at = writeNumber(body, scopeVersions.accessKey, at);
    if (resource !== undefined) at = writeNumber(body, scopeVersions.resource, at);
  }
  for (const text of texts) {
    at = writeNumber(body, Buffer.byteLength(text), at);
    at += typeof text === 'string' ? body.write(text, at) : text.copy(body, at);
  }
  return body.subarray(0, at);
}

/** Reads an authenticated body, which therefore is well-formed. */
function readBody(jti: string, body: Buffer): TokenRecord {
  const flags = body[0] ?? 0;
  let at = 11;
  const number = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = body[at++] ?? 0;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  const take = (bytes: number, encoding: BufferEncoding) => {
    at += bytes;
    return body.toString(encoding, at - bytes, at);
  };
  const takeBytes = (bytes: number) => {
    at += bytes;
    return body.subarray(at - bytes, at);
  };
  const text = () => take(number(), 'utf8');
  const optional = (flag: number) => (flags & flag ? text() : undefined);

  const issuedAt = body.readUIntBE(1, 6);
  const expiresAt = Math.floor(issuedAt / 1_000) + number();
  const generation = number();
  const packedId = flags & has.packedId ? take(packedIdBytes, 'base64url').slice(0, -packing.length) : undefined;
  const accessKey =
    flags & has.accessKey ? { id: toUuid(take(uuidBytes, 'hex')), epoch: number(), generation: number() } : undefined;
  const scopeVersions =
    flags & has.versions
      ? {
          client: number(),
          accessKey: accessKey ? number() : 0,
          resource: flags & has.resource ? number() : 0,
        }
      : undefined;
  const clientId = packedId === undefined ? text() || undefined : ownPrefix + packedId;
  const scope = flags & has.packedScope ? unpackAscii(takeBytes(number())) : optional(has.scope);
  const resource = optional(has.resource);
  const jkt = optional(has.jkt);
  const x5t = optional(has.x5t);
  return {
    jti,
    clientId,
    epoch: body.readUInt32BE(7),
    generation,
    issuedAt,
    expiresAt,
    scope,
    scopeVersions,
    resource,
    accessKey,
    confirmation: toConfirmation(jkt, x5t),
  };
}

/** Length from which a scope is packed, so that common ones cost no work. */
const packedFrom = 64;

/** Writes an unsigned integer in base 128, low digits first. Returns the position behind it. */
function writeNumber(body: Buffer, value: number, at: number): number {
  let rest = value;
  let position = at;
  for (; rest >= 128; rest = Math.floor(rest / 128)) body[position++] = 128 + (rest % 128);
  body[position++] = rest;
  return position;
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
