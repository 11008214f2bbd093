import { z } from 'zod';
import { InvalidInput, NotFound } from '../errors.ts';
import { issueText } from '../text/issue-text.ts';
import { findUnstorableText } from '../text/read-text.ts';
import type { AdminRequest, Endpoint } from './endpoint.ts';

/** The unvalidated parts of a request. A missing part counts as empty. */
export type UncheckedRequest = { params?: object | undefined; query?: object | undefined; body?: unknown };

export type CheckedRequest = Pick<AdminRequest<unknown, unknown, unknown>, 'params' | 'query' | 'body'>;

const nothing = z.strictObject({});
const unstorable = 'must be Unicode text without NUL characters and lone surrogates, nested at most 32 levels deep';

/**
 * Validates every part of a request with the schemas of its endpoint, for the API, the console and the command line.
 * @throws {NotFound} if a path parameter cannot be an id, without a database query.
 * @throws {InvalidInput} with `issues` that name up to 20 wrong or unknown fields, without their values.
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
  if (path) throw refusal([{ path: shownPath(path), message: unstorable }]);
  const result = schema.safeParse(value, { error: issueText });
  if (result.success) return result.data;
  const shown = 20;
  throw refusal(result.error.issues.flatMap((issue) => describeIssues(issue)).slice(0, shown));
}

function refusal(issues: { path: string; message: string }[]): InvalidInput {
  return new InvalidInput(
    issues.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; '),
    issues,
  );
}

/** Returns the fields of an issue, without their values. @param within the path of what was validated. */
export function describeIssues(
  issue: z.core.$ZodIssue,
  within: readonly PropertyKey[] = [],
): { path: string; message: string }[] {
  const path = [...within, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: shownPath([...path, key]), message: 'unknown field' }));
  }
  return [{ path: shownPath(path), message: issue.message }];
}

/** Longest name of a field that errors contain. A secret of Keyturn is longer, and may have been sent as a name. */
const longestName = 48;

function shownPath(path: readonly PropertyKey[]): string {
  return path.map((name) => (String(name).length > longestName ? '…' : String(name))).join('.');
}

/** Returns the resource's name for errors, such as `access key` for `/access-keys/{id}`. */
function nameOf({ path }: Endpoint): string {
  return path.split('/')[1]?.replace(/s$/, '').replace('-', ' ') ?? 'thing';
}
