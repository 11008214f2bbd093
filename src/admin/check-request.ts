import { z } from 'zod';
import { InvalidInput, NotFound } from '../errors.ts';
import { findUnstorableText } from '../text/find-unstorable-text.ts';
import type { AdminRequest, Endpoint } from './endpoint.ts';

/** The parts of a request as they arrived; a part that is not given is empty. */
export type UncheckedRequest = { params?: object | undefined; query?: object | undefined; body?: unknown };

type CheckedRequest = Pick<AdminRequest<unknown, unknown, unknown>, 'params' | 'query' | 'body'>;

const nothing = z.strictObject({});
const unstorable = 'must be Unicode text without NUL characters and lone surrogates, nested at most 32 levels deep';

/**
 * Checks every part of a request by the schemas of its endpoint. The API, the console and the command line all come through here.
 * @throws {NotFound} if a parameter of the path cannot be an id, so that no store is asked.
 * @throws {InvalidInput} with `issues` that name every wrong or unknown field, and no value.
 */
export function checkRequest(
  endpoint: Endpoint,
  { params = {}, query = {}, body = {} }: UncheckedRequest,
): CheckedRequest {
  const checkedParams = (endpoint.params ?? nothing).safeParse(params);
  if (!checkedParams.success || findUnstorableText(params)) throw new NotFound(nameOf(endpoint));
  return {
    params: checkedParams.data,
    query: checkFields(endpoint.query ?? nothing, query, true),
    body: checkFields(endpoint.body ?? nothing, body, endpoint.storesBody ?? true),
  };
}

function checkFields(schema: z.ZodObject, value: unknown, isStored: boolean): unknown {
  const path = isStored ? findUnstorableText(value) : undefined;
  if (path) throw refusal([{ path: path.join('.'), message: unstorable }]);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const shown = 20;
  throw refusal(result.error.issues.flatMap(describe).slice(0, shown));
}

function refusal(issues: { path: string; message: string }[]): InvalidInput {
  return new InvalidInput(
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

/** For example `access key` for `/access-keys/{id}`. */
function nameOf({ path }: Endpoint): string {
  return path.split('/')[1]?.replace(/s$/, '').replace('-', ' ') ?? 'thing';
}
