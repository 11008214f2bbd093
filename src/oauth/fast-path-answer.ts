import type { ServerResponse } from 'node:http';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { retirementHeaders } from './announce-retirement.ts';
import type { Caller } from './client-authentication.ts';

/** What the fast path answers with. */
export type FastAnswer = {
  /** JSON. */
  body: string;
  /** The access key that came with the request. */
  accessKey: PresentedAccessKey | undefined;
};

/** Writes it with the headers that the Koa application would have, in the same order. */
export function writeFastAnswer(
  response: ServerResponse,
  { body, accessKey }: FastAnswer,
  caller: Caller,
  id: string,
): void {
  const headers = ['X-Request-Id', id, 'X-Content-Type-Options', 'nosniff'];
  const retirement = retirementHeaders(caller, accessKey);
  if (retirement) headers.push('Deprecation', retirement.Deprecation, 'Sunset', retirement.Sunset);
  headers.push('Cache-Control', 'no-store', 'Content-Type', 'application/json; charset=utf-8', 'Pragma', 'no-cache');
  headers.push('Content-Length', String(Buffer.byteLength(body)));
  response.writeHead(200, headers);
  response.end(body);
}
