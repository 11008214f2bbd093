import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { z } from 'zod';
import { InvalidInput, KeyturnError } from '../errors.ts';
import { readBody } from '../http/read-body.ts';
import { parseStrictJson } from '../http/strict-json.ts';
import { type CheckedRequest, checkRequest } from './check-request.ts';
import type { Endpoint } from './endpoint.ts';
import { type Answer, type IdempotentRequest, readIdempotencyKey } from './idempotency.ts';
import { checkAccess, type Operator, operatorOf } from './operator-auth.ts';
import { bodyCodes } from './respond-with-error.ts';

/** Method and path of an endpoint, such as `PATCH /clients/{client_id}`. */
export type Route = `${'GET' | 'POST' | 'PATCH' | 'DELETE'} /${string}`;

/** A request that is made inside this process. Members that are undefined count as not given. */
export type InsideRequest = {
  params?: Record<string, unknown> | undefined;
  query?: Record<string, unknown> | undefined;
  body?: Record<string, unknown> | undefined;
};

/** A response body as JSON, and the revision from its ETag; the revision is empty without an ETag. */
export type Called<Body> = { body: Body; revision: string };

/**
 * Finds the endpoint of a route, for calls of the console and the command line.
 * @throws {Forbidden} as `checkAccess`.
 */
export function findEndpoint(endpoints: readonly Endpoint[], route: Route, operator: Operator): Endpoint {
  const found = endpoints.find(({ method, path }) => route === `${method.toUpperCase()} ${path}`);
  if (!found) throw new Error(`no such route: ${route}`);
  checkAccess(operator, found);
  return found;
}

/**
 * Validates a request that the console or the command line makes inside this process.
 * @throws {NotFound | InvalidInput} as `checkRequest`.
 */
export function checkInsideRequest(endpoint: Endpoint, { params, query, body }: InsideRequest): CheckedRequest {
  return checkRequest(endpoint, { params, query: withoutUndefined(query), body: withoutUndefined(body) });
}

/** Returns the members that are defined. */
export function withoutUndefined(members: Record<string, unknown> = {}): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, member]) => member !== undefined));
}

/**
 * Calls an endpoint inside this process.
 * @param endpoint as `findEndpoint` returned it for this operator.
 * @param checked as `checkInsideRequest` returned it.
 * @param options.revision the expected revision, as in If-Match. Only conditional endpoints check it.
 * @throws what the endpoint throws.
 */
export async function callEndpoint<Body>(
  endpoint: Endpoint,
  operator: Operator,
  checked: CheckedRequest,
  {
    revision,
    idempotent,
    approval,
  }: { revision?: string | undefined; idempotent?: IdempotentRequest | undefined; approval?: string | undefined } = {},
): Promise<Called<Body>> {
  const answer = await endpoint.handle({
    operator,
    ...checked,
    expectedRevisions: endpoint.conditional && revision ? [Number(revision)] : undefined,
    idempotent: endpoint.idempotent ? idempotent : undefined,
    approval,
  });
  return {
    body: JSON.parse(JSON.stringify(answer.body ?? null)) as Body,
    revision: /\d+/.exec(answer.headers?.['ETag'] ?? '')?.[0] ?? '',
  };
}

/** Serves an endpoint over HTTP: validates the request, calls the handler and sends the response. */
export function serveEndpoint(endpoint: Endpoint) {
  return async (ctx: Context): Promise<void> => {
    const text = endpoint.method === 'get' ? '' : await readText(ctx.req, endpoint.maxBodyBytes);
    const checked = checkRequest(endpoint, {
      params: { ...ctx['params'] },
      query: { ...ctx.query },
      body: text === '' ? {} : parseStrictJson(text),
    });
    const operator = operatorOf(ctx);
    const answer = await endpoint.handle({
      operator,
      ...checked,
      expectedRevisions: endpoint.conditional ? readIfMatch(ctx.headers['if-match']) : undefined,
      idempotent: endpoint.idempotent ? readIdempotentRequest(ctx, operator, text) : undefined,
      approval: endpoint.approval ? readApproval(ctx.headers['keyturn-approval']) : undefined,
    });
    present(ctx, answer);
  };
}

/** Reads a JSON body. @throws {KeyturnError} also if it is not UTF-8. */
async function readText(request: IncomingMessage, maxBytes = 64 * 1024): Promise<string> {
  const bytes = await readBody(request, {
    mediaType: 'application/json',
    maxBytes,
    isTypeCheckedIfEmpty: false,
    codes: bodyCodes,
  });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new KeyturnError('invalid_json', 400, 'The body is not valid UTF-8.');
  }
}

function present(ctx: Context, answer: Answer): void {
  ctx.status = answer.status;
  for (const [name, value] of Object.entries(answer.headers ?? {})) ctx.set(name, value);
  if (answer.body !== undefined) ctx.body = answer.body;
}

/** @throws {InvalidInput} if the header is not an id. */
function readApproval(header: string | string[] | undefined): string | undefined {
  const { success, data } = z.uuid().optional().safeParse(header);
  if (!success) throw new InvalidInput('Keyturn-Approval: must be the ID of an approved request.');
  return data;
}

function readIdempotentRequest(ctx: Context, operator: Operator, body: string) {
  const key = readIdempotencyKey(ctx.req);
  const request = createHash('sha256')
    .update(JSON.stringify([ctx.method, ctx.path, body]))
    .digest();
  return key === undefined ? undefined : { operator: operator.id, key, request, viewer: operator };
}

/** Matches a list of entity tags (RFC 9110 §8.8.3 and §5.6.1), including empty members. */
const listPattern = /^[\t ,]*(?:(?:W\/)?"[^"]*"[\t ]*(?:,[\t ,]*|$))+$/;

/**
 * Returns the revisions that a change may apply to, from the If-Match header (RFC 9110 §13.1.1).
 * @returns undefined if any revision is accepted. Weak tags, tags in a form that this server never sends, and an empty
 * header match no revision.
 */
function readIfMatch(header: string | undefined): readonly number[] | undefined {
  const value = header?.trim();
  if (value === undefined || value === '*') return undefined;
  if (!listPattern.test(value)) return [];
  return [...value.matchAll(/(W\/)?"([^"]*)"/g)].flatMap(([, weak, tag = '']) =>
    weak === undefined && /^\d{1,9}$/.test(tag) ? [Number(tag)] : [],
  );
}
