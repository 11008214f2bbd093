import type { IncomingMessage } from 'node:http';
import { readBody } from '../../http/read-body.ts';
import { bodyCodes } from '../problem.ts';

/**
 * Reads the fields of a form of at most 256 KiB.
 * @throws {KeyturnError} 413 if the body is too large, 415 if its media type is not
 * `application/x-www-form-urlencoded`.
 */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const body = await readBody(request, {
    mediaType: 'application/x-www-form-urlencoded',
    maxBytes: 256 * 1024,
    isTypeCheckedIfEmpty: true,
    codes: bodyCodes,
  });
  return new URLSearchParams(body.toString('utf8'));
}
