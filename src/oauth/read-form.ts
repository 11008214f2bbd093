import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import { KeyturnError } from '../errors.ts';

/** The parameters of a request, each at most once and never empty; `resource` alone may come several times (RFC 8707 §2). */
export type Form = { readonly values: ReadonlyMap<string, string>; readonly resources: readonly string[] };

const maxBytes = 16 * 1024;

/** What must not stand in a URL, where proxies and histories keep it (RFC 6749 §2.3.1). */
const secretParameters = ['client_secret', 'client_assertion', 'access_key', 'token'];

/** Reads `application/x-www-form-urlencoded` once, in bounds, into `ctx.state.form`. */
export async function readForm(ctx: Context, next: Next): Promise<void> {
  if (secretParameters.some((name) => new URLSearchParams(ctx.querystring).has(name))) {
    throw new KeyturnError('invalid_request', 400, 'Credentials and tokens belong into the body, never into the URL.');
  }
  ctx.state['form'] = parseForm(await readBody(ctx.req));
  await next();
}

export function formOf(ctx: Context): Form {
  return ctx.state['form'] as Form;
}

function parseForm(body: string): Form {
  const values = new Map<string, string>();
  const resources: string[] = [];
  const seen = new Set<string>();
  for (const [name, value] of new URLSearchParams(body)) {
    if (name === 'resource') {
      if (value) resources.push(value);
      continue;
    }
    // RFC 6749 §3.2: parameters must not be included more than once; one without a value counts as omitted.
    if (seen.has(name)) throw new KeyturnError('invalid_request', 400, 'A parameter must not be repeated.');
    seen.add(name);
    if (value) values.set(name, value);
  }
  return { values, resources };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const { headers } = request;
  const isEmpty = headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
  if (isEmpty && headers['content-type'] === undefined) return '';
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
    throw new KeyturnError('invalid_request', 415, 'A content encoding is not supported.');
  }
  if (!/^application\/x-www-form-urlencoded *(;|$)/i.test(headers['content-type'] ?? '')) {
    throw new KeyturnError('invalid_request', 415, 'The body must be application/x-www-form-urlencoded.');
  }
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function tooLarge(): KeyturnError {
  return new KeyturnError('invalid_request', 413, `The body must not exceed ${maxBytes} bytes.`);
}
