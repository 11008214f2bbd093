import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import { KeyturnError } from '../errors.ts';
import { hasMediaType } from '../http/media-type.ts';
import { headStartOf } from './fast-path/head-start.ts';

/** The parameters of a request, each at most once and not empty. Only `resource` may be repeated (RFC 8707 §2). */
export type Form = { readonly values: ReadonlyMap<string, string>; readonly resources: readonly string[] };

const maxBytes = 16 * 1024;
/**
 * Limit for introspections. Resource servers forward arbitrary values as tokens; a long one gets "not active" rather
 * than an error.
 */
const maxIntrospectionBytes = 256 * 1024;

/** Parameters that are rejected in a URL, because proxies and browser histories store URLs (RFC 6749 §2.3.1). */
const secretParameters = ['client_secret', 'client_assertion', 'access_key', 'token'];

/** Reads `application/x-www-form-urlencoded` of limited size into `ctx.state.form`. */
export async function readForm(ctx: Context, next: Next): Promise<void> {
  const query = ctx.querystring && new URLSearchParams(ctx.querystring);
  if (query && secretParameters.some((name) => query.has(name))) {
    throw new KeyturnError('invalid_request', 400, 'Credentials and tokens belong into the body, never into the URL.');
  }
  const headStart = headStartOf(ctx.req);
  const limit = ctx.path === '/oauth2/introspect' ? maxIntrospectionBytes : maxBytes;
  ctx.state['form'] = headStart?.form ?? parseForm(headStart?.body ?? (await readBody(ctx.req, limit)));
  await next();
}

export function formOf(ctx: Context): Form {
  return ctx.state['form'] as Form;
}

/** @throws {KeyturnError} `invalid_request` if a parameter is repeated. */
export function parseForm(body: string): Form {
  const reading: Reading = { values: new Map(), resources: [], empty: undefined };
  if (body.includes('%') || body.includes('+') || body.startsWith('?')) {
    for (const [name, value] of new URLSearchParams(body)) add(reading, name, value);
    return reading;
  }
  // Split bodies without encoded characters, the most common ones, as URLSearchParams would.
  for (let start = 0, end = 0; start < body.length; start = end + 1) {
    end = body.indexOf('&', start);
    if (end === -1) end = body.length;
    const equals = body.indexOf('=', start);
    if (equals !== -1 && equals < end) add(reading, body.slice(start, equals), body.slice(equals + 1, end));
    else if (end > start) add(reading, body.slice(start, end), '');
  }
  return reading;
}

type Reading = { values: Map<string, string>; resources: string[]; empty: Set<string> | undefined };

function add(reading: Reading, name: string, value: string): void {
  const { values, resources } = reading;
  if (name === 'resource') {
    if (value) resources.push(value);
    return;
  }
  // RFC 6749 §3.2: reject repeated parameters, and ignore those without a value.
  if (values.has(name) || reading.empty?.has(name)) {
    throw new KeyturnError('invalid_request', 400, 'A parameter must not be repeated.');
  }
  if (value) {
    values.set(name, value);
    return;
  }
  reading.empty ??= new Set();
  reading.empty.add(name);
}

async function readBody(request: IncomingMessage, limit: number): Promise<string> {
  const { headers } = request;
  const isEmpty = headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
  if (isEmpty && headers['content-type'] === undefined) return '';
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
    throw new KeyturnError('invalid_request', 415, 'A content encoding is not supported.');
  }
  if (!hasMediaType(headers['content-type'], 'application/x-www-form-urlencoded')) {
    throw new KeyturnError('invalid_request', 415, 'The body must be application/x-www-form-urlencoded.');
  }
  if (Number(headers['content-length'] ?? 0) > limit) throw tooLarge(limit);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > limit) throw tooLarge(limit);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof KeyturnError) throw error;
    // Reading fails if the sender disconnected or sent invalid HTTP, which is not a server error.
    throw new KeyturnError('invalid_request', 400, 'The body did not arrive.', { detail: (error as Error).message });
  }
  return Buffer.concat(chunks).toString('utf8');
}

function tooLarge(limit: number): KeyturnError {
  return new KeyturnError('invalid_request', 413, `The body must not exceed ${limit} bytes.`);
}
