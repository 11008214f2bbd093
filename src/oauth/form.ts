import { KeyturnError } from '../errors.ts';
import { parseStrictJson } from '../http/strict-json.ts';
import { repeatedParameter } from '../tokens/grant-rules.ts';

/** The parameters of a request, each at most once and not empty. Only `resource` may be repeated (RFC 8707 §2). */
export type Form = {
  readonly values: ReadonlyMap<string, string>;
  readonly resources: readonly string[];
  /** Every `audience` of a token request, also empty ones, because the client decides whether it may be repeated. */
  readonly audiences: readonly string[];
};

/** @throws {KeyturnError} `invalid_request` if a parameter is repeated. */
export function parseForm(body: string, { isTokenRequest }: { isTokenRequest: boolean }): Form {
  const reading = startReading({ isTokenRequest });
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

/**
 * Reads the parameters of a request from a JSON object whose values are strings, by the rules of a form.
 * @throws {KeyturnError} `invalid_request` if the body is anything else, or repeats a member.
 */
export function parseJsonForm(body: string): Form {
  const members = parseStrictJson(body, 'invalid_request');
  const isFlat = typeof members === 'object' && members !== null && !Array.isArray(members);
  const entries = isFlat ? Object.entries(members) : [];
  if (!isFlat || entries.some(([, value]) => typeof value !== 'string')) {
    throw new KeyturnError('invalid_request', 400, 'The body must be a JSON object whose values are strings.');
  }
  const reading = startReading({ isTokenRequest: true });
  // A form cannot contain lone surrogates, so no rule expects them.
  for (const [name, value] of entries) add(reading, name, String(value).toWellFormed());
  return reading;
}

type Reading = {
  values: Map<string, string>;
  resources: string[];
  audiences: string[];
  isTokenRequest: boolean;
  empty: Set<string> | undefined;
};

function startReading({ isTokenRequest }: { isTokenRequest: boolean }): Reading {
  return { values: new Map(), resources: [], audiences: [], isTokenRequest, empty: undefined };
}

function add(reading: Reading, name: string, value: string): void {
  const { values, resources, audiences } = reading;
  if (name === 'resource') {
    if (value) resources.push(value);
    return;
  }
  if (name === 'audience' && reading.isTokenRequest) {
    audiences.push(value);
    return;
  }
  // RFC 6749 §3.2: reject repeated parameters, and ignore those without a value.
  if (values.has(name) || reading.empty?.has(name)) throw repeatedParameter();
  if (value) {
    values.set(name, value);
    return;
  }
  reading.empty ??= new Set();
  reading.empty.add(name);
}
