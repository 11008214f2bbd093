import { IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HeadStart } from './head-start.ts';

/*
 * Node reads a body as a stream and writes an answer as another, which for a form and a short JSON that come and go whole is half of what
 * an exchange costs. What is taken off that way is in this file alone; where a connection is not as it always is, Node's own way is gone.
 */

/** What this file knows of Node's HTTP classes beyond their types. */
type Inner = { _consuming: boolean; _readableState: { endEmitted: boolean } };
type InnerResponse = { _header: string; _keepAliveTimeout: number; finished: boolean };

/**
 * What a server makes of each request (`IncomingMessage` of http.createServer). A class, for a method that is put on each request by
 * itself makes V8 keep the dead ones until all of memory is collected.
 */
export class PlainRequest extends IncomingMessage {
  headStart: HeadStart | undefined = undefined;
  #onBody: ((body: string) => void) | undefined;
  #body: Buffer | undefined;

  /** Hands over the body once all of it is there. A sender who goes before that is told of by the event `error`. */
  takeBody(onBody: (body: string) => void): void {
    this.#onBody = onBody;
  }

  /** All that the HTTP parser does with what it reads is to push it, and null after the last of it. */
  override push(chunk: Buffer | null): boolean {
    if (!this.#onBody) return super.push(chunk);
    if (chunk !== null) this.#body = this.#body ? Buffer.concat([this.#body, chunk]) : chunk;
    // As with a stream's end, not before the parser has read all that has arrived: it may be no HTTP from here on.
    else process.nextTick(handOver, this, this.#body, this.#onBody);
    return true;
  }
}

function handOver(request: PlainRequest, body: Buffer | undefined, onBody: (body: string) => void): void {
  if (request.destroyed) return;
  const inner = request as unknown as Inner;
  // There is nothing left to be read by somebody else.
  inner._consuming = true;
  inner._readableState.endEmitted = true;
  onBody(body ? body.toString('utf8') : '');
}

/**
 * Answers 200 with these headers and this body, in one write.
 * @param headers lines, each with its end.
 */
export function writeAnswer(response: ServerResponse, headers: string, body: string): void {
  const { socket } = response;
  const bytes = Buffer.byteLength(body);
  const head = `HTTP/1.1 200 OK\r\n${headers}Content-Length: ${bytes}\r\n`;
  if (!socket?.writable || !response.shouldKeepAlive || response.getHeaderNames().length > 0) {
    response.writeHead(200, rawHeaders(`${headers}Content-Length: ${bytes}\r\n`));
    response.end(body);
    return;
  }
  writeWhole(response, socket, head, body, bytes === body.length ? 'latin1' : 'utf8');
}

function writeWhole(
  response: ServerResponse,
  socket: Socket,
  head: string,
  body: string,
  encoding: BufferEncoding,
): void {
  const inner = response as unknown as InnerResponse;
  const timeout = Math.floor(inner._keepAliveTimeout / 1_000);
  inner._header = `${head}Date: ${date()}\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${timeout}\r\n\r\n`;
  inner.finished = true;
  socket.write(inner._header + body, encoding);
  // The connection goes on to its next request.
  response.emit('finish');
}

function rawHeaders(lines: string): string[] {
  return lines
    .split('\r\n')
    .filter(Boolean)
    .flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]);
}

let second = 0;
let written = '';

/** As in `Date` (RFC 9110 §6.6.1), worked out once a second. */
function date(): string {
  const now = Math.floor(Date.now() / 1_000);
  if (now !== second) {
    second = now;
    written = new Date(now * 1_000).toUTCString();
  }
  return written;
}
