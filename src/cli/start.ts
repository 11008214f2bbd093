import type { Command } from 'commander';
import { readCommandConfig } from './stores.ts';

export function addStartCommand(program: Command): void {
  program
    .command('start')
    .description('serve until SIGTERM or SIGINT; then answer what has arrived, and end')
    .option('--json', 'changes nothing: the log is JSON lines anyway')
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
