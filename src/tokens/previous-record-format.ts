import { decodeAccessKeyRef, encodeAccessKeyRef, type TokenRecord, toConfirmation } from './token-record.ts';

/** The format of the previous version: a JSON array without authentication. */
type JsonRecord = [
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

/** Formats a record as the previous version reads it. */
export function writeJson(record: TokenRecord): string {
  const { clientId = '', epoch, generation, issuedAt, expiresAt, scope, resource, accessKey, confirmation } = record;
  const key = accessKey ? encodeAccessKeyRef(accessKey) : 0;
  const { jkt = 0, 'x5t#S256': x5t = 0 } = confirmation ?? {};
  const values: JsonRecord = [
    clientId,
    epoch,
    generation,
    issuedAt,
    expiresAt,
    scope ?? 0,
    resource ?? 0,
    key,
    jkt,
    x5t,
  ];
  return JSON.stringify(values);
}

/** Reads a record of the previous version. Returns undefined for anything else. */
export function readJson(jti: string, text: string): TokenRecord | undefined {
  const values = parseJson(text);
  if (!values) return undefined;
  const [clientId, epoch, generation, issuedAt, expiresAt, scope, resource, key, jkt, x5t] = values;
  return {
    jti,
    clientId: clientId || undefined,
    epoch,
    generation,
    issuedAt,
    expiresAt,
    scope: scope === 0 ? undefined : scope,
    scopeVersions: undefined,
    resource: resource || undefined,
    accessKey: key ? decodeAccessKeyRef(key) : undefined,
    confirmation: toConfirmation(jkt || undefined, x5t || undefined),
  };
}

function parseJson(text: string): JsonRecord | undefined {
  try {
    const values: unknown = JSON.parse(text);
    return Array.isArray(values) && values.length >= 5 && values.length <= 10 ? (values as JsonRecord) : undefined;
  } catch {
    return undefined;
  }
}
