import { type Command, Option } from 'commander';
import type { Subject } from './acts.ts';
import { callAdmin } from './call-admin.ts';
import { type Admin, withAdmin } from './stores.ts';
import { collect, type OutputOptions, present, presentSecret, sheet } from './terminal.ts';

type Options = OutputOptions & {
  scope?: string[];
  accessKeyId?: string;
  resource?: string;
  show?: true;
  revoke?: true;
};

/** Adds `authorization-token`, which issues, shows or revokes the API authorization token of a client. */
export function addAuthorizationTokenCommand(clients: Command, { path, parameter, example }: Subject): void {
  const route = `${path}/authorization-token` as const;
  clients
    .command('authorization-token')
    .description(
      'issue an API authorization token for the client; revokes the previous one at once and does not change the credentials',
    )
    .argument(`<${parameter}>`, 'the Client ID')
    .option('--scope <scopes>', 'a part of the scope that the client may have', collect)
    .option('--access-key-id <id>', 'limit the token to what this access key allows')
    .option('--resource <uri>', 'limit the token to this resource')
    .addOption(
      new Option('--show', 'issue no token; show when, by whom and until when the live one was issued').conflicts(
        'revoke',
      ),
    )
    .option('--revoke', 'issue no token; revoke the live one')
    .option('--json', 'print one JSON object with access_token and expires_in')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients authorization-token ${example} --scope orders:read
  curl -H "Authorization: Bearer $(keyturn clients authorization-token ${example})" https://api.example.com/orders`,
    )
    .action(async (id: string, options: Options) => {
      const params = { [parameter]: id };
      if (options.show) {
        const known = await withAdmin((admin) => callAdmin<Record<string, string>>(admin, `GET ${route}`, { params }));
        return present(options, known, () => sheet(known));
      }
      if (options.revoke) {
        await withAdmin((admin) => callAdmin(admin, `DELETE ${route}`, { params }));
        return present(options, { ...params, revoked: true }, () => 'The API authorization token was revoked.');
      }
      const body = {
        scope: options.scope?.join(' '),
        access_key_id: options.accessKeyId,
        resource: options.resource,
      };
      type Issued = { access_token: string; expires_in: number; scope: string };
      const issue = (admin: Admin) =>
        callAdmin<Issued>(admin, `POST ${route}`, { params, body }, (issued) => {
          const said = `Access token with ${issued.scope ? `scope ${issued.scope}` : 'no scope'}, valid for ${issued.expires_in} seconds:`;
          presentSecret(options, issued, said, issued.access_token);
        });
      await withAdmin(issue, true);
    });
}
