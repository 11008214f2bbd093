import { createHash } from 'node:crypto';
import type { Context } from 'koa';
import { z } from 'zod';
import { InvalidInput, NotFound } from '../errors.ts';
import type { Answer, Endpoint } from './endpoint.ts';
import { readIdempotencyKey } from './idempotency.ts';
import { operatorOf } from './operator-auth.ts';
import { readBody } from './read-body.ts';
import { parseStrictJson } from './strict-json.ts';

const nothing = z.strictObject({});

/** Checks every part of a request by the endpoint's schemas, lets it handle what is left, and sends its answer. */
export function serveEndpoint(endpoint: Endpoint) {
  return async (ctx: Context): Promise<void> => {
    const params = (endpoint.params ?? nothing).safeParse({ ...ctx['params'] });
    // What cannot be an id is the id of nothing, and no store is asked.
    if (!params.success) throw new NotFound('thing');
    const query = check(endpoint.query ?? nothing, { ...ctx.query });
    const text = endpoint.method === 'get' ? '' : await readBody(ctx.req);
    const body = check(endpoint.body ?? nothing, text === '' ? {} : parseStrictJson(text));
    const operator = operatorOf(ctx);
    const answer = await endpoint.handle({
      operator,
      params: params.data,
      query,
      body,
      expectedRevision: endpoint.conditional ? parseIfMatch(ctx.get('If-Match')) : undefined,
      idempotent: endpoint.idempotent ? readIdempotentRequest(ctx, operator.id, text) : undefined,
    });
    present(ctx, answer);
  };
}

function present(ctx: Context, answer: Answer): void {
  ctx.status = answer.status;
  for (const [name, value] of Object.entries(answer.headers ?? {})) ctx.set(name, value);
  if (answer.body !== undefined) ctx.body = answer.body;
}

/** @throws {InvalidInput} that names every field that is wrong or unknown, and no value. */
function check(schema: z.ZodObject, value: unknown): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const shown = 20;
  const issues = result.error.issues.flatMap(describe).slice(0, shown);
  throw new InvalidInput(
    issues.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; '),
    issues,
  );
}

function describe(issue: z.core.$ZodIssue): { path: string; message: string }[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key].join('.'), message: 'unknown field' }));
  }
  return [{ path: issue.path.join('.'), message: issue.message }];
}

/** RFC 9110 §13.1.1. A form that we never give out, a weak tag or a list matches nothing. */
function parseIfMatch(header: string): number | undefined {
  if (header === '' || header === '*') return undefined;
  const matchesNothing = -1;
  return Number(/^"(\d{1,9})"$/.exec(header)?.[1] ?? matchesNothing);
}

function readIdempotentRequest(ctx: Context, operator: string, body: string) {
  const key = readIdempotencyKey(ctx.req);
  const request = createHash('sha256')
    .update(JSON.stringify([ctx.method, ctx.path, body]))
    .digest();
  return key === undefined ? undefined : { operator, key, request };
}
