import { type CsvError, parse } from 'csv-parse/sync';
import { CommandEnd } from '../terminal.ts';
import { clientColumns, unescapeField } from './clients-csv.ts';
import { type FileContent, type FoundClient, lettersOf } from './clients-file.ts';

/** A line as JSON: its number, and its fields. Objects would take several times the memory of the file. */
type Line = readonly [json: string];

function readLine([json]: Line): { number: number; record: string[] } {
  const [number, ...record] = JSON.parse(json) as [number, ...string[]];
  return { number, record };
}

/** Columns that are read without unescaping, because they are compared with the values that clients send. */
const literal = ['client_id', 'client_secret', 'client_secret_hash'];

/**
 * Reads CSV with a heading, separated by commas, semicolons or tabs. A row that cannot be read is refused, and the
 * others are read. Messages name the line and the column, and never contain a field.
 * @throws {CommandEnd} 2 if the file as a whole cannot be read.
 */
export function readCsv(text: string): FileContent {
  const refused: RefusedLine[] = [];
  const lines = parseLines(
    text,
    (line, problem) => refused.push({ line, reasons: [problem] }),
    () => {
      // After a field such as "a"b, the parser searches for the closing quote until the end of the file, so report the
      // earlier problem.
      const [first] = refused;
      return first && `line ${first.line}: ${first.reasons.join('; ')}`;
    },
  );
  const [heading] = lines;
  const names = readHeading(heading === undefined ? [] : readLine(heading).record);
  const surroundings = { grants: new Map() };
  return {
    warnings: [],
    clients: function* (): Generator<FoundClient> {
      for (const { line, reasons } of refused) yield { place: `line ${line}`, reasons };
      for (let index = 1; index < lines.length; index++) {
        const { number, record } = readLine(lines[index] as Line);
        const place = `line ${number}`;
        if (record.length === names.length) yield { place, list: '', value: toMembers(names, record), surroundings };
        else
          yield {
            place,
            reasons: [`it has ${record.length} fields, but the header row has ${names.length}`],
          };
      }
    },
  };
}

type RefusedLine = { line: number; reasons: string[] };

function parseLines(
  text: string,
  onRefused: (line: number, problem: string) => void,
  earlierProblem: () => string | undefined,
): Line[] {
  const [first = ''] = text.split(/\r?\n/, 1);
  const delimiter = [',', ';', '\t'].find((one) => first.includes(one)) ?? ',';
  let lastLine = 0;
  const refuse = (error: CsvError | undefined) => {
    const unclosed = error?.code === 'CSV_QUOTE_NOT_CLOSED';
    const line = Number(error?.['lines'] ?? 0);
    // The parser reports the last line of the file as the one in which the quote opens.
    if (unclosed) throw unreadable(earlierProblem() ?? `a quote that opens after line ${lastLine} is never closed`);
    onRefused(line, problemOf(first.split(delimiter), error));
    return undefined;
  };
  try {
    const read: unknown = parse(text, {
      bom: true,
      delimiter,
      skip_empty_lines: true,
      trim: true,
      relax_column_count: true,
      skip_records_with_error: true,
      on_skip: refuse,
      on_record: (record: string[], { lines }) => {
        lastLine = lines;
        return [JSON.stringify([lines, ...record])];
      },
    });
    return read as Line[];
  } catch (error) {
    if (error instanceof CommandEnd) throw error;
    throw unreadable(`line ${Number((error as CsvError)['lines'] ?? 1)} is not CSV`);
  }
}

function problemOf(names: readonly string[], error: CsvError | undefined): string {
  const name = names[Number(error?.['column'] ?? -1)]?.trim();
  const column = (clientColumns as readonly (string | undefined)[]).includes(name) ? `column ${name}: ` : '';
  return `${column}a quote inside a field; enclose the field in quotes, and double each quote in it`;
}

/**
 * Reads the heading. Names an unknown column only if the line has client_id, because a line of data may contain a
 * secret.
 */
function readHeading(given: readonly string[]): string[] {
  if (given.length === 0) throw unreadable('the file has no lines');
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
