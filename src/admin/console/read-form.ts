import type { IncomingMessage } from 'node:http';
import { KeyturnError } from '../../errors.ts';
import { hasMediaType } from '../../http/media-type.ts';

const maxBytes = 256 * 1024;

/**
 * Reads the fields of a form of at most 256 KiB.
 * @throws {KeyturnError} 413 if the body is too large, 415 if its media type is not
 * `application/x-www-form-urlencoded`.
 */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const { headers } = request;
  if (!hasMediaType(headers['content-type'], 'application/x-www-form-urlencoded')) {
    throw new KeyturnError('unsupported_media_type', 415, 'Content-Type must be application/x-www-form-urlencoded.');
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes)
      throw new KeyturnError('content_too_large', 413, `The body must not exceed ${maxBytes} bytes.`);
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}
