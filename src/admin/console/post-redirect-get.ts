import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { readBody } from '../../http/read-body.ts';
import { bodyCodes } from '../respond-with-error.ts';
import { addressOn, siteOf } from './site.ts';

/**
 * Reads the fields of a form of at most 256 KiB.
 * @throws {KeyturnError} 413 if the body is too large, 415 if its media type is not
 * `application/x-www-form-urlencoded`.
 */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const body = await readBody(request, {
    mediaType: 'application/x-www-form-urlencoded',
    maxBytes: 256 * 1024,
    isTypeCheckedIfEmpty: true,
    codes: bodyCodes,
  });
  return new URLSearchParams(body.toString('utf8'));
}

/**
 * Redirects with 303 (RFC 9110 §15.4.4), so that reloading the target page does not repeat the action.
 * @param path the canonical path of a page of the site that serves the request.
 */
export function seeOther(ctx: Context, path: string): void {
  ctx.status = 303;
  ctx.set('Location', addressOn(siteOf(ctx), path));
  ctx.body = '';
}
