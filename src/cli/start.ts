import type { Command } from 'commander';
import { readCommandConfig } from './stores.ts';

export function addStartCommand(program: Command): void {
  program
    .command('start')
    .description('start the server; SIGTERM or SIGINT drains requests and stops it')
    .option('--json', 'no effect, because the log is always JSON lines')
    .addHelpText(
      'after',
      `
Examples:
  keyturn start
  DATABASE_URL=postgres://… REDIS_URL=redis://… KEYTURN_ROOT_KEY_FILE=/run/secrets/root-key keyturn start`,
    )
    .action(async () => {
      const config = readCommandConfig();
      // Only commands that serve load the server, so that the others start faster.
      const { runServer } = await import('../server.ts');
      await runServer(config);
    });
}
