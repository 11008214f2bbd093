import type { ServerResponse } from 'node:http';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { retirementHeaders } from './announce-retirement.ts';
import type { Caller } from './client-authentication.ts';
import { writeAnswer } from './plain-exchange.ts';

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
  const retirement = retirementHeaders(caller, accessKey);
  const retiring = retirement ? `Deprecation: ${retirement.Deprecation}\r\nSunset: ${retirement.Sunset}\r\n` : '';
  writeAnswer(response, `X-Request-Id: ${id}\r\nX-Content-Type-Options: nosniff\r\n${retiring}${always}`, body);
}

const always = 'Cache-Control: no-store\r\nContent-Type: application/json; charset=utf-8\r\nPragma: no-cache\r\n';
