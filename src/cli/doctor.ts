import type { Command } from 'commander';
import { type Config, readConfig } from '../config.ts';
import { UsageError } from '../errors.ts';
import type { Check } from './examine-configuration.ts';
import { CommandEnd, type OutputOptions, paint, plain, present } from './terminal.ts';

const colours = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('check configuration, root key and stores, and print how to fix each problem; changes nothing')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn doctor
  keyturn doctor --json | jq '.checks[] | select(.status != "ok")'

The exit code is 1 if a check fails. Warnings do not change it.`,
    )
    .action(async (options: OutputOptions) => {
      const checks = await examine();
      const status =
        (['fail', 'warn'] as const).find((worst) => checks.some((check) => check.status === worst)) ?? 'ok';
      present(options, { status, checks }, () => checks.map(toLines).join('\n'));
      if (status === 'fail') throw new CommandEnd(1);
    });
}

function toLines({ status, name, message, advice }: Check): string {
  const first = `${paint(colours[status], status.padEnd(4))}  ${name.padEnd(13)}  ${plain(message)}`;
  return advice ? `${first}\n${' '.repeat(21)}→ ${plain(advice)}` : first;
}

/** Runs all checks. Changes nothing. */
async function examine(): Promise<Check[]> {
  let config: Config;
  try {
    config = readConfig();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const [heading = '', ...problems] = error.message.split('\n').map((line) => line.replace(/^ *- /, ''));
    return (problems.length > 0 ? problems : [heading]).map((message) => ({
      name: 'configuration',
      status: 'fail',
      message,
    }));
  }
  // Only this command needs the checks, so that the others start faster.
  const { examineSettings } = await import('./examine-configuration.ts');
  const { examineStores } = await import('./examine-stores.ts');
  return [...(await examineSettings(config)), ...(await examineStores(config))];
}
