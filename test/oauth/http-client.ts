import { once } from 'node:events';
import { Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';
import { request as secureRequest } from 'node:https';
import { connect } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

/** A complete response. */
export type Answer = {
  status: number;
  headers: IncomingHttpHeaders;
  /** Header names and values as received, in their order. */
  rawHeaders: string[];
  text: string;
  /** The body as JSON, or an empty object if it is not JSON. */
  json: Record<string, unknown>;
};

export type Sent = {
  method?: string;
  headers?: OutgoingHttpHeaders;
  body?: string | Buffer;
  /** The local address to connect from, for example 127.0.0.2. */
  from?: string;
  agent?: Agent;
  /** Options of an https URL: trusted CAs and the client certificate. */
  tls?: ConnectionOptions;
};

/**
 * Closes each connection after its request unless a test passes its own agent, because an idle connection would delay
 * the server's shutdown.
 */
const oneShot = new Agent({ keepAlive: false });

/** Sends an HTTP request unchanged. Unlike `fetch`, it allows any Host and any body. */
export async function send(
  url: string,
  { method = 'GET', headers, body, from, agent, tls }: Sent = {},
): Promise<Answer> {
  const isSecure = url.startsWith('https:');
  const options = { ...tls, method, headers, localAddress: from, agent: agent ?? (isSecure ? false : oneShot) };
  const outgoing = (isSecure ? secureRequest : request)(url, options as Parameters<typeof request>[1]);
  // Ignore write errors, because a server that rejects a body may close the connection before all of it is sent.
  const answered = new Promise<Answer>((resolve, reject) => {
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const { statusCode: status = 0, headers: received, rawHeaders } = response;
        resolve({ status, headers: received, rawHeaders, text, json: parsed(text) });
      });
    });
  });
  // Node would encode a text body and the headers together, and change the bytes of headers outside ASCII.
  outgoing.end(typeof body === 'string' ? Buffer.from(body) : body);
  return await answered;
}

export type Form = Record<string, string> | URLSearchParams | string;

/** Posts a form as OAuth clients do. `basic` adds HTTP Basic with both parts form-encoded (RFC 6749 §2.3.1). */
export async function post(
  url: string,
  form: Form,
  { basic, headers, ...rest }: Omit<Sent, 'body' | 'method'> & { basic?: readonly [id: string, secret: string] } = {},
): Promise<Answer> {
  return await send(url, {
    ...rest,
    method: 'POST',
    headers: {
      'Content-Type': 'application/x-www-form-urlencoded',
      ...(basic ? { Authorization: basicOf(...basic) } : {}),
      ...headers,
    },
    body: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
  });
}

export function basicOf(id: string, secret: string): string {
  return rawBasic(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`);
}

/** Returns an HTTP Basic header for an unencoded string. */
export function rawBasic(text: string): string {
  return `Basic ${Buffer.from(text, 'utf8').toString('base64')}`;
}

/**
 * Sends bytes unchanged and reads until the server closes the connection, or until it is silent for `silenceMs` after
 * the beginning of an answer. A busy machine may take long to begin one.
 */
export async function sendRaw(
  url: string,
  bytes: string | Buffer,
  { silenceMs = 1_000 }: { silenceMs?: number } = {},
): Promise<{ text: string; closed: boolean }> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  let closed = false;
  socket.on('data', (chunk) => {
    chunks.push(chunk);
    socket.setTimeout(silenceMs);
  });
  socket.on('error', () => undefined);
  socket.setTimeout(30_000, () => socket.destroy());
  socket.once('end', () => {
    closed = true;
  });
  await once(socket, 'connect');
  socket.write(bytes);
  await once(socket, 'close');
  return { text: Buffer.concat(chunks).toString('latin1'), closed };
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
