import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { CommandEnd, confirm, type OutputOptions, present, say, table } from './terminal.ts';

/** Members of the admin API's leak that are displayed. */
type ShownLeak = Json & {
  value_index: number;
  kind: string;
  hint: string;
  status: string;
  owner: { type: string; id: string; name: string } | null;
  disabled: boolean;
};

/** Leaked credential with the line that contains it. */
type Leak = { line: number } & Pick<ShownLeak, 'kind' | 'hint' | 'status' | 'owner' | 'disabled'>;
type FoundLeak = { at: Line; leak: Leak };

const linesPerCall = 500;
const pieceLength = 50_000;
/** Characters that neighbouring pieces share, so that they fit the longest credential, which is a JWT. */
const overlap = 9_000;

export function addLeakCommands(leaks: Command): void {
  leaks
    .command('check')
    .description(
      'find credentials of this server in a file; prints their owners and whether they are live, never the values',
    )
    .argument('<file>', 'a text file of any length; - for standard input')
    .option('--disable', 'end every live credential that is found, at once')
    .option('-y, --yes', 'do not ask for confirmation')
    .option('--json', 'print one JSON object with data')
    .addHelpText(
      'after',
      `
Examples:
  keyturn leaks check build.log
  git log -p --all | keyturn leaks check -
  keyturn leaks check paste.txt --disable --yes

The exit code is 1 if a live credential was found and not ended.`,
    )
    .action(async (file: string, options: OutputOptions & { disable?: true; yes?: true }) => {
      const leaks = await withAdmin(async (admin) => {
        const search = async (batches: AsyncIterable<Line[]> | Iterable<Line[]>, disable: true | undefined) => {
          const found = new Map<string, FoundLeak>();
          for await (const batch of batches) {
            const body = { values: batch.map(({ text }) => text), disable };
            const { data } = await callAdmin<{ data: ShownLeak[] }>(admin, 'POST /leaks', { body });
            for (const { value_index: index, kind, hint, status, owner, disabled } of data) {
              // A value that appears in several lines is reported once, with its first line.
              const value = `${kind} ${hint} ${owner?.id}`;
              const at = batch[index];
              if (!at || found.has(value)) continue;
              found.set(value, { at, leak: { line: at.line, kind, hint, status, owner, disabled } });
            }
          }
          return found;
        };
        const found = await search(readLines(file), options.yes && options.disable);
        const live = [...found.values()].filter(({ leak }) => leak.status === 'live' && !leak.disabled);
        if (!options.disable || live.length === 0) return leaksIn(found);
        say(tableOf(leaksIn(found)));
        const these = live.length === 1 ? 'this live credential' : `these ${live.length} live credentials`;
        await confirm(`End ${these}? Programs that use one stop working at once.`, options);
        const ended = await search(inBatches(live.map(({ at }) => at)), true);
        return leaksIn(new Map([...found, ...ended]));
      }, true);
      present(options, { data: leaks }, () => (leaks.length === 0 ? 'No credential was found.' : tableOf(leaks)));
      const left = leaks.filter(({ status, disabled }) => status === 'live' && !disabled).length;
      if (left > 0) throw new CommandEnd(1, `error: Found ${left} live ${left === 1 ? 'credential' : 'credentials'}.`);
    });
}

function leaksIn(found: ReadonlyMap<string, FoundLeak>): Leak[] {
  return [...found.values()].map(({ leak }) => leak);
}

function tableOf(leaks: readonly Leak[]): string {
  return table(
    ['line', 'kind', 'value', 'status', 'owner'],
    leaks.map(({ line, kind, hint, status, owner, disabled }) => [
      String(line),
      kind,
      hint,
      disabled ? 'was live, now ended' : status,
      owner ? `${owner.type} ${owner.id} ${owner.name}` : '',
    ]),
  );
}

type Line = { text: string; line: number };

function* inBatches(lines: readonly Line[]): Generator<Line[]> {
  for (let start = 0; start < lines.length; start += linesPerCall) yield lines.slice(start, start + linesPerCall);
}

/** Reads a file in batches of lines that could contain a credential. @throws {CommandEnd} 2 if it cannot be read. */
async function* readLines(file: string): AsyncGenerator<Line[]> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  const failed = new Promise<never>((_, reject) => {
    // The message of the error has the name of the file, in whose place people also write the leaked value.
    input.once('error', ({ code }: NodeJS.ErrnoException) => {
      reject(
        new CommandEnd(
          2,
          `error: The file cannot be read: ${code}. Values are read from a file, or with - from standard input.`,
        ),
      );
    });
  });
  failed.catch(() => undefined);
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  const batch: Line[] = [];
  let line = 0;
  for (;;) {
    const next = await Promise.race([failed, lines.next()]);
    if (next.done) break;
    line += 1;
    if (/\S{16}/.test(next.value)) for (const text of piecesOf(next.value)) batch.push({ text, line });
    if (batch.length < linesPerCall) continue;
    yield batch.splice(0, linesPerCall);
  }
  while (batch.length > 0) yield batch.splice(0, linesPerCall);
}

/** Splits a long line into overlapping pieces, so that a value at a boundary is whole in one of them. */
function piecesOf(line: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start === 0 || start + overlap < line.length; start += pieceLength - overlap) {
    pieces.push(line.slice(start, start + pieceLength));
  }
  return pieces;
}
