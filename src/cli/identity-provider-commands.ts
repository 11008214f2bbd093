import { type Command, InvalidArgumentError } from 'commander';
import { readGrant, type WrittenGrant, writeGrant } from '../identity-providers/claim-grants.ts';
import { addAct } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { readSecretFile } from './named-files.ts';
import { withAdmin } from './stores.ts';
import { collect, type OutputOptions, plain, present, say, sheet, table } from './terminal.ts';

/** Members of the admin API's identity provider that are displayed. */
type ShownProvider = Json & {
  id: string;
  organization_id: string;
  name: string;
  issuer: string;
  client_id: string;
  scope: string;
  claim: string;
  grants: WrittenGrant[];
  creates_contacts: boolean;
  links_by_email: boolean;
  acr_values: string[];
  email_domains: string[];
  status: string;
};

type FieldOptions = OutputOptions & {
  name?: string;
  issuer?: string;
  clientId?: string;
  clientSecretFile?: string;
  organization?: string;
  scope?: string;
  claim?: string;
  grant?: WrittenGrant[];
  acr?: string[];
  domain?: string[];
  createsContacts?: boolean;
  linksByEmail?: boolean;
  disable?: true;
  enable?: true;
};

const one = '/identity-providers/{id}';
const example = 'c2a9b1f0-55d1-4c1c-9a35-6f1b6a0f7d21';

/** Adds the commands for the providers at which people sign in. */
export function addIdentityProviderCommands(group: Command): void {
  const subject = { path: one, parameter: 'id', example } as const;
  withFields(group.command('create'))
    .description('add an identity provider at which people sign in')
    .requiredOption('--name <text>', 'name of the provider, for the button “Sign in with …”')
    .requiredOption('--issuer <url>', 'issuer identifier of the OpenID Provider')
    .requiredOption('--client-id <id>', 'the Client ID that Keyturn has there')
    .option('--organization <id>', 'the id of the organization whose people sign in there (default: the deployment)')
    .addHelpText(
      'after',
      `\nExamples:\n  keyturn identity-providers create --name 'Example login' --issuer https://login.example.com --client-id keyturn --client-secret-file secret --grant 'admins = all'`,
    )
    .action(async (options: FieldOptions) => {
      const request = { body: { ...toFields(options), organization_id: options.organization } };
      const made = await withAdmin((admin) => callAdmin<ShownProvider>(admin, 'POST /identity-providers', request));
      present(options, made, () => showProvider(made));
    });
  group
    .command('list')
    .description('list identity providers, oldest first')
    .option('--organization <id>', 'only those of this organization')
    .option('--json', 'print one JSON object with data')
    .addHelpText('after', '\nExamples:\n  keyturn identity-providers list')
    .action(async (options: FieldOptions) => {
      const query = { organization_id: options.organization };
      const found = await withAdmin((admin) =>
        callAdmin<{ data: ShownProvider[] }>(admin, 'GET /identity-providers', { query }),
      );
      if (found.data.length === 0 && !options.json) return say('Nothing was found.');
      const rows = found.data.map(({ id, name, issuer, status }) => [id, plain(name), plain(issuer), status]);
      present(options, found, () => table(['id', 'name', 'issuer', 'status'], rows));
    });
  addAct<ShownProvider>(group, subject, {
    name: 'show',
    description: 'show an identity provider and what its claims allow',
    method: 'GET',
    text: showProvider,
  });
  withFields(group.command('update'))
    .description('change only the given fields; people who signed in there sign in again')
    .argument('<id>', 'the id of the identity provider')
    .option('--name <text>', 'name of the provider')
    .option('--issuer <url>', 'issuer identifier of the OpenID Provider')
    .option('--client-id <id>', 'the Client ID that Keyturn has there')
    .option('--disable', 'reject sign-ins there')
    .option('--enable', 'let people sign in there again')
    .addHelpText('after', `\nExamples:\n  keyturn identity-providers update ${example} --grant 'admins = all'`)
    .action(async (id: string, options: FieldOptions) => {
      const status = options.disable ? 'disabled' : options.enable ? 'enabled' : undefined;
      const request = { params: { id }, body: { ...toFields(options), status } };
      const changed = await withAdmin((admin) => callAdmin<ShownProvider>(admin, `PATCH ${one}`, request));
      present(options, changed, () => showProvider(changed));
    });
  addAct(group, subject, {
    name: 'delete',
    description: 'delete an identity provider, and sign its people out',
    method: 'DELETE',
    question: (name) => `Delete ${name}? People can no longer sign in there. Those who did are signed out now.`,
    json: (id) => ({ id, deleted: true }),
    text: (_, id) => `${id} was deleted.`,
  });
}

function withFields(command: Command): Command {
  return command
    .option('--client-secret-file <file>', 'file with the client secret that Keyturn has there')
    .option('--scope <scopes>', 'scopes of the request, such as "openid profile email groups"')
    .option('--claim <name>', 'claim with the groups or roles, such as groups or realm_access.roles')
    .option(
      '--grant <value=permissions>',
      'a value of the claim and its permissions, such as "auditors = audit:view"; repeatable, and those that are given replace all earlier ones',
      collectGrants,
    )
    .option('--acr <value>', 'an authentication context that a renewed proof may have; repeatable', collect)
    .option('--domain <domain>', 'an e-mail domain whose people are sent there; repeatable', collect)
    .option('--creates-contacts', 'create a contact at the first sign-in')
    .option('--no-creates-contacts', 'accept only people who have a contact')
    .option('--links-by-email', 'match the first sign-in with the contact that has the same verified e-mail address')
    .option('--no-links-by-email', 'do not match people by e-mail address')
    .option('--json', 'print one JSON object');
}

function toFields(options: FieldOptions): Json {
  const { clientSecretFile: file } = options;
  return {
    name: options.name,
    issuer: options.issuer,
    client_id: options.clientId,
    client_secret: file === undefined ? undefined : readSecretFile('--client-secret-file', file),
    scope: options.scope,
    claim: options.claim,
    grants: options.grant,
    acr_values: options.acr,
    email_domains: options.domain,
    creates_contacts: options.createsContacts,
    links_by_email: options.linksByEmail,
  };
}

function collectGrants(text: string, earlier: WrittenGrant[] = []): WrittenGrant[] {
  const grant = readGrant(text);
  if (!grant) throw new InvalidArgumentError('It must be a value with permissions, such as "admins = all".');
  return [...earlier, grant];
}

function showProvider(provider: ShownProvider): string {
  return sheet({
    id: provider.id,
    organization: provider.organization_id,
    name: provider.name,
    issuer: provider.issuer,
    client_id: provider.client_id,
    status: provider.status,
    scope: provider.scope,
    claim: provider.claim,
    permissions: provider.grants.map(writeGrant).join('; ') || 'none',
    'creates contacts': provider.creates_contacts ? 'yes' : 'no',
    'links by e-mail': provider.links_by_email ? 'yes' : 'no',
    'acr values': provider.acr_values.join(', ') || 'any',
    'e-mail domains': provider.email_domains.join(', ') || 'none',
  });
}
