import { z } from 'zod';
import { InvalidInput, KeyturnError, NotFound } from '../errors.ts';
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

/** Returns the resource's name for errors, such as `access key` for `/access-keys/{id}`. */
function nameOf({ path }: Endpoint): string {
  return path.split('/')[1]?.replace(/s$/, '').replace('-', ' ') ?? 'thing';
}

const maxDepth = 32;

/** Matches a string, with the colon after it if it is a member's name, or a bracket. */
const token = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}[\]]/g;

/**
 * Parses JSON (RFC 8259) and rejects texts that two parsers could read differently.
 * @throws {KeyturnError} `invalid_json` if the text is not JSON, repeats a member's name in an object, contains
 * `__proto__` as a name, or has more than 32 levels.
 */
export function parseStrictJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid('The body is not valid JSON.');
  }
  // The text is valid JSON from here on, so strings, colons and brackets are enough to find its structure.
  const names: Set<string>[] = [];
  for (const [first, string, colon] of text.matchAll(token)) {
    if (string === undefined) {
      if (first === '{' || first === '[') names.push(new Set());
      else names.pop();
      if (names.length > maxDepth) throw invalid(`The body is nested more than ${maxDepth} levels deep.`);
    } else if (colon !== undefined) {
      const name = JSON.parse(string) as string;
      if (name === '__proto__') throw invalid('The body contains a member named __proto__, which is not allowed.');
      if (names.at(-1)?.has(name)) throw invalid('The body repeats the name of a member in one object.');
      names.at(-1)?.add(name);
    }
  }
  return value;
}

function invalid(message: string): KeyturnError {
  return new KeyturnError('invalid_json', 400, message);
}
