import type { ServerResponse } from 'node:http';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { retirementHeaders } from './announce-retirement.ts';
import type { Caller } from './client-authentication.ts';
import { writeAnswer } from './plain-exchange.ts';

/** An answer of the fast path. */
export type FastAnswer = {
  /** JSON text. */
  body: string;
  /** The access key that came with the request. */
  accessKey: PresentedAccessKey | undefined;
};

/** Writes the answer with the headers of the Koa application, in the same order. */
export function writeFastAnswer(
  response: ServerResponse,
  { body, accessKey }: FastAnswer,
  caller: Caller,
  id: string,
): void {
  const retirement = retirementHeaders(caller, accessKey);
  const retiring = retirement ? `Deprecation: ${retirement.Deprecation}\r\nSunset: ${retirement.Sunset}\r\n` : '';
  writeAnswer(response, `X-Request-Id: ${id}\r\nX-Content-Type-Options: nosniff\r\n${retiring}${always}`, body);
}

const always = 'Cache-Control: no-store\r\nContent-Type: application/json; charset=utf-8\r\nPragma: no-cache\r\n';
