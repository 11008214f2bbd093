import type { Command } from 'commander';
import { callAdmin, type Page } from './call-admin.ts';
import { commandActor, withDatabase } from './stores.ts';
import { confirm, type OutputOptions, present, sheet } from './terminal.ts';

type Options = OutputOptions & { yes?: true };

export function addAfterRestoreCommand(program: Command): void {
  program
    .command('after-restore')
    .description(
      'revoke every access token; run this once after the database was restored from a backup, before a server starts',
    )
    .option('--yes', 'do not ask for confirmation')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Revocations that happened after the backup are lost. Therefore this command revokes every earlier token. Clients request new
tokens with the credentials that they have. Repeat every other change that happened after the backup: the command prints the last audit
event that the backup contains.

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
          `Revoke every access token? The last audit event in the backup is ${last?.id}, at ${last?.at}.`,
          options,
        );
        const clients = await core.change((transaction) => endEveryToken(transaction, core, commandActor()));
        return { clients, last_event: last ? { id: last.id, at: last.at } : null };
      });
      present(options, ended, () =>
        sheet({
          'Revoked tokens': `all tokens of ${ended.clients} clients`,
          'Repeat by hand': `changes after ${ended.last_event?.at}: regenerated or ended secrets, disabled clients and access keys, revoked operator tokens`,
        }),
      );
    });
}
