import type { Context, Next } from 'koa';
import { KeyturnError } from '../errors.ts';
import { readBody } from '../http/read-body.ts';
import { headStartOf } from './fast-path/head-start.ts';
import { type Form, parseForm } from './form.ts';

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
  ctx.state['form'] = headStart?.form ?? parseForm(headStart?.body ?? (await readText(ctx)));
  await next();
}

export function formOf(ctx: Context): Form {
  return ctx.state['form'] as Form;
}

async function readText({ req, path }: Context): Promise<string> {
  const body = await readBody(req, {
    mediaType: 'application/x-www-form-urlencoded',
    maxBytes: path === '/oauth2/introspect' ? maxIntrospectionBytes : maxBytes,
    isTypeCheckedIfEmpty: true,
    codes: { 400: 'invalid_request', 413: 'invalid_request', 415: 'invalid_request' },
  });
  return body.toString('utf8');
}
