import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { leakPattern } from '../leaks/leak-pattern.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { withStores } from './stores.ts';
import { CommandEnd, confirm, type OutputOptions, present, table } from './terminal.ts';

/** The members of the admin API's leak that people are shown. */
type ShownLeak = Json & {
  value_index: number;
  kind: string;
  hint: string;
  status: string;
  owner: { type: string; id: string; name: string } | null;
  disabled: boolean;
};

/** As many values as one request takes. */
const valuesPerCall = 1_000;

export function addLeakCommands(program: Command): void {
  program
    .command('leaks')
    .description('our secrets, keys and tokens in texts where they do not belong')
    .command('check')
    .description(
      'find them in a file, and tell whose they are and which are live; the values themselves are not printed',
    )
    .argument('<file>', 'a text of any length; - for standard input')
    .option('--disable', 'end what is live, at once')
    .option('-y, --yes', 'do not ask')
    .option('--json', 'one JSON object, with data')
    .addHelpText(
      'after',
      `
Examples:
  keyturn leaks check build.log
  git log -p --all | keyturn leaks check -
  keyturn leaks check paste.txt --disable --yes

Exits with 1 when something live was found and not ended.`,
    )
    .action(async (file: string, options: OutputOptions & { disable?: true; yes?: true }) => {
      if (options.disable) await confirm('End every live one that is found?', options);
      const lines = await readValues(file);
      const values = [...lines.keys()];
      const leaks = await withStores(async (core) => {
        const found: (ShownLeak & { line: number })[] = [];
        for (let start = 0; start < values.length; start += valuesPerCall) {
          const body = { values: values.slice(start, start + valuesPerCall), disable: options.disable };
          const { data } = await callAdmin<{ data: ShownLeak[] }>(core, 'POST /leaks', { body });
          found.push(...data.map((leak) => ({ ...leak, line: lines.get(body.values[leak.value_index] ?? '') ?? 0 })));
        }
        return found.map(({ value_index: _index, ...leak }) => leak);
      });
      present(options, { data: leaks }, () =>
        leaks.length === 0
          ? 'None was found.'
          : table(
              ['line', 'kind', 'value', 'status', 'owner'],
              leaks.map(({ line, kind, hint, status, owner, disabled }) => [
                String(line),
                kind,
                hint,
                disabled ? 'live, ended now' : status,
                owner ? `${owner.type} ${owner.id} ${owner.name}` : '',
              ]),
            ),
      );
      const left = leaks.filter(({ status, disabled }) => status === 'live' && !disabled).length;
      if (left > 0) throw new CommandEnd(1, `error: ${left} live.`);
    });
}

/** What has the form of one of ours, and the first line that it stands in. */
async function readValues(file: string): Promise<Map<string, number>> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  const failed = new Promise<never>((_, reject) => {
    input.once('error', (error: Error) => reject(new CommandEnd(2, `error: ${error.message}`)));
  });
  return await Promise.race([failed, collectValues(input)]);
}

async function collectValues(input: NodeJS.ReadableStream): Promise<Map<string, number>> {
  const values = new Map<string, number>();
  let line = 0;
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    line += 1;
    for (const [value] of text.matchAll(leakPattern)) if (!values.has(value)) values.set(value, line);
  }
  return values;
}
