import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { askServer } from './ask-server.ts';
import { callAdmin, type Page } from './call-admin.ts';
import { commandActor, commandLog, readCommandConfig, sayWarnings, withDatabase } from './stores.ts';
import { CommandEnd, confirm, type OutputOptions, present, presentSecret, sheet } from './terminal.ts';

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

export function addMigrateCommand(program: Command): void {
  program
    .command('migrate')
    .description('migrate the database to the schema of this version; safe at any time, also several times at once')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  DATABASE_URL=postgres://keyturn@db/keyturn keyturn migrate`,
    )
    .action(async (options: OutputOptions) => {
      const config = readCommandConfig();
      sayWarnings(config);
      const { connectDatabase } = await import('../storage/open-database.ts');
      const { migrate } = await import('../storage/migrations.ts');
      const database = await connectDatabase(config, await commandLog(config));
      try {
        const applied = await migrate(database);
        present(options, { applied }, () =>
          applied.length > 0 ? applied.map((name) => `applied ${name}`).join('\n') : 'The database is up to date.',
        );
      } finally {
        await database.close();
      }
    });
}

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

type AfterRestoreOptions = OutputOptions & { yes?: true };

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
    .action(async (options: AfterRestoreOptions) => {
      const ended = await withDatabase('This command runs before a server starts.', async (core) => {
        const { endEveryToken } = await import('../tokens/revocation.ts');
        const { data } = await callAdmin<Page<{ id: number; at: string }>>(core, 'GET /audit-events', {
          query: { limit: '1' },
        });
        const [last] = data;
        await confirm(
          `Revoke every access token? ${last ? `The last audit event in the backup is ${last.id}, at ${last.at}.` : 'The backup has no audit event.'}`,
          options,
        );
        const clients = await core.change((transaction) => endEveryToken(transaction, core, commandActor()));
        return { clients, last_event: last ? { id: last.id, at: last.at } : null };
      });
      present(options, ended, () =>
        sheet({
          'Revoked tokens': `all tokens of ${ended.clients} clients`,
          'Repeat by hand': `changes after ${ended.last_event?.at ?? 'the backup was made'}: regenerated or ended secrets, disabled clients and access keys, revoked operator tokens`,
        }),
      );
    });
}

type LinkOptions = OutputOptions & { contact: string; url?: string };

export function addConsoleCommands(program: Command): void {
  const consoleCommands = program.command('console').description('the web console for operators');
  consoleCommands
    .command('link')
    .description('print a link that signs an operator in to the console; it works once, within ten minutes')
    .requiredOption('--contact <id>', 'the id of the contact that signs in, with the permissions of that contact')
    .option('--url <url>', 'the URL at which the browser reaches the admin listener, such as https://admin.example.com')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn console link --contact "$CONTACT"
  keyturn console link --contact "$CONTACT" --url https://admin.example.com
  xdg-open "$(keyturn console link --contact "$CONTACT")"`,
    )
    .action(async ({ contact, json }: LinkOptions, command: Command) => {
      // The command line's own --url comes first, and has the same name.
      const { url: given } = command.optsWithGlobals<LinkOptions>();
      const base = given === undefined ? undefined : webUrl(given);
      const options = json ? { json } : {};
      const { issueConsoleLink } = await import('../admin/console/sign-in/prove.ts');
      await withDatabase(
        'The admin API issues no sign-in links; sign in with the operator token instead.',
        async (core) => {
          // Rejects what is not the ID of a contact.
          await callAdmin(core, 'GET /contacts/{id}', { params: { id: contact } });
          await core.change(async (transaction) => {
            const path = await issueConsoleLink(transaction, core, commandActor(), contact);
            const url = new URL(path, base ?? adminUrlOf(core.config)).href;
            presentSecret(options, { url, expires_in: 600 }, 'Sign-in link; works once, within ten minutes:', url);
          });
        },
      );
    });
}

function webUrl(value: string): string {
  if (/^https?:$/.test(URL.parse(value)?.protocol ?? '')) return value;
  throw new CommandEnd(2, 'error: --url: It must be an http or https URL such as https://admin.example.com.');
}

/** Returns the URL at which a browser on this machine reaches the admin listener. */
function adminUrlOf({ adminHost, adminPort, tlsFiles }: Config): string {
  const host = adminHost === '0.0.0.0' || adminHost === '::' ? 'localhost' : adminHost;
  return `${tlsFiles.cert ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${adminPort}`;
}
