import type { Command } from 'commander';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { collect, type OutputOptions, plain, present, table } from './terminal.ts';

/** Members of the admin API's response that are displayed. */
type ShownSettings = Json & {
  name: string;
  data: { kind: string; description: string; mandatory: boolean; enabled: boolean; setting: boolean | null }[];
};

type SettingsOptions = OutputOptions & {
  organization?: string;
  contact?: string;
  on?: string[];
  off?: string[];
  reset?: string[];
};

export function addNoticeSettingsCommand(notices: Command): void {
  notices
    .command('settings')
    .description('show which kinds of notices are sent, or switch some of them')
    .option('--organization <id>', 'in this organization; by default in the deployment')
    .option('--contact <id>', 'to this contact')
    .option('--on <kinds>', 'kinds to tell; repeatable, or separated by commas', collect)
    .option('--off <kinds>', 'kinds not to tell', collect)
    .option('--reset <kinds>', 'kinds for which the organization or the deployment decides', collect)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn notices settings
  keyturn notices settings --off credential_unused,new_network
  keyturn notices settings --contact 3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11 --off grace_period_reminder`,
    )
    .action(async ({ organization, contact, on = [], off = [], reset = [], ...options }: SettingsOptions) => {
      const scope = { organization_id: organization, contact_id: contact };
      const kinds = Object.fromEntries([
        ...on.map((kind) => [kind, true]),
        ...off.map((kind) => [kind, false]),
        ...reset.map((kind) => [kind, null]),
      ]);
      const shown = await withAdmin((admin) =>
        Object.keys(kinds).length > 0
          ? callAdmin<ShownSettings>(admin, 'PATCH /notices/settings', { body: { ...scope, kinds } })
          : callAdmin<ShownSettings>(admin, 'GET /notices/settings', { query: scope }),
      );
      present(options, shown, () =>
        table(
          ['kind', 'sent', 'set here', 'meaning'],
          shown.data.map(({ kind, enabled, mandatory, setting, description }) => [
            kind,
            mandatory ? 'always' : enabled ? 'yes' : 'no',
            setting === null ? '' : setting ? 'on' : 'off',
            plain(description),
          ]),
        ),
      );
    });
}
