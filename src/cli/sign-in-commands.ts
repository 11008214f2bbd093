import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { logInWithBrowser } from './browser-login.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { profilesFile, type RemoteOptions, readProfiles, requireSafeUrl, writeProfiles } from './remote-server.ts';
import { withAdmin } from './stores.ts';
import { CommandEnd, type OutputOptions, present, sheet } from './terminal.ts';

type Me = Json & { id: string; name: string; permissions: string[]; issuer: string };

/** Adds `login`, `logout` and `whoami`, for commands that call a running server. */
export function addSignInCommands(program: Command): void {
  program
    .command('login')
    .description(
      'store the URL and the operator token of a running server as a profile; reads the token from standard input, or signs in with the browser',
    )
    .option('--browser', 'sign in with the browser, also by single sign-on; the token expires after 12 hours')
    .option('--json', 'print one JSON object with the operator and the profile')
    .addHelpText(
      'after',
      `
Examples:
  keyturn login --url https://admin.example.com --browser
  keyturn login --url https://admin.example.com --profile production < operator-token
  keyturn clients list --profile production

The profile is stored with mode 0600 in ~/.config/keyturn/profiles.json. XDG_CONFIG_HOME is respected.`,
    )
    .action(async (options: OutputOptions & { browser?: true }, command: Command) => {
      const { url: given, profile = 'default' } = command.optsWithGlobals<RemoteOptions>();
      if (given === undefined) throw new CommandEnd(2, 'error: Name the server with --url.');
      const url = requireSafeUrl(given);
      const token = options.browser ? await logInWithBrowser(url) : await readToken();
      if (token === '') throw new CommandEnd(2, 'error: Standard input is empty. Pass the operator token.');
      const me = await callAdmin<Me>({ url, token }, 'GET /me', {});
      writeProfiles({ ...readProfiles(), [profile]: { url, token } });
      present(
        options,
        { ...me, profile },
        () => `Signed in to ${url} as ${me.name}. Use it with --profile ${profile}.`,
      );
    });
  program
    .command('logout')
    .description('remove a profile; the operator token itself stays valid')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExamples:\n  keyturn logout --profile production')
    .action((options: OutputOptions, command: Command) => {
      const { profile = 'default' } = command.optsWithGlobals<RemoteOptions>();
      const { [profile]: removed, ...others } = readProfiles();
      if (!removed) throw new CommandEnd(1, `error: There is no profile "${profile}" in ${profilesFile()}.`);
      writeProfiles(others);
      present(options, { profile, removed: true }, () => `The profile ${profile} was removed.`);
    });
  program
    .command('whoami')
    .description('show who runs the commands, with which permissions, and on which deployment')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExamples:\n  keyturn whoami --profile production')
    .action(async (options: OutputOptions) => {
      const me = await withAdmin((admin) => callAdmin<Me>(admin, 'GET /me', {}));
      present(options, me, () =>
        sheet({ id: me.id, name: me.name, permissions: me.permissions.join(', ') || 'none', issuer: me.issuer }),
      );
    });
}

async function readToken(): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write('Paste the operator token, then press Enter and Ctrl+D:\n');
  return (await text(process.stdin)).trim();
}
