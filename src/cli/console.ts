import { type Command, InvalidArgumentError } from 'commander';
import type { Config } from '../config.ts';
import { commandActor, withDatabase } from './stores.ts';
import { type OutputOptions, presentSecret } from './terminal.ts';

type Options = OutputOptions & { contact: string; url?: string };

export function addConsoleCommands(program: Command): void {
  const consoleCommands = program.command('console').description('the web console for operators');
  consoleCommands
    .command('link')
    .description('print a link that signs an operator in to the console; it works once, within ten minutes')
    .requiredOption('--contact <id>', 'the id of the contact that signs in, with the permissions of that contact')
    .option(
      '--url <url>',
      'the URL at which the browser reaches the admin listener, such as https://admin.example.com',
      webUrl,
    )
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn console link --contact "$CONTACT"
  keyturn console link --contact "$CONTACT" --url https://admin.example.com
  xdg-open "$(keyturn console link --contact "$CONTACT")"`,
    )
    .action(async (options: Options) => {
      const { issueConsoleLink } = await import('../admin/console/sign-in/console-link.ts');
      await withDatabase((core) =>
        core.change(async (transaction) => {
          const path = await issueConsoleLink(transaction, core, commandActor(), options.contact);
          const url = new URL(path, options.url ?? adminUrlOf(core.config)).href;
          presentSecret(options, { url, expires_in: 600 }, 'Sign-in link; works once, within ten minutes:', url);
        }),
      );
    });
}

function webUrl(value: string): string {
  if (/^https?:$/.test(URL.parse(value)?.protocol ?? '')) return value;
  throw new InvalidArgumentError('It must be an http or https URL such as https://admin.example.com.');
}

/** Returns the URL at which a browser on this machine reaches the admin listener. */
function adminUrlOf({ adminHost, adminPort, tlsFiles }: Config): string {
  const host = adminHost === '0.0.0.0' || adminHost === '::' ? 'localhost' : adminHost;
  return `${tlsFiles.cert ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${adminPort}`;
}
