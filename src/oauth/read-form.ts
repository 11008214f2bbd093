import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import { KeyturnError } from '../errors.ts';
import { hasMediaType } from '../http/media-type.ts';
import { headStartOf } from './fast-path/head-start-of.ts';
import { type Form, parseForm } from './parse-form.ts';

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
    throw new KeyturnError(
      'invalid_request',
      400,
      'Credentials and tokens must be sent in the request body, not in the URL.',
    );
  }
  const headStart = headStartOf(ctx.req);
  const limit = ctx.path === '/oauth2/introspect' ? maxIntrospectionBytes : maxBytes;
  ctx.state['form'] = headStart?.form ?? parseForm(headStart?.body ?? (await readBody(ctx.req, limit)));
  await next();
}

export function formOf(ctx: Context): Form {
  return ctx.state['form'] as Form;
}

async function readBody(request: IncomingMessage, limit: number): Promise<string> {
  const { headers } = request;
  const isEmpty = headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
  if (isEmpty && headers['content-type'] === undefined) return '';
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
    throw new KeyturnError('invalid_request', 415, 'Content-Encoding is not supported. Send the body uncompressed.');
  }
  if (!hasMediaType(headers['content-type'], 'application/x-www-form-urlencoded')) {
    throw new KeyturnError('invalid_request', 415, 'Content-Type must be application/x-www-form-urlencoded.');
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
    throw new KeyturnError('invalid_request', 400, 'The request body was not received completely.', {
      detail: (error as Error).message,
    });
  }
  return Buffer.concat(chunks).toString('utf8');
}

function tooLarge(limit: number): KeyturnError {
  return new KeyturnError('invalid_request', 413, `The body must not exceed ${limit} bytes.`);
}
