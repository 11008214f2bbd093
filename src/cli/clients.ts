import { type Command, Option } from 'commander';
import { subjectFields } from '../clients/certificate-subject.ts';
import { authMethods } from '../clients/client.ts';
import { callAdmin, type Json, type Page } from './call-admin.ts';
import { type KeyOptions, toKeyFields, withKeys } from './client-keys.ts';
import { addMoveCommands } from './move-clients.ts';
import { addRegenerationCommands } from './regenerate.ts';
import { withDatabase, withStores } from './stores.ts';
import { collect, confirm, type OutputOptions, present, presentSecret, say, sheet, table } from './terminal.ts';
import { addUsageCommand } from './usage.ts';

/** The members of the admin API's client that people are shown. */
type ShownClient = Json & {
  client_id: string;
  name: string;
  kind: string;
  status: string;
  scope: string;
  access_key: string;
  auth_method: string;
  resource: string | null;
  information: string[];
  token_format: string | null;
  reveal: boolean;
  secrets: { hint: string; status: string; retires_at: string | null; last_used_at: string | null }[];
  created_at: string;
  updated_at: string;
  last_used_at: string | null;
};

type FieldOptions = OutputOptions &
  KeyOptions & {
    name?: string;
    scope?: string[];
    accessKey?: string;
    resource?: string | false;
    information?: string[];
    tokenFormat?: string;
  };

type Confirmed = OutputOptions & { yes?: true };

const one = '/clients/{client_id}';

export function addClientCommands(program: Command): void {
  const clients = program.command('clients').description('integrations and resource servers');
  addCreate(clients);
  addList(clients);
  addShow(clients);
  addUpdate(clients);
  addDisable(clients);
  addEnable(clients);
  addDelete(clients);
  addReveal(clients);
  const subject = { path: one, parameter: 'client_id', example: 'kti_4fW1mZ8qYc0RkT7pLs2VnB' } as const;
  addRegenerationCommands(clients, { ...subject, secret: 'client secret', member: 'client_secret' });
  addUsageCommand(clients, subject);
  addRevokeTokens(clients);
  addAuthorizationToken(clients);
  addMoveCommands(clients);
}

function addCreate(clients: Command): void {
  withFields(clients.command('create'))
    .description('register a client; its secret, if it has one, is printed to standard output, alone')
    .requiredOption('--name <text>', 'what people call it')
    .addOption(
      new Option('--kind <kind>', 'who asks for tokens, or an API that validates them')
        .choices(['integration', 'resource-server'])
        .default('integration'),
    )
    .addOption(
      new Option('--auth-method <method>', 'how it authenticates; without a secret: with keys or certificates').choices(
        authMethods,
      ),
    )
    .option('--no-reveal', 'keep no sealed copy: the secret can never be shown again')
    .option('--json', 'one JSON object, with client_id and client_secret')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients create --name 'Shop API' --kind resource-server --resource https://api.example.com --information orders,products
  keyturn clients create --name 'Order sync' --scope 'orders:read orders:create'
  keyturn clients create --name 'Order sync' --scope orders:read --json | jq -r .client_secret
  keyturn clients create --name 'Order sync' --auth-method private_key_jwt --jwks public-keys.json
  keyturn clients create --name 'Order sync' --auth-method tls_client_auth --tls-client-auth-subject-dn 'CN=sync,O=Example,C=DE'
  keyturn clients create --name 'Order sync' --auth-method self_signed_tls_client_auth --certificate client.crt`,
    )
    .action(async (options: FieldOptions & { kind: string; authMethod?: string; reveal: boolean }) => {
      const { kind, authMethod, reveal } = options;
      const body = {
        ...toFields(options),
        kind: kind.replace('-', '_'),
        auth_method: authMethod,
        reveal: reveal ? undefined : false,
      };
      const client = await withDatabase((core) =>
        callAdmin<ShownClient & { client_secret?: string }>(core, 'POST /clients', { body }),
      );
      const { client_secret: secret } = client;
      if (secret === undefined) return present(options, client, () => showClient(client));
      presentSecret(options, client, `${showClient(client)}\n\nIts client secret:`, secret);
    });
}

function addList(clients: Command): void {
  clients
    .command('list')
    .description('list clients, newest first')
    .option('-q, --q <text>', 'a part of the name, or a Client ID')
    .addOption(new Option('--status <status>', 'only these').choices(['enabled', 'disabled']))
    .addOption(new Option('--kind <kind>', 'only these').choices(['integration', 'resource-server']))
    .option('--limit <number>', 'at most so many, up to 200', '50')
    .option('--cursor <cursor>', 'go on where the list before ended')
    .option('--json', 'one JSON object, with data and next_cursor')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients list
  keyturn clients list --kind integration --status disabled
  keyturn clients list --json | jq -r '.data[].client_id'`,
    )
    .action(async ({ json, kind, ...query }: OutputOptions & { kind?: string; limit: string }) => {
      const request = { query: { ...query, kind: kind?.replace('-', '_') } };
      const page = await withDatabase((core) => callAdmin<Page<ShownClient>>(core, 'GET /clients', request));
      present(json ? { json } : {}, page, () =>
        table(
          ['client_id', 'name', 'kind', 'status', 'secrets', 'created'],
          page.data.map((client) => [
            client.client_id,
            client.name,
            client.kind,
            client.status,
            client.secrets.map(({ hint, status }) => (status === 'current' ? hint : `${hint} ${status}`)).join(', '),
            client.created_at,
          ]),
        ),
      );
      if (page.next_cursor && !json) say(`There are more: --cursor ${page.next_cursor}`);
    });
}

function addShow(clients: Command): void {
  clients
    .command('show')
    .description('show one client, without its secret')
    .argument('<client_id>', 'its Client ID')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExamples:\n  keyturn clients show kti_4fW1mZ8qYc0RkT7pLs2VnB')
    .action(async (clientId: string, options: OutputOptions) => {
      const client = await withDatabase((core) => callAdmin<ShownClient>(core, `GET ${one}`, of(clientId)));
      present(options, client, () => showClient(client));
    });
}

function addUpdate(clients: Command): void {
  withFields(clients.command('update'))
    .description('change what is given, and nothing else')
    .argument('<client_id>', 'its Client ID')
    .option('--name <text>', 'what people call it')
    .option('--no-resource', 'an integration: no resource of its own')
    .option('--json', 'one JSON object: the client as it is then')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients update kti_4fW1mZ8qYc0RkT7pLs2VnB --scope orders:read,products:read
  keyturn clients update kti_4fW1mZ8qYc0RkT7pLs2VnB --name 'Order sync, new warehouse'`,
    )
    .action(async (clientId: string, options: FieldOptions) => {
      const request = { ...of(clientId), body: toFields(options) };
      const client = await withDatabase((core) => callAdmin<ShownClient>(core, `PATCH ${one}`, request));
      present(options, client, () => showClient(client));
    });
}

function addDisable(clients: Command): void {
  breaking(clients.command('disable'))
    .description('refuse the client; its live tokens are dead at once and for good')
    .addHelpText('after', '\nExamples:\n  keyturn clients disable kti_4fW1mZ8qYc0RkT7pLs2VnB --yes')
    .action(async (clientId: string, options: Confirmed) => {
      await confirm(`Disable ${clientId}? Its integration stops working, and its live tokens are dead.`, options);
      const client = await withDatabase((core) => callAdmin<ShownClient>(core, `POST ${one}/disable`, of(clientId)));
      present(options, client, () => `${client.client_id} is disabled.`);
    });
}

function addEnable(clients: Command): void {
  clients
    .command('enable')
    .description('let the client ask for tokens again; earlier ones stay dead')
    .argument('<client_id>', 'its Client ID')
    .option('--json', 'one JSON object: the client as it is then')
    .addHelpText('after', '\nExamples:\n  keyturn clients enable kti_4fW1mZ8qYc0RkT7pLs2VnB')
    .action(async (clientId: string, options: OutputOptions) => {
      const client = await withDatabase((core) => callAdmin<ShownClient>(core, `POST ${one}/enable`, of(clientId)));
      present(options, client, () => `${client.client_id} is enabled.`);
    });
}

function addDelete(clients: Command): void {
  breaking(clients.command('delete'))
    .description('delete a client that is disabled')
    .addHelpText('after', '\nExamples:\n  keyturn clients delete kti_4fW1mZ8qYc0RkT7pLs2VnB --yes')
    .action(async (clientId: string, options: Confirmed) => {
      await confirm(`Delete ${clientId}? Its credentials are gone for good.`, options);
      await withDatabase((core) => callAdmin(core, `DELETE ${one}`, of(clientId)));
      present(options, { client_id: clientId, deleted: true }, () => `${clientId} is deleted.`);
    });
}

function addReveal(clients: Command): void {
  clients
    .command('reveal')
    .description('print the current client secret again, alone on standard output; the audit log says so first')
    .argument('<client_id>', 'its Client ID')
    .option('--json', 'one JSON object, with client_id and client_secret')
    .addHelpText('after', '\nExamples:\n  keyturn clients reveal kti_4fW1mZ8qYc0RkT7pLs2VnB | pbcopy')
    .action(async (clientId: string, options: OutputOptions) => {
      const revealed = await withDatabase((core) =>
        callAdmin<{ client_id: string; client_secret: string }>(core, `POST ${one}/secret/reveal`, of(clientId)),
      );
      presentSecret(options, revealed, `The client secret of ${revealed.client_id}:`, revealed.client_secret);
    });
}

function addRevokeTokens(clients: Command): void {
  breaking(clients.command('revoke-tokens'))
    .description('kill every live token of the client; it can ask for new ones at once')
    .addHelpText('after', '\nExamples:\n  keyturn clients revoke-tokens kti_4fW1mZ8qYc0RkT7pLs2VnB --yes')
    .action(async (clientId: string, options: Confirmed) => {
      await confirm(`Revoke every live token of ${clientId}?`, options);
      const revoked = await withDatabase((core) => callAdmin(core, `POST ${one}/tokens/revoke`, of(clientId)));
      present(options, revoked, () => `Every token that ${clientId} had is dead.`);
    });
}

function addAuthorizationToken(clients: Command): void {
  clients
    .command('authorization-token')
    .description(
      'issue an API authorization token for the client; the one before is dead at once, the credentials stay',
    )
    .argument('<client_id>', 'its Client ID')
    .option('--scope <scopes>', 'less than the client may have', collect)
    .option('--resource <uri>', 'for this resource alone')
    .addOption(
      new Option('--show', 'issue none: when was the live one issued, by whom, until when').conflicts('revoke'),
    )
    .option('--revoke', 'issue none: revoke the live one')
    .option('--json', 'one JSON object, with access_token and expires_in')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients authorization-token kti_4fW1mZ8qYc0RkT7pLs2VnB --scope orders:read
  curl -H "Authorization: Bearer $(keyturn clients authorization-token kti_4fW1mZ8qYc0RkT7pLs2VnB)" https://api.example.com/orders`,
    )
    .action(authorizationToken);
}

async function authorizationToken(
  clientId: string,
  options: OutputOptions & { scope?: string[]; resource?: string; show?: true; revoke?: true },
): Promise<void> {
  const path = `${one}/authorization-token` as const;
  if (options.show) {
    const known = await withDatabase((core) => callAdmin<Record<string, string>>(core, `GET ${path}`, of(clientId)));
    return present(options, known, () => sheet(known));
  }
  if (options.revoke) {
    await withDatabase((core) => callAdmin(core, `DELETE ${path}`, of(clientId)));
    return present(options, { client_id: clientId, revoked: true }, () => 'The API authorization token is dead.');
  }
  const body = { scope: options.scope?.join(' '), resource: options.resource };
  const issued = await withStores((core) =>
    callAdmin<{ access_token: string; expires_in: number; scope: string }>(core, `POST ${path}`, {
      ...of(clientId),
      body,
    }),
  );
  const said = `An access token for ${issued.scope || 'no scope'}, good for ${issued.expires_in} seconds:`;
  return presentSecret(options, issued, said, issued.access_token);
}

function withFields(command: Command): Command {
  return withKeys(command)
    .option('--scope <scopes>', 'an integration: the most it may ask for; repeated, or with commas', collect)
    .addOption(
      new Option('--access-key <use>', 'an integration: must an access key come with each request').choices([
        'optional',
        'required',
      ]),
    )
    .option('--resource <uri>', 'a resource server: its absolute URI; an integration: the one it gets without asking')
    .option('--information <kinds>', 'a resource server: kinds of information; repeated, or with commas', collect)
    .addOption(
      new Option('--token-format <format>', 'a resource server: of its access tokens').choices(['opaque', 'jwt']),
    );
}

function breaking(command: Command): Command {
  return command
    .argument('<client_id>', 'its Client ID')
    .option('-y, --yes', 'do not ask')
    .option('--json', 'one JSON object');
}

function toFields(options: FieldOptions): Json {
  return {
    name: options.name,
    scope: options.scope?.join(' '),
    access_key: options.accessKey,
    resource: options.resource === false ? null : options.resource,
    information: options.information,
    token_format: options.tokenFormat,
    ...toKeyFields(options),
  };
}

function of(clientId: string): { params: Json } {
  return { params: { client_id: clientId } };
}

function showClient(client: ShownClient): string {
  const isServer = client.kind === 'resource_server';
  return sheet({
    client_id: client.client_id,
    name: client.name,
    kind: client.kind,
    status: client.status,
    ...(isServer
      ? {
          resource: client.resource ?? '',
          information: client.information.join(', '),
          tokens: client.token_format ?? '',
        }
      : { scope: client.scope, access_key: client.access_key, resource: client.resource ?? 'any' }),
    auth_method: client.auth_method,
    ...Object.fromEntries(subjectFields.flatMap((field) => (client[field] ? [[field, String(client[field])]] : []))),
    secrets: client.secrets
      .map(({ hint, status, retires_at }) => `${hint} ${status}${retires_at ? ` until ${retires_at}` : ''}`)
      .join(', '),
    'kept to show': client.reveal ? 'yes' : 'no',
    created: client.created_at,
    updated: client.updated_at,
    'last used': client.last_used_at ?? 'never',
  });
}
