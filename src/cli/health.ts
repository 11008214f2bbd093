import type { Command } from 'commander';
import { askServer } from './ask-server.ts';
import { readCommandConfig } from './stores.ts';
import { CommandEnd, type OutputOptions, present } from './terminal.ts';

export function addHealthCommand(program: Command): void {
  program
    .command('health')
    .description('request /healthz from the server on this machine; for health checks of containers')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn health

Reads the same variables as \`keyturn start\`. The exit code is 0 if the server responds with 200, otherwise 1.`,
    )
    .action(async (options: OutputOptions) => {
      const config = readCommandConfig();
      const { host, port } = config;
      const { status } = await askServer(config, { host, port, path: '/healthz' }).catch((error: Error) => {
        throw new CommandEnd(1, `The server does not respond: ${error.message}`);
      });
      if (status !== 200) throw new CommandEnd(1, `The server responded with status ${status}.`);
      present(options, { status: 'ok' }, () => 'ok');
    });
}
