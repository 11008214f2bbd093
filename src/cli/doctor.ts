import type { Command } from 'commander';
import type { Check } from './doctor-check.ts';
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
      const { examine } = await import('./doctor-checks.ts');
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
