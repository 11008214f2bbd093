import type { Dialects } from '../configuration/dialects.ts';
import { KeyturnError } from '../errors.ts';
import { parseStrictJson } from '../http/strict-json.ts';

/** The parameters of a request, each at most once and not empty. Only `resource` may be repeated (RFC 8707 §2). */
export type Form = { readonly values: ReadonlyMap<string, string>; readonly resources: readonly string[] };

/** @throws {KeyturnError} `invalid_request` if a parameter is repeated. */
export function parseForm(body: string, dialects: Dialects): Form {
  const reading = startReading(dialects);
  if (body.includes('%') || body.includes('+') || body.startsWith('?')) {
    for (const [name, value] of new URLSearchParams(body)) add(reading, name, value);
    return finish(reading);
  }
  // Split bodies without encoded characters, the most common ones, as URLSearchParams would.
  for (let start = 0, end = 0; start < body.length; start = end + 1) {
    end = body.indexOf('&', start);
    if (end === -1) end = body.length;
    const equals = body.indexOf('=', start);
    if (equals !== -1 && equals < end) add(reading, body.slice(start, equals), body.slice(equals + 1, end));
    else if (end > start) add(reading, body.slice(start, end), '');
  }
  return finish(reading);
}

/**
 * Reads the parameters of a request from a JSON object whose values are strings, by the rules of a form.
 * @throws {KeyturnError} `invalid_request` if the body is anything else, or repeats a member.
 */
export function parseJsonForm(body: string, dialects: Dialects): Form {
  const members = parseStrictJson(body, 'invalid_request');
  const isFlat = typeof members === 'object' && members !== null && !Array.isArray(members);
  const entries = isFlat ? Object.entries(members) : [];
  if (!isFlat || entries.some(([, value]) => typeof value !== 'string')) {
    throw new KeyturnError('invalid_request', 400, 'The body must be a JSON object whose values are strings.');
  }
  const reading = startReading(dialects);
  // A form cannot contain lone surrogates, so no rule expects them.
  for (const [name, value] of entries) add(reading, name, String(value).toWellFormed());
  return finish(reading);
}

/**
 * Returns the resources that a request names: `audience` counts as `resource` if that is on and there is no `resource`.
 */
export function targetsOf(
  resources: readonly string[],
  audiences: readonly string[],
  dialects: Dialects,
): readonly string[] {
  return resources.length === 0 && dialects.has('audience') ? audiences : resources;
}

type Reading = {
  values: Map<string, string>;
  resources: string[];
  /** Only if `audience` is read as `resource`; otherwise it is a parameter like any other. */
  audiences: string[] | undefined;
  empty: Set<string> | undefined;
  dialects: Dialects;
};

function startReading(dialects: Dialects): Reading {
  const audiences = dialects.has('audience') ? [] : undefined;
  return { values: new Map(), resources: [], audiences, empty: undefined, dialects };
}

function finish(reading: Reading): Form {
  const { values, resources, audiences, dialects } = reading;
  return audiences ? { values, resources: targetsOf(resources, audiences, dialects) } : reading;
}

function add(reading: Reading, name: string, value: string): void {
  const { values, resources, audiences } = reading;
  const targets = name === 'resource' ? resources : name === 'audience' ? audiences : undefined;
  if (targets) {
    if (value) targets.push(value);
    return;
  }
  // RFC 6749 §3.2: reject repeated parameters, and ignore those without a value.
  if (values.has(name) || reading.empty?.has(name)) {
    throw new KeyturnError('invalid_request', 400, 'Parameters must not be repeated.');
  }
  if (value) {
    values.set(name, value);
    return;
  }
  reading.empty ??= new Set();
  reading.empty.add(name);
}
