import type { Command } from 'commander';
import { permissions } from '../contacts/contact.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { collect, duration, type OutputOptions, presentSecret } from './terminal.ts';

type LinkOptions = OutputOptions & {
  contact?: string;
  organization?: string;
  email?: string;
  name?: string;
  permission?: string[];
  returnUrl?: string;
  expiresIn?: number;
};

const example = '3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11';

export function addPortalCommands(portal: Command): void {
  portal
    .command('link')
    .description('print a link that signs a person of an organization in to the portal; it works once')
    .option('--contact <id>', 'the id of the contact that signs in')
    .option('--organization <id>', 'instead of --contact, with --email and --name: the organization of the person')
    .option('--email <address>', 'the e-mail address of the person; a contact is created if none has it')
    .option('--name <text>', 'the name of a contact that is created')
    .option(
      '--permission <permissions>',
      `what the person may do in this session: none, all, or some of ${permissions.join(', ')}; repeatable, or separated by commas; by default, the permissions of the contact`,
      collect,
    )
    .option('--return-url <url>', 'the page of your product that the person returns to')
    .option('--expires-in <time>', 'how long the link may be opened, from 60s to 24h; by default 5m', duration)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn portal link --contact ${example}
  keyturn portal link --organization ${example} --email ann@acme.example --name 'Ann Lee' --permission integrations:view,api_key:manage`,
    )
    .action(async (options: LinkOptions) => {
      await withAdmin((admin) =>
        callAdmin<Json & { url: string; expires_at: string }>(
          admin,
          'POST /portal-sessions',
          { body: toRequest(options) },
          (issued) => presentSecret(options, issued, `Link; works once, until ${issued.expires_at}:`, issued.url),
        ),
      );
    });
}

function toRequest({ contact, organization, email, name, permission, returnUrl, expiresIn }: LinkOptions): Json {
  const granted = permission?.includes('all') ? permissions : permission?.filter((each) => each !== 'none');
  return {
    contact_id: contact,
    organization_id: organization,
    email,
    name,
    permissions: granted,
    return_url: returnUrl,
    expires_in: expiresIn,
  };
}
