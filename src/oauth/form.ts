import { KeyturnError } from '../errors.ts';

/** The parameters of a request, each at most once and not empty. Only `resource` may be repeated (RFC 8707 §2). */
export type Form = { readonly values: ReadonlyMap<string, string>; readonly resources: readonly string[] };

/** @throws {KeyturnError} `invalid_request` if a parameter is repeated. */
export function parseForm(body: string): Form {
  const reading: Reading = { values: new Map(), resources: [], empty: undefined };
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

type Reading = { values: Map<string, string>; resources: string[]; empty: Set<string> | undefined };

function add(reading: Reading, name: string, value: string): void {
  const { values, resources } = reading;
  if (name === 'resource') {
    if (value) resources.push(value);
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
