import { IncomingMessage, type Server, ServerResponse, STATUS_CODES } from 'node:http';
import { Server as NetServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * All uses of private members of node:http. They read small bodies and write short answers without Node's streams,
 * which cost half of such an exchange. If a member is missing, Node's public API is used instead.
 */

type InnerRequest = { _consuming: boolean; _readableState: { endEmitted: boolean } };
type InnerResponse = { _header: string | null; _keepAliveTimeout: number; finished: boolean };

/** Whether this version of Node has the private members that `PlainRequest` needs. */
export const canReadPlainly = hasMembers(new IncomingMessage(new Socket()), [
  ['_consuming', 'boolean'],
  ['_readableState.endEmitted', 'boolean'],
]);

/** Whether this version of Node has the private members that `writeAnswer` needs. */
export const canWritePlainly = hasMembers(new ServerResponse(new IncomingMessage(new Socket())), [
  ['_header', 'null'],
  ['_keepAliveTimeout', 'number'],
  ['finished', 'boolean'],
]);

function hasMembers(object: object, members: readonly [path: string, type: string][]): boolean {
  return members.every(([path, type]) => {
    const value = path
      .split('.')
      .reduce<unknown>((from, name) => (from as Record<string, unknown> | undefined)?.[name], object);
    return type === 'null' ? value === null : typeof value === type;
  });
}

/**
 * The request class of the public listener (the option `IncomingMessage` of http.createServer). It is a class because
 * V8 would not free requests with an own method before a full garbage collection.
 */
export class PlainRequest extends IncomingMessage {
  /** Results of the code that took the body, for the code that handles the request after it. */
  notes: unknown = undefined;
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
  const inner = request as unknown as InnerRequest;
  // Mark the body as read, so that Node neither waits for it nor discards it.
  inner._consuming = true;
  inner._readableState.endEmitted = true;
  onBody(body ? body.toString('utf8') : '');
}

/**
 * Writes an answer in a single write. A connection that is not in its usual state gets it through
 * Node's public API.
 * @param headers header lines, each ending with CRLF.
 */
export function writeAnswer(response: ServerResponse, status: number, headers: string, body: string): void {
  const { socket } = response;
  const bytes = Buffer.byteLength(body);
  if (!canWritePlainly || !socket?.writable || !response.shouldKeepAlive || response.getHeaderNames().length > 0) {
    response.writeHead(status, rawHeaders(`${headers}Content-Length: ${bytes}\r\n`));
    response.end(body);
    return;
  }
  const inner = response as unknown as InnerResponse;
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headers}Content-Length: ${bytes}\r\nDate: ${date()}\r\n`;
  const timeout = Math.floor(inner._keepAliveTimeout / 1_000);
  inner._header = `${head}Connection: keep-alive\r\nKeep-Alive: timeout=${timeout}\r\n\r\n`;
  inner.finished = true;
  socket.write(inner._header + body, bytes === body.length ? 'latin1' : 'utf8');
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

/** Returns whether a response was started on this connection. Returns false if Node no longer says so. */
export function hasBegunResponse(socket: Duplex): boolean {
  return (socket as Duplex & { _httpMessage?: ServerResponse })._httpMessage?.headersSent ?? false;
}

/**
 * Stops accepting connections. `close` of an HTTP server also closes idle connections at once; that of its base class
 * does not.
 */
export function stopListening(server: Pick<Server, 'close'> & NetServer): void {
  NetServer.prototype.close.call(server);
}
