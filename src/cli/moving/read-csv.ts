import { type CsvError, parse } from 'csv-parse/sync';
import { isWellFormedClientId } from '../../credentials/credential-format.ts';
import { isForeignClientId } from '../../credentials/foreign-credential.ts';
import { CommandEnd } from '../terminal.ts';
import { clientColumns, unescapeField } from './clients-csv.ts';
import { type FileContent, type FoundClient, lettersOf } from './clients-file.ts';

/** Columns that are read without unescaping, because they are compared with the values that clients send. */
const literal = ['client_id', 'client_secret', 'client_secret_hash'];

/**
 * Reads CSV with a heading, separated by commas, semicolons or tabs, one record at a time. A record that cannot be read
 * is refused, and the others are read. Messages name the line and the column, and never contain a field.
 * @throws {CommandEnd} 2 if the heading cannot be read.
 */
export function readCsv(text: string): FileContent {
  const lines = createLineReader(text);
  let first = lines.next(lines.start);
  while (first?.text.trim() === '') first = lines.next(first);
  if (!first) throw unreadable('the file has no lines');
  const { text: start, number } = first;
  const delimiter = [',', ';', '\t'].find((one) => start.includes(one)) ?? ',';
  const heading = parseRecord(start, delimiter);
  if ('problem' in heading) throw unreadable(`line ${number} is not CSV`);
  const names = readHeading(heading.fields);
  const rest = first;
  const surroundings = { grants: new Map() };
  return {
    warnings: [],
    clients: function* (): Generator<FoundClient> {
      for (const { line, record } of readRecords(lines, rest, { delimiter, names })) {
        const place = `line ${line}`;
        if ('problem' in record) yield { place, reasons: [record.problem] };
        else if (record.fields.length === names.length) {
          yield { place, list: '', value: toMembers(names, record.fields), surroundings };
        } else {
          yield {
            place,
            reasons: [`it has ${record.fields.length} fields, but the header row has ${names.length}`],
          };
        }
      }
    },
  };
}

/** The fields of a record, or why it cannot be read. @property isOpen whether a quote opens and is not closed. */
type CsvRecord = { fields: string[] } | { problem: string; isOpen: boolean };

/** Largest number of lines of one record. */
const maxLines = 1_000;

/**
 * Reads the records after the heading. A record whose quote is not closed in its line continues in the next lines until
 * the quote is closed. It is refused if one of those lines is a record of its own, with as many fields as the heading and
 * a Client ID, because the quote is then a mistake. Reading continues at that line; if the quote is never closed, at the
 * line after the one in which it opens.
 */
function* readRecords(
  lines: LineReader,
  heading: TextLine,
  { delimiter, names }: { delimiter: string; names: readonly string[] },
): Generator<{ line: number; record: CsvRecord }> {
  const parse = (given: string) => parseRecord(given, delimiter, names);
  for (let at = lines.next(heading); at; at = lines.next(at)) {
    if (at.text.trim() === '') continue;
    const { number: line } = at;
    let record = parse(at.text);
    if ('problem' in record && record.isOpen) {
      const closed = readOpenRecord(at, lines, parse, names);
      record = closed?.record ?? record;
      at = closed?.last ?? at;
    }
    yield { line, record };
  }
}

/** Reads a record of several lines. Returns undefined if one of them is a record of its own, or if it cannot be read. */
function readOpenRecord(
  first: TextLine,
  lines: LineReader,
  parse: (text: string) => CsvRecord,
  names: readonly string[],
): { record: CsvRecord; last: TextLine } | undefined {
  let isOpen = true;
  for (let at = lines.next(first); at && at.number < first.number + maxLines; at = lines.next(at)) {
    if (isRecord(parse(at.text), names)) return undefined;
    // A doubled quote inside the field is two quotes, so that only an odd number of them can close it.
    if ((at.text.split('"').length - 1) % 2 === 1) isOpen = !isOpen;
    if (isOpen) continue;
    const record = parse(lines.between(first, at));
    return 'problem' in record ? undefined : { record, last: at };
  }
  return undefined;
}

function isRecord(record: CsvRecord, names: readonly string[]): boolean {
  if ('problem' in record || record.fields.length !== names.length) return false;
  const id = record.fields[names.indexOf('client_id')] ?? '';
  return isWellFormedClientId(id) || isForeignClientId(id);
}

/** A line without its end. @property number counts from 1. @property end offset of the next line. */
type TextLine = { text: string; number: number; start: number; end: number };
type LineReader = ReturnType<typeof createLineReader>;

function createLineReader(text: string) {
  const end = text.includes('\n') ? '\n' : '\r';
  return {
    start: { text: '', number: 0, start: 0, end: 0 },
    next({ number, end: start }: TextLine): TextLine | undefined {
      if (start >= text.length) return undefined;
      const at = text.indexOf(end, start);
      const next = at === -1 ? text.length : at + 1;
      return { text: text.slice(start, next).replace(/[\r\n]+$/, ''), number: number + 1, start, end: next };
    },
    between: (first: TextLine, last: TextLine) => text.slice(first.start, last.end),
  };
}

function parseRecord(text: string, delimiter: string, names: readonly string[] = []): CsvRecord {
  if (!text.includes('"')) {
    const fields = text.replace(/^\ufeff/, '').split(delimiter);
    return { fields: fields.map((field) => field.replace(/^[ \t\f]+|[ \t\f]+$/g, '')) };
  }
  try {
    const [fields = []] = parse(text, { bom: true, delimiter, trim: true, relax_column_count: true });
    return { fields };
  } catch (error) {
    const { code, column } = error as CsvError & { column?: unknown };
    const isOpen = code === 'CSV_QUOTE_NOT_CLOSED';
    const name = names[Number(column ?? -1)];
    const isKnown = (clientColumns as readonly (string | undefined)[]).includes(name);
    const problem = isOpen
      ? 'a quote opens and is not closed'
      : 'a quote inside a field; enclose the field in quotes, and double each quote in it';
    return { isOpen, problem: `${isKnown ? `column ${name}: ` : ''}${problem}` };
  }
}

/**
 * Reads the heading. Names an unknown column only if the line has client_id, because a line of data may contain a
 * secret.
 */
function readHeading(given: readonly string[]): string[] {
  const names = given.map((name) => columnsByLetters.get(lettersOf(name)) ?? name);
  if (!names.includes('client_id'))
    throw unreadable(
      `the first line must be a header row with client_id; the known columns are ${clientColumns.join(', ')}`,
    );
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) < index) throw unreadable(`the header row contains ${JSON.stringify(name)} twice`);
    if ((clientColumns as readonly string[]).includes(name)) continue;
    throw unreadable(`unknown column ${JSON.stringify(name)}; the known columns are ${clientColumns.join(', ')}`);
  }
  return names;
}

/** Columns by their names without case and punctuation, so that "Client ID" is `client_id`. */
const columnsByLetters = new Map<string, string>(clientColumns.map((name) => [lettersOf(name), name]));

function toMembers(names: readonly string[], record: readonly string[]): Record<string, string> {
  const given = names.map((name, index) => [name, record[index] ?? ''] as const).filter(([, field]) => field !== '');
  return Object.fromEntries(
    given.map(([name, field]) => [name, literal.includes(name) ? field : unescapeField(field)]),
  );
}

function unreadable(problem: string): CommandEnd {
  return new CommandEnd(2, `error: The CSV cannot be read: ${problem}.`);
}
