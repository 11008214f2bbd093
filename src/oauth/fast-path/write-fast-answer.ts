import type { ServerResponse } from 'node:http';
import type { Config } from '../../config.ts';
import { strictTransport } from '../../http/response-headers.ts';
import { writeAnswer } from '../../internals/node-http.ts';
import type { ErrorAnswer } from '../oauth-error.ts';

/** Writes answers with the headers of the Koa application, in the same order. */
export function createFastWriter(config: Config) {
  const transport = strictTransport(config);
  const security = `X-Content-Type-Options: nosniff\r\n${transport ? `Strict-Transport-Security: ${transport}\r\n` : ''}`;
  return (
    response: ServerResponse,
    id: string,
    { status, headers, body }: { status: number; headers: string; body: string },
  ): void => writeAnswer(response, status, `X-Request-Id: ${id}\r\n${security}${headers}`, body);
}

const jsonType = 'Content-Type: application/json; charset=utf-8\r\n';
export const ofSuccess = `Cache-Control: no-store\r\n${jsonType}Pragma: no-cache\r\n`;

/** Collects the headers of an error answer as lines. */
export class PlainErrorAnswer implements ErrorAnswer {
  status = 0;
  headers = '';
  #body: unknown;
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get body(): unknown {
    return this.#body;
  }

  set body(body: unknown) {
    this.#body = body;
    this.headers += jsonType;
  }

  set(name: string, value: string): void {
    this.headers += `${name}: ${value}\r\n`;
  }
}
