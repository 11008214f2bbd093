import type { Command } from 'commander';
import { countOf } from '../text/count-text.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { CommandEnd, type OutputOptions, plain, present, say, table } from './terminal.ts';

/** Members of the admin API's session that are displayed. */
type ShownSession = Json & {
  id: string;
  method: string;
  address: string | null;
  user_agent: string | null;
  last_seen_at: string;
  expires_at: string;
};

type Options = OutputOptions & { contact?: string };

const example = '3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11';

/** Adds the commands that list and end the sessions of people in the console. */
export function addSessionCommands(sessions: Command): void {
  ofContact(sessions.command('list'))
    .description('list your own sessions, or those of a contact, last used first')
    .option('--json', 'print one JSON object with data')
    .addHelpText('after', `\nExamples:\n  keyturn sessions list --contact ${example}`)
    .action(async (options: Options) => {
      const { route, params } = whose(options);
      const list = await withAdmin((admin) => callAdmin<{ data: ShownSession[] }>(admin, `GET ${route}`, { params }));
      if (list.data.length === 0 && !options.json) return say('Nothing was found.');
      present(options, list, () =>
        table(
          ['id', 'method', 'address', 'last used', 'ends if unused', 'browser'],
          list.data.map((each) => [
            each.id,
            each.method,
            each.address ?? '',
            each.last_seen_at,
            each.expires_at,
            plain(each.user_agent ?? ''),
          ]),
        ),
      );
    });
  ofContact(sessions.command('end'))
    .description('end a session, or all of them')
    .argument('[session_id]', 'the id of the session')
    .option('--all', 'end all sessions')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn sessions end --contact ${example} --all
  keyturn sessions end 0b7c6a52-1f2e-4f0b-9d0a-3f6d2c1b8a90 --contact ${example}`,
    )
    .action(async (id: string | undefined, options: Options & { all?: true }) => {
      if ((id === undefined) === !options.all) {
        throw new CommandEnd(2, 'error: Name a session, or end all of them with --all.');
      }
      const { route, params } = whose(options);
      if (id === undefined) {
        const ended = await withAdmin((admin) => callAdmin<{ ended: number }>(admin, `DELETE ${route}`, { params }));
        return present(options, ended, () => `Ended ${countOf(ended.ended, 'session')}.`);
      }
      const one = { params: { ...params, session_id: id } };
      await withAdmin((admin) => callAdmin(admin, `DELETE ${route}/{session_id}`, one));
      present(options, { id, ended: true }, () => 'The session was ended.');
    });
}

function ofContact(command: Command): Command {
  return command.option('--contact <id>', 'the id of a contact; otherwise your own sessions');
}

/** Returns the route of the sessions that are meant. */
function whose({ contact }: Options): { route: `/${string}`; params: Json } {
  return contact === undefined
    ? { route: '/me/sessions', params: {} }
    : { route: '/contacts/{id}/sessions', params: { id: contact } };
}
