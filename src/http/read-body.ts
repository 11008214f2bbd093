import type { IncomingMessage } from 'node:http';
import getRawBody from 'raw-body';
import { KeyturnError } from '../errors.ts';

/** How a body is read. */
export type BodyRules = {
  /** The only accepted media type, in lower case. */
  mediaType: string;
  maxBytes: number;
  /** Whether a request with an empty body must not have another Content-Type. */
  isTypeCheckedIfEmpty: boolean;
  /** The listener's error codes by HTTP status. */
  codes: Readonly<Record<400 | 413 | 415, string>>;
};

/**
 * Reads the body of a request. Returns an empty buffer if there is none.
 * @throws {KeyturnError} 413 if the body is too large, 415 if it is compressed or has another media type, 400 if it did
 * not arrive completely. Declared sizes and types are checked before the body is read.
 */
export async function readBody(request: IncomingMessage, rules: BodyRules): Promise<Buffer> {
  const { headers } = request;
  const { mediaType, maxBytes, codes } = rules;
  const isEmpty = headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
  const isTypeFree = isEmpty && (!rules.isTypeCheckedIfEmpty || headers['content-type'] === undefined);
  if (!isTypeFree) requireType(headers, mediaType, codes);
  const tooLarge = () => new KeyturnError(codes[413], 413, `The body must not exceed ${maxBytes} bytes.`);
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  return await getRawBody(request, { limit: maxBytes }).catch((error: getRawBody.RawBodyError) => {
    if (error.type === 'entity.too.large') throw tooLarge();
    // Reading fails if the sender disconnected or sent invalid HTTP, which is not a server error.
    throw new KeyturnError(codes[400], 400, 'The request body was not received completely.', { detail: error.message });
  });
}

function requireType(headers: IncomingMessage['headers'], mediaType: string, codes: BodyRules['codes']): void {
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
    throw new KeyturnError(codes[415], 415, 'Content-Encoding is not supported. Send the body uncompressed.');
  }
  if (!hasMediaType(headers['content-type'], mediaType)) {
    throw wrongType(codes[415], mediaType);
  }
}

/** Returns the error for a body of another media type. */
export function wrongType(code: string, mediaType: string): KeyturnError {
  return new KeyturnError(code, 415, `Content-Type must be ${mediaType}.`);
}

/**
 * Returns whether a Content-Type has this media type, ignoring parameters (RFC 9110 §8.3.1). @param type in lower case.
 */
export function hasMediaType(contentType: string | undefined, type: string): boolean {
  const [given = ''] = (contentType ?? '').split(';', 1);
  return given.replace(/[ \t]+$/, '').toLowerCase() === type;
}
