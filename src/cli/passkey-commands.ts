import type { Command } from 'commander';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { type OutputOptions, plain, present, say, table } from './terminal.ts';

type ShownPasskey = Json & { id: string; name: string; created_at: string; last_used_at: string | null };
type Options = OutputOptions & { contact?: string };

const example = '3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11';

/** Adds the commands that list and remove passkeys. A browser registers them. */
export function addPasskeyCommands(group: Command): void {
  ofContact(group.command('list'))
    .description('list your own passkeys, or those of a contact, oldest first')
    .option('--json', 'print one JSON object with data')
    .addHelpText('after', `\nExamples:\n  keyturn passkeys list --contact ${example}`)
    .action(async (options: Options) => {
      const { route, params } = whose(options);
      const list = await withAdmin((admin) => callAdmin<{ data: ShownPasskey[] }>(admin, `GET ${route}`, { params }));
      if (list.data.length === 0 && !options.json) return say('Nothing was found.');
      present(options, list, () =>
        table(
          ['id', 'name', 'registered', 'last used'],
          list.data.map((each) => [each.id, plain(each.name), each.created_at, each.last_used_at ?? 'never']),
        ),
      );
    });
  ofContact(group.command('remove'))
    .description('remove a passkey, with which nobody can sign in any more')
    .argument('<id>', 'the id of the passkey')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `\nExamples:\n  keyturn passkeys remove 0b7c6a52-1f2e-4f0b-9d0a-3f6d2c1b8a90 --contact ${example}`,
    )
    .action(async (id: string, options: Options) => {
      const { route, params } = whose(options);
      const request = { params: { ...params, passkey_id: id } };
      await withAdmin((admin) => callAdmin(admin, `DELETE ${route}/{passkey_id}`, request));
      present(options, { id, removed: true }, () => 'The passkey was removed.');
    });
}

function ofContact(command: Command): Command {
  return command.option('--contact <id>', 'the id of a contact; otherwise your own passkeys');
}

/** Returns the route of the passkeys that are meant. */
function whose({ contact }: Options): { route: `/${string}`; params: Json } {
  return contact === undefined
    ? { route: '/me/passkeys', params: {} }
    : { route: '/contacts/{id}/passkeys', params: { id: contact } };
}
