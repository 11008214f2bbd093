import { IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HeadStart } from './head-start.ts';

/**
 * Reads small bodies and writes short answers without Node's streams, which cost half of such an exchange. All code
 * that depends on Node internals is in this file; a connection that is not in its usual state is handled by Node's
 * public API.
 */

/** Private members of Node's HTTP classes that this file uses. */
type Inner = { _consuming: boolean; _readableState: { endEmitted: boolean } };
type InnerResponse = { _header: string; _keepAliveTimeout: number; finished: boolean };

/**
 * The request class of the public listener (the option `IncomingMessage` of http.createServer). It is a class because
 * V8 would not free requests with an own method before a full garbage collection.
 */
export class PlainRequest extends IncomingMessage {
  headStart: HeadStart | undefined = undefined;
  #onBody: ((body: string) => void) | undefined;
  #body: Buffer | undefined;

  /** Calls `onBody` with the complete body. If the sender disconnects earlier, the request emits `error` instead. */
  takeBody(onBody: (body: string) => void): void {
    this.#onBody = onBody;
  }

  /** Receives the body from the HTTP parser, which pushes each chunk, and null after the last one. */
  override push(chunk: Buffer | null): boolean {
    if (!this.#onBody) return super.push(chunk);
    if (chunk !== null) this.#body = this.#body ? Buffer.concat([this.#body, chunk]) : chunk;
    // Wait, as a stream's `end` does, until the parser has read all received bytes, because the rest may be invalid
    // HTTP.
    else process.nextTick(handOver, this, this.#body, this.#onBody);
    return true;
  }
}

function handOver(request: PlainRequest, body: Buffer | undefined, onBody: (body: string) => void): void {
  if (request.destroyed) return;
  const inner = request as unknown as Inner;
  // Mark the body as read, so that Node neither waits for it nor discards it.
  inner._consuming = true;
  inner._readableState.endEmitted = true;
  onBody(body ? body.toString('utf8') : '');
}

/**
 * Writes an answer with status 200 in a single write.
 * @param headers header lines, each ending with CRLF.
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
  // Release the connection for its next request.
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

/** Returns the value of the `Date` header (RFC 9110 §6.6.1), cached for one second. */
function date(): string {
  const now = Math.floor(Date.now() / 1_000);
  if (now !== second) {
    second = now;
    written = new Date(now * 1_000).toUTCString();
  }
  return written;
}
