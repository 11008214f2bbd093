import type { Command } from 'commander';
import { addAct } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { collect, duration, type OutputOptions, plain, present, presentSecret, say, sheet, table } from './terminal.ts';

/** Members of the admin API's invitation that are displayed. */
type ShownInvitation = Json & {
  id: string;
  contact_name: string;
  email: string;
  site: string;
  state: string;
  invited_by: string;
  expires_at: string;
};
type Issued = ShownInvitation & { url: string };

type CreateOptions = OutputOptions & {
  contact?: string;
  email?: string;
  name?: string;
  organization?: string;
  permission?: string[];
  site?: string;
  expires?: number;
};

const example = '7d0c3f6e-2a57-4d1c-9b7d-0f3d9b6a1c52';

/** Adds the commands that invite people by a link that works once. */
export function addInvitationCommands(group: Command): void {
  group
    .command('create')
    .description('invite a person; standard output contains only the link, which works once')
    .option('--contact <id>', 'the id of the contact who is invited')
    .option('--email <address>', 'the e-mail address of the person; without a contact, one is created')
    .option('--name <text>', 'the name of a contact that is created')
    .option('--organization <id>', 'the id of the organization of the person')
    .option('--permission <permissions>', 'permissions of a contact that is created; repeatable', collect)
    .option('--site <site>', 'console or portal (default: the portal for people of organizations, if there is one)')
    .option('--expires <time>', 'how long the link works, such as 24h or 14d (default: 7d)', duration)
    .option('--json', 'print one JSON object with url')
    .addHelpText(
      'after',
      '\nExamples:\n  keyturn invitations create --email ann@example.com --name Ann --permission integrations:view',
    )
    .action(async (options: CreateOptions) => {
      const body = {
        contact_id: options.contact,
        email: options.email,
        name: options.name,
        organization_id: options.organization,
        permissions: options.permission,
        site: options.site,
        expires_in: options.expires,
      };
      await withAdmin((admin) =>
        callAdmin<Issued>(admin, 'POST /invitations', { body }, (issued) => presentIssued(options, issued)),
      );
    });
  group
    .command('list')
    .description('list invitations, newest first')
    .option('--json', 'print one JSON object with data')
    .addHelpText('after', '\nExamples:\n  keyturn invitations list')
    .action(async (options: OutputOptions) => {
      const list = await withAdmin((admin) => callAdmin<{ data: ShownInvitation[] }>(admin, 'GET /invitations', {}));
      if (list.data.length === 0 && !options.json) return say('Nothing was found.');
      present(options, list, () =>
        table(
          ['id', 'name', 'e-mail', 'site', 'state', 'invited by', 'works until'],
          list.data.map((each) => [
            each.id,
            plain(each.contact_name),
            plain(each.email),
            each.site,
            each.state,
            plain(each.invited_by),
            each.expires_at,
          ]),
        ),
      );
    });
  group
    .command('resend')
    .description('send an invitation again with a new link; the previous link no longer works')
    .argument('<id>', 'the id of the invitation')
    .option('--json', 'print one JSON object with url')
    .addHelpText('after', `\nExamples:\n  keyturn invitations resend ${example}`)
    .action(async (id: string, options: OutputOptions) => {
      await withAdmin((admin) =>
        callAdmin<Issued>(admin, 'POST /invitations/{id}/resend', { params: { id } }, (issued) =>
          presentIssued(options, issued),
        ),
      );
    });
  addAct(
    group,
    { path: '/invitations/{id}', parameter: 'id', example },
    {
      name: 'withdraw',
      description: 'withdraw an invitation; its link no longer works',
      method: 'DELETE',
      json: (id) => ({ id, withdrawn: true }),
      text: (_, id) => `The invitation ${id} was withdrawn.`,
    },
  );
}

function presentIssued(options: OutputOptions, issued: Issued): void {
  const shown = sheet({
    id: issued.id,
    name: issued.contact_name,
    'e-mail': issued.email,
    site: issued.site,
    'works until': issued.expires_at,
  });
  presentSecret(options, issued, `${shown}\n\nThe link, which signs in once and cannot be shown again:`, issued.url);
}
