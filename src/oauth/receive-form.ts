import type { Context, Next } from 'koa';
import { KeyturnError } from '../errors.ts';
import { readBody } from '../http/read-body.ts';
import { isJsonRequest, tokenPath } from '../http/token-path.ts';
import { headStartOf } from './fast-path/head-start.ts';
import { type Form, parseForm, parseJsonForm } from './form.ts';

const maxBytes = 16 * 1024;
/**
 * Limit for introspections. Resource servers forward arbitrary values as tokens; a long one gets "not active" rather
 * than an error.
 */
const maxIntrospectionBytes = 256 * 1024;

/** Parameters that are rejected in a URL, because proxies and browser histories store URLs (RFC 6749 §2.3.1). */
const secretParameters = ['client_secret', 'client_assertion', 'access_key', 'token', 'subject_token', 'actor_token'];

/**
 * Reads a form of limited size, or the same parameters in JSON, into `ctx.state.form`. Whether the client may send JSON
 * is decided when it is known.
 */
export async function readForm(ctx: Context, next: Next): Promise<void> {
  const query = ctx.querystring && new URLSearchParams(ctx.querystring);
  if (query && secretParameters.some((name) => query.has(name))) {
    throw new KeyturnError(
      'invalid_request',
      400,
      'Credentials and tokens must be sent in the request body, not in the URL.',
    );
  }
  ctx.state['form'] = headStartOf(ctx.req)?.form ?? (await read(ctx));
  await next();
}

async function read(ctx: Context): Promise<Form> {
  if (isJsonRequest(ctx.path, ctx.req.headers['content-type'])) {
    return parseJsonForm(await readText(ctx, 'application/json'));
  }
  const body = headStartOf(ctx.req)?.body ?? (await readText(ctx, 'application/x-www-form-urlencoded'));
  return parseForm(body, { isTokenRequest: ctx.path === tokenPath });
}

export function formOf(ctx: Context): Form {
  return ctx.state['form'] as Form;
}

async function readText({ req, path }: Context, mediaType: string): Promise<string> {
  const body = await readBody(req, {
    mediaType,
    maxBytes: path === '/oauth2/introspect' ? maxIntrospectionBytes : maxBytes,
    isTypeCheckedIfEmpty: true,
    codes: { 400: 'invalid_request', 413: 'invalid_request', 415: 'invalid_request' },
  });
  return body.toString('utf8');
}
