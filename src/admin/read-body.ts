import type { IncomingMessage } from 'node:http';
import { KeyturnError } from '../errors.ts';
import { hasMediaType } from '../http/media-type.ts';

const maxBytes = 64 * 1024;

/**
 * Reads the body of a request as text. Returns an empty string if there is no body.
 * @throws {KeyturnError} 413 if the body exceeds 64 KiB, 415 if it is not uncompressed JSON, 400 if it is not UTF-8.
 * Sizes and types are checked before the body is read completely.
 */
export async function readBody(request: IncomingMessage): Promise<string> {
  const { headers } = request;
  const isEmpty = headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
  if (isEmpty) return '';
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
    throw new KeyturnError(
      'unsupported_media_type',
      415,
      'Content-Encoding is not supported. Send the body uncompressed.',
    );
  }
  if (!hasMediaType(headers['content-type'], 'application/json')) {
    throw new KeyturnError('unsupported_media_type', 415, 'Content-Type must be application/json.');
  }
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return decode(Buffer.concat(chunks));
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new KeyturnError('invalid_json', 400, 'The body is not valid UTF-8.');
  }
}

function tooLarge(): KeyturnError {
  return new KeyturnError('content_too_large', 413, `The body must not exceed ${maxBytes} bytes.`);
}
