import { KeyturnError } from '../errors.ts';

const maxDepth = 32;

/** Matches a string, with the colon after it if it is a member's name, or a bracket. */
const token = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}[\]]/g;

/**
 * Parses JSON (RFC 8259) and rejects texts that two parsers could read differently.
 * @param code the listener's error code.
 * @throws {KeyturnError} with that code if the text is not JSON, repeats a member's name in an object, contains
 * `__proto__` as a name, or has more than 32 levels.
 */
export function parseStrictJson(text: string, code = 'invalid_json'): unknown {
  const invalid = (message: string) => new KeyturnError(code, 400, message);
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
