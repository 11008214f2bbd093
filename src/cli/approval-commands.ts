import { type Command, InvalidArgumentError } from 'commander';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { collect, type OutputOptions, plain, present, say, sheet, table } from './terminal.ts';

/** Members of the admin API's request for approval that are displayed. */
type ShownApproval = Json & {
  id: string;
  act: string;
  request: string;
  subject: { type: string; id: string; name: string };
  permission: string;
  state: string;
  requested_by: string;
  reason: string | null;
  decided_by: string | null;
  note: string | null;
  created_at: string;
  expires_at: string;
};
type ShownDetail = ShownApproval & {
  impact: { last_used_at: string | null; sources: number; clients: number; access_keys: number; contacts: number };
};
type ShownSettings = Json & {
  acts: string[];
  reveal_hours: number | null;
  effective: { acts: string[]; reveal_hours: number | null };
};

const example = '7d0c3f6e-2a57-4d1c-9b7d-0f3d9b6a1c52';

/** Adds the commands for requests for the approval of a second person. */
export function addApprovalCommands(group: Command): void {
  group
    .command('list')
    .description('list requests for approval, newest first: your own, and those that you may approve')
    .option('--state <state>', 'only those in this state: pending, approved, refused, withdrawn, used or expired')
    .option('--json', 'print one JSON object with data')
    .addHelpText('after', '\nExamples:\n  keyturn approvals list --state pending')
    .action(async (options: OutputOptions & { state?: string }) => {
      const query = { state: options.state, limit: '200' };
      const list = await withAdmin((admin) => callAdmin<{ data: ShownApproval[] }>(admin, 'GET /approvals', { query }));
      if (list.data.length === 0 && !options.json) return say('Nothing was found.');
      present(options, list, () =>
        table(
          ['id', 'act', 'about', 'requested by', 'state', 'expires'],
          list.data.map((each) => [
            each.id,
            each.act,
            plain(each.subject.name),
            plain(each.requested_by),
            each.state,
            each.expires_at,
          ]),
        ),
      );
    });
  addOne(group, 'show', 'show a request with what the act would affect', 'GET');
  addOne(group, 'approve', 'approve the request of another person, who can then carry it out once', 'POST');
  addOne(group, 'refuse', 'refuse a request, or withdraw your own', 'POST');
  group
    .command('explain')
    .description('say why you request an act')
    .argument('<id>', 'the id of the request')
    .requiredOption('--reason <text>', 'why the act is needed')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `\nExamples:\n  keyturn approvals explain ${example} --reason 'The partner has lost the secret.'`,
    )
    .action(async (id: string, options: OutputOptions & { reason: string }) => {
      const request = { params: { id }, body: { reason: options.reason } };
      const shown = await withAdmin((admin) => callAdmin<ShownDetail>(admin, 'PATCH /approvals/{id}', request));
      present(options, shown, () => describe(shown));
    });
  addSettings(group);
}

function addOne(
  group: Command,
  name: 'show' | 'approve' | 'refuse',
  description: string,
  method: 'GET' | 'POST',
): void {
  const command = group.command(name).description(description).argument('<id>', 'the id of the request');
  if (method === 'POST') command.option('--note <text>', 'what the requester should know about the decision');
  command
    .option('--json', 'print one JSON object')
    .addHelpText('after', `\nExamples:\n  keyturn approvals ${name} ${example}`)
    .action(async (id: string, options: OutputOptions & { note?: string }) => {
      const request = { params: { id }, ...(method === 'POST' ? { body: { note: options.note } } : {}) };
      const route = method === 'GET' ? ('GET /approvals/{id}' as const) : (`POST /approvals/{id}/${name}` as const);
      const shown = await withAdmin((admin) => callAdmin<ShownDetail>(admin, route, request));
      present(options, shown, () => describe(shown));
    });
}

function addSettings(group: Command): void {
  group
    .command('settings')
    .description('show or change which acts need the approval of a second person')
    .option('--organization <id>', 'the id of the organization whose settings are meant')
    .option(
      '--act <acts>',
      'revoke_all, delete, erase, root_key or policies; repeatable, or separated by commas',
      collect,
    )
    .option('--no-acts', 'none of these acts needs approval')
    .option('--reveal-hours <hours>', 'hours after its generation in which a secret is shown without approval', hours)
    .option('--no-reveal-limit', 'secrets are always shown without approval')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn approvals settings
  keyturn approvals settings --act revoke_all,delete,policies --reveal-hours 24`,
    )
    .action(async (options: SettingsOptions) => {
      const given = {
        acts: options.acts ? options.act : [],
        reveal_hours: options.revealLimit ? options.revealHours : null,
      };
      const isChange = given.acts !== undefined || given.reveal_hours !== undefined;
      const settings = await withAdmin((admin) =>
        isChange
          ? callAdmin<ShownSettings>(admin, 'PATCH /approvals/settings', {
              body: { organization_id: options.organization, ...given },
            })
          : callAdmin<ShownSettings>(admin, 'GET /approvals/settings', {
              query: { organization_id: options.organization },
            }),
      );
      present(options, settings, () => describeSettings(settings));
    });
}

type SettingsOptions = OutputOptions & {
  organization?: string;
  act?: string[];
  acts: boolean;
  revealHours?: number;
  revealLimit: boolean;
};

function hours(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError('It must be a whole number of hours.');
  return Number(text);
}

function describeSettings({ effective }: ShownSettings): string {
  return sheet({
    'need approval': effective.acts.join(', ') || 'no acts',
    'show a secret again':
      effective.reveal_hours === null
        ? 'without approval'
        : `without approval for ${effective.reveal_hours} hours after its generation`,
  });
}

function describe({ impact, ...shown }: ShownDetail): string {
  const counts = [
    [impact.sources, 'sources in the last 30 days'],
    [impact.clients, 'clients'],
    [impact.access_keys, 'access keys'],
    [impact.contacts, 'contacts'],
  ] as const;
  const affected = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return sheet({
    id: shown.id,
    state: shown.state,
    act: `${shown.act} (${shown.request})`,
    about: `${shown.subject.name} (${shown.subject.id})`,
    affects: affected.join(', ') || 'nothing that is counted',
    'last used': impact.last_used_at ?? 'never',
    'requested by': shown.requested_by,
    reason: shown.reason ?? 'not given',
    'decided by': shown.decided_by ?? 'nobody yet',
    note: shown.note ?? '',
    expires: shown.expires_at,
  });
}
