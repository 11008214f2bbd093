/** A JSON text cannot be read. The message never contains a part of the text. */
export class UnreadableJson extends Error {
  /** Offset of the error, or undefined if the text ends too early. */
  readonly at: number | undefined;

  constructor(at: number | undefined) {
    super('the JSON cannot be read');
    this.at = at;
  }
}

/** A value in a JSON text, from its first character to the one after its last. */
export type Span = { start: number; end: number };

/**
 * Finds the values in a JSON text without parsing it as a whole, so that a file with 100,000 clients needs memory for
 * one client at a time. Parses with `JSON.parse` what the caller asks for.
 */
export function createJsonScanner(text: string) {
  /** Returns the offset of the next character that is not white space. */
  function skipSpace(from: number): number {
    let at = from;
    for (let code = text.charCodeAt(at); code === 32 || code === 10 || code === 13 || code === 9; ) {
      at += 1;
      code = text.charCodeAt(at);
    }
    return at;
  }

  /** Returns the offset after the string that begins at `start`. */
  function endOfString(start: number): number {
    for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
      let slashes = 0;
      while (text[at - 1 - slashes] === '\\') slashes += 1;
      if (slashes % 2 === 0) return at + 1;
    }
    throw new UnreadableJson(undefined);
  }

  /** Returns the offset after the value that begins at `start`. Checks only that its brackets match in number. */
  function endOf(start: number): number {
    let depth = 0;
    for (let at = start; at < text.length; ) {
      const character = text[at];
      if (character === '"') at = endOfString(at);
      else if (character === '[' || character === '{') {
        depth += 1;
        at += 1;
      } else if (character === ']' || character === '}') {
        if (depth === 0) return at;
        depth -= 1;
        at += 1;
      } else if (depth === 0 && (character === ',' || /\s/.test(character ?? ''))) return at;
      else {
        at += 1;
        continue;
      }
      if (depth === 0) return at;
    }
    if (depth > 0) throw new UnreadableJson(undefined);
    return text.length;
  }

  /** Yields the items of the array or object that begins at `start`, with the offsets at which each begins. */
  function* items(start: number, close: string): Generator<number, void, number> {
    let at = skipSpace(start + 1);
    if (text[at] === close) return;
    for (;;) {
      if (at >= text.length) throw new UnreadableJson(undefined);
      at = skipSpace(yield at);
      if (text[at] === close) return;
      if (text[at] !== ',') throw new UnreadableJson(at < text.length ? at : undefined);
      at = skipSpace(at + 1);
    }
  }

  /** Yields the elements of the array that begins at `start`. */
  function* elements(start: number): Generator<Span> {
    const each = items(start, ']');
    for (let next = each.next(); !next.done; ) {
      const end = endOf(next.value);
      if (end === next.value) throw new UnreadableJson(end);
      yield { start: next.value, end };
      next = each.next(end);
    }
  }

  /** Yields the members of the object that begins at `start`. */
  function* members(start: number): Generator<Span & { name: string }> {
    const each = items(start, '}');
    for (let next = each.next(); !next.done; ) {
      if (text[next.value] !== '"') throw new UnreadableJson(next.value);
      const nameEnd = endOfString(next.value);
      const colon = skipSpace(nameEnd);
      if (text[colon] !== ':') throw new UnreadableJson(colon < text.length ? colon : undefined);
      const valueStart = skipSpace(colon + 1);
      const end = endOf(valueStart);
      if (end === valueStart) throw new UnreadableJson(end < text.length ? end : undefined);
      yield { name: parse({ start: next.value, end: nameEnd }) as string, start: valueStart, end };
      next = each.next(end);
    }
  }

  /** @throws {UnreadableJson} */
  function parse({ start, end }: Span): unknown {
    try {
      return JSON.parse(text.slice(start, end));
    } catch (error) {
      // The parser's own message is not shown, because it may contain a part of the text.
      const position = /at position (\d+)/.exec((error as Error).message)?.[1];
      throw new UnreadableJson(position === undefined ? undefined : start + Number(position));
    }
  }

  /** Yields the values that stand in the text one after the other, such as one JSON value per line. */
  function* values(): Generator<Span> {
    for (let start = skipSpace(0); start < text.length; ) {
      const end = endOf(start);
      if (end === start) throw new UnreadableJson(start);
      yield { start, end };
      start = skipSpace(end);
    }
  }

  return { elements, members, values, parse, endOf };
}

export type JsonScanner = ReturnType<typeof createJsonScanner>;
