import { KeyturnError } from '../errors.ts';

const maxDepth = 32;

/** A whole string, with the colon after it where it is a member's name; or a bracket. */
const token = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}[\]]/g;

/**
 * JSON as RFC 8259 has it, and less: what two parsers could read differently is refused.
 * @throws {KeyturnError} `invalid_json` for a name that comes twice, `__proto__`, or more than 32 levels.
 */
export function parseStrictJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid('The body is not JSON.');
  }
  // From here on the text is known to be JSON, so its tokens alone say what is inside of what.
  const names: Set<string>[] = [];
  for (const [first, string, colon] of text.matchAll(token)) {
    if (string === undefined) {
      if (first === '{' || first === '[') names.push(new Set());
      else names.pop();
      if (names.length > maxDepth) throw invalid(`The body has more than ${maxDepth} levels.`);
    } else if (colon !== undefined) {
      const name = JSON.parse(string) as string;
      if (name === '__proto__') throw invalid('The body has a member named __proto__.');
      if (names.at(-1)?.has(name)) throw invalid('The body has a member twice.');
      names.at(-1)?.add(name);
    }
  }
  return value;
}

function invalid(message: string): KeyturnError {
  return new KeyturnError('invalid_json', 400, message);
}
