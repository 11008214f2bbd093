import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { styleText } from 'node:util';
import { InvalidArgumentError } from 'commander';
import { momentProblem, readMoment } from '../text/read-text.ts';

/** The file descriptor of standard output. */
const standardOutput = 1;
const retryMs = 10;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Standard output cannot be written to, because the disk is full or the reader has closed the pipe. */
export class OutputFailed extends Error {
  /** Whether the reader has closed the pipe, as `head` does after its last line. */
  readonly isClosed: boolean;

  constructor(cause: NodeJS.ErrnoException) {
    super(`Standard output cannot be written: ${cause.code ?? cause.message}.`, { cause });
    this.isClosed = cause.code === 'EPIPE';
  }
}

/**
 * Writes a whole text to standard output before it returns, so that a caller knows that it was written.
 * @throws {OutputFailed}
 */
export function writeToStandardOutput(text: string): void {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(standardOutput, bytes, written);
    } catch (error) {
      const failure = error as NodeJS.ErrnoException;
      if (failure.code !== 'EAGAIN') throw new OutputFailed(failure);
      // Another process has made the pipe non-blocking, and its reader is slow.
      Atomics.wait(sleeper, 0, 0, retryMs);
    }
  }
}

/** Options that every command takes. */
export type OutputOptions = { json?: true };

/** 0: success; 1: rejected or failed; 2: invalid command line or configuration; 3: what was asked about exists; 4: a second person has to approve. */
export type ExitCode = 0 | 1 | 2 | 3 | 4;

/** Ends the command with this exit code. Everything but `message` has already been printed. */
export class CommandEnd extends Error {
  readonly exitCode: Exclude<ExitCode, 0>;

  constructor(exitCode: Exclude<ExitCode, 0>, message = '') {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Writes the result that a program reads to standard output. @throws {OutputFailed} */
export function print(text: string): void {
  writeToStandardOutput(`${text}\n`);
}

/** Writes messages beside the result to standard error. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Prints a result as one JSON value for programs, or as text for people. */
export function present(options: OutputOptions, json: unknown, text: () => string): void {
  print(options.json ? toJson(json) : text());
}

/**
 * Prints a result that contains a secret. Without --json, only the secret is on standard output, so that it can be
 * piped, and its description is on standard error. `callAdmin` calls this before it commits, so that no secret is
 * created that was not printed.
 * @throws {CommandEnd} 1 if standard output cannot be written, also if its reader has closed the pipe.
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

/** Colours text only if the stream is a terminal and NO_COLOR is not set. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream });
}

/**
 * Returns a table with columns as wide as their widest cell. On a terminal that is too narrow, columns are shortened,
 * except the first one, which is usually an id.
 */
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

/** Removes empty columns, and shortens times to seconds. */
function condense([heading = [], ...rows]: readonly (readonly string[])[]): string[][] {
  const isSaid = heading.map((_, index) => rows.some((row) => row[index] !== ''));
  return [heading, ...rows].map((row) =>
    row.filter((_, index) => isSaid[index]).map((cell) => cell.replace(/^(\d{4}-\d\d-\d\dT[\d:]{8})\.\d+Z$/, '$1Z')),
  );
}

/** Narrows the widest column repeatedly until the table fits. */
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

/** Returns names and values, one pair per line. */
export function sheet(entries: Readonly<Record<string, string>>): string {
  const width = Math.max(...Object.keys(entries).map((name) => name.length));
  return Object.entries(entries)
    .map(([name, value]) => `${name.padEnd(width)}  ${plain(value)}`)
    .join('\n');
}

/** Replaces control characters, so that stored text cannot move the cursor or change colours of the terminal. */
export function plain(text: string): string {
  return text.replace(/\p{Cc}|\p{Bidi_Control}/gu, '�');
}

/**
 * Asks for confirmation on a terminal. Without a terminal, `--yes` is required.
 * @throws {CommandEnd} 1 if the answer is no, 2 if there is no terminal to ask on.
 */
export async function confirm(question: string, options: { yes?: true }): Promise<void> {
  if (options.yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CommandEnd(2, `${question}\nerror: There is no terminal to ask on. Confirm with --yes.`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `).catch(() => '');
    if (!/^y(es)?$/i.test(answer.trim())) throw new CommandEnd(1, 'Nothing was changed.');
  } finally {
    terminal.close();
  }
}

/** Parses an option that may be repeated, or given once with commas or spaces between its values. */
export function collect(value: string, earlier: readonly string[] = []): string[] {
  const values = value.split(/[\s,]+/).filter(Boolean);
  if (values.length === 0) throw new InvalidArgumentError('It contains no value.');
  return [...earlier, ...values];
}

/** Parses an option with a date or a time. A date means the start of that day in UTC. */
export function time(value: string): Date {
  const at = readMoment(/^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T00:00:00Z` : value);
  if (at) return at;
  throw new InvalidArgumentError(`It ${momentProblem}, or a date such as 2027-01-31.`);
}

/** Parses an option with a whole number. */
export function wholeNumber(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(value);
}

const seconds = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** Parses an option with a length of time, in seconds. */
export function duration(value: string): number {
  const [, count = '', unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(value) ?? [];
  if (!count) throw new InvalidArgumentError('It must be a time such as 90s, 45m, 24h or 30d.');
  return Number(count) * seconds[unit as keyof typeof seconds];
}

/**
 * Shows a progress bar on standard error, only if it is a terminal, so that files and pipes receive only the result.
 * @param form of the line after `label`. Use `{value}` alone if the total is not known.
 */
export async function startProgress(
  label: string,
  form = '[{bar}] {value}/{total}',
): Promise<{ show(done: number, total?: number): void; end(): void }> {
  const { default: progress } = await import('cli-progress');
  const bar = new progress.SingleBar(
    { format: `${label} ${form}`, stream: process.stderr, clearOnComplete: true, hideCursor: true },
    progress.Presets.rect,
  );
  let isStarted = false;
  return {
    show: (done, total = done) => {
      if (!process.stderr.isTTY) return;
      if (!isStarted) bar.start(total, 0);
      isStarted = true;
      bar.setTotal(Math.max(total, done));
      bar.update(done);
      // The bar is drawn by a timer, which does not run during synchronous work, so draw it here too.
      bar.render();
    },
    end: () => bar.stop(),
  };
}
