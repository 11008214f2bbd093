import { createInterface } from 'node:readline/promises';
import { styleText } from 'node:util';
import { InvalidArgumentError } from 'commander';
import { momentProblem, readMoment } from '../text/moment.ts';
import { OutputFailed, writeToStandardOutput } from './standard-output.ts';

/** What every command takes. */
export type OutputOptions = { json?: true };

/** Ends the command with this exit code. What there is to say beyond `message` has been said. */
export class CommandEnd extends Error {
  readonly exitCode: 1 | 2;

  constructor(exitCode: 1 | 2, message = '') {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Writes the result that a program reads to standard output. @throws {OutputFailed} */
export function print(text: string): void {
  writeToStandardOutput(`${text}\n`);
}

/** Writes everything that is said around the result to standard error. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** One JSON value for programs, or text for people. */
export function present(options: OutputOptions, json: unknown, text: () => string): void {
  print(options.json ? toJson(json) : text());
}

/**
 * Prints a result that contains a secret. For people the secret is alone on standard output, so that it can be piped, and its
 * description is on standard error. `callAdmin` calls this before it commits, so that no secret is made that nobody saw.
 * @throws {CommandEnd} 1 if standard output cannot be written, also if its reader has gone.
 */
export function presentSecret(options: OutputOptions, json: unknown, said: string, secret: string): void {
  if (!options.json) say(said);
  try {
    print(options.json ? toJson(json) : secret);
  } catch (error) {
    if (error instanceof OutputFailed) throw new CommandEnd(1, `error: ${error.message}`);
    throw error;
  }
}

export function toJson(value: unknown): string {
  return JSON.stringify(value, undefined, 2);
}

type Style = Parameters<typeof styleText>[0];

/** Colours only where the stream is a terminal, and not with NO_COLOR. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream });
}

/** Columns as wide as their widest cell; on a terminal, as wide as fits: what comes first, mostly an id, is never cut. */
export function table(
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  stream: NodeJS.WriteStream = process.stdout,
): string {
  const all = [columns.map((column) => column.toUpperCase()), ...rows.map((row) => row.map(plain))];
  const isTooWide = stream.isTTY && widthOf(widthsOf(all)) > stream.columns;
  const cells = isTooWide ? condense(all) : all;
  const widths = widthsOf(cells);
  if (isTooWide) shrink(widths, stream.columns);
  const [heading = '', ...lines] = cells.map((row) =>
    row
      .map((cell, index) => cut(cell, widths[index] ?? 0).padEnd(widths[index] ?? 0))
      .join(between)
      .trimEnd(),
  );
  return [paint('bold', heading, stream), ...lines].join('\n');
}

const between = '  ';
const narrowest = 6;

function widthsOf(cells: readonly (readonly string[])[]): number[] {
  return (cells[0] ?? []).map((_, index) => Math.max(...cells.map((row) => row[index]?.length ?? 0)));
}

function widthOf(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, between.length * (widths.length - 1));
}

/** Without columns that say nothing, and times to the second. */
function condense([heading = [], ...rows]: readonly (readonly string[])[]): string[][] {
  const isSaid = heading.map((_, index) => rows.some((row) => row[index] !== ''));
  return [heading, ...rows].map((row) =>
    row.filter((_, index) => isSaid[index]).map((cell) => cell.replace(/^(\d{4}-\d\d-\d\dT[\d:]{8})\.\d+Z$/, '$1Z')),
  );
}

/** Takes from the widest column, again and again, until all fit. */
function shrink(widths: number[], available: number): void {
  while (widthOf(widths) > available) {
    const widest = Math.max(...widths.slice(1));
    if (widest <= narrowest) return;
    widths[widths.indexOf(widest, 1)] = widest - 1;
  }
}

function cut(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text;
}

/** Names and values below each other. */
export function sheet(entries: Readonly<Record<string, string>>): string {
  const width = Math.max(...Object.keys(entries).map((name) => name.length));
  return Object.entries(entries)
    .map(([name, value]) => `${name.padEnd(width)}  ${plain(value)}`)
    .join('\n');
}

/** A stored text must not move the cursor or the colours of whoever reads it. */
export function plain(text: string): string {
  return text.replace(/\p{Cc}|\p{Bidi_Control}/gu, '�');
}

/**
 * Asks before what breaks things, on a terminal; elsewhere only `--yes` will do.
 * @throws {CommandEnd}
 */
export async function confirm(question: string, options: { yes?: true }): Promise<void> {
  if (options.yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CommandEnd(2, `${question}\nThere is no terminal to ask on: say it with --yes.`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `).catch(() => '');
    if (!/^y(es)?$/i.test(answer.trim())) throw new CommandEnd(1, 'Nothing was changed.');
  } finally {
    terminal.close();
  }
}

/** An option that may be repeated, or given once with commas or spaces between its values. */
export function collect(value: string, earlier: readonly string[] = []): string[] {
  const values = value.split(/[\s,]+/).filter(Boolean);
  if (values.length === 0) throw new InvalidArgumentError('It has no value in it.');
  return [...earlier, ...values];
}

/** An option with a date or a time. A date alone is its first moment in UTC. */
export function time(value: string): Date {
  const at = readMoment(/^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T00:00:00Z` : value);
  if (at) return at;
  throw new InvalidArgumentError(`It ${momentProblem}, or a date such as 2027-01-31.`);
}
