import type { ServerResponse } from 'node:http';
import type { PresentedAccessKey } from '../../access-keys/access-key-cache.ts';
import type { Config } from '../../config.ts';
import { strictTransport } from '../../http/strict-transport.ts';
import { retirementHeaders } from '../announce-retirement.ts';
import type { Caller } from '../client-authentication.ts';
import { writeAnswer } from './plain-exchange.ts';

/** An answer of the fast path. */
export type FastAnswer = {
  /** JSON text. */
  body: string;
  /** The access key that came with the request. */
  accessKey: PresentedAccessKey | undefined;
};

/** Writes answers with the headers of the Koa application, in the same order. */
export function createFastWriter(config: Config) {
  const transport = strictTransport(config);
  const security = `X-Content-Type-Options: nosniff\r\n${transport ? `Strict-Transport-Security: ${transport}\r\n` : ''}`;
  return (response: ServerResponse, { body, accessKey }: FastAnswer, caller: Caller, id: string): void => {
    const retirement = retirementHeaders(caller, accessKey);
    const retiring = retirement ? `Deprecation: ${retirement.Deprecation}\r\nSunset: ${retirement.Sunset}\r\n` : '';
    writeAnswer(response, `X-Request-Id: ${id}\r\n${security}${retiring}${always}`, body);
  };
}

const always = 'Cache-Control: no-store\r\nContent-Type: application/json; charset=utf-8\r\nPragma: no-cache\r\n';
