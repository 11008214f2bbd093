import type { Command } from 'commander';
import { callAdmin, type Page } from './call-admin.ts';
import { commandActor, withDatabase } from './stores.ts';
import { confirm, type OutputOptions, present, sheet } from './terminal.ts';

type Options = OutputOptions & { yes?: true };

export function addAfterRestoreCommand(program: Command): void {
  program
    .command('after-restore')
    .description('once, after the database came back from a backup and before a server starts: end every access token')
    .option('--yes', 'without asking')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
What was revoked after the backup was made is not known any more, so no token of before is taken: programs ask for new ones, with
the credentials that they have. What else was done since then is to be done again; the last event that the backup knows is told.

Examples:
  ./deploy/backup/restore.sh keyturn.dump && keyturn migrate && keyturn after-restore --yes`,
    )
    .action(async (options: Options) => {
      const ended = await withDatabase(async (core) => {
        const { endEveryToken } = await import('../tokens/revocation.ts');
        const { data } = await callAdmin<Page<{ id: number; at: string }>>(core, 'GET /audit-events', {
          query: { limit: '1' },
        });
        const [last] = data;
        await confirm(
          `Every access token ends. The backup's last event is ${last?.id} of ${last?.at}. Go on?`,
          options,
        );
        const clients = await core.change((transaction) => endEveryToken(transaction, core, commandActor()));
        return { clients, last_event: last ? { id: last.id, at: last.at } : null };
      });
      present(options, ended, () =>
        sheet({
          'Tokens ended': `all, of ${ended.clients} clients`,
          'To be done again': `what was done after ${ended.last_event?.at}: secrets that were regenerated or ended, clients and keys that were disabled, operator tokens that were revoked`,
        }),
      );
    });
}
