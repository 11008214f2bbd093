import { type Command, Option } from 'commander';
import { authMethods, tokenTyps } from '../clients/client.ts';
import { addAct, addListCommand, addReveal, addUsageCommand, type Subject } from './acts.ts';
import { addAuthorizationTokenCommand } from './authorization-token-command.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { changeClient } from './change-client.ts';
import { type KeyOptions, toKeyFields, withKeys } from './client-keys.ts';
import { type DetailOptions, labelOption, stateOption, toDetailFields, withDetails } from './detail-options.ts';
import { addExportCommand } from './moving/export-command.ts';
import { addImportCommand } from './moving/import-command.ts';
import { addNetworksCommand } from './network-options.ts';
import { addRegenerationCommands } from './regenerate.ts';
import { addScopeUsageCommand } from './scope-usage-command.ts';
import { type ShownClient, showClient } from './show-client.ts';
import { withAdmin } from './stores.ts';
import { collect, type OutputOptions, present, presentSecret } from './terminal.ts';

type FieldOptions = OutputOptions &
  DetailOptions &
  KeyOptions & {
    name?: string;
    organization?: string;
    scope?: string[] | false;
    accessKey?: string;
    resource?: string | false;
    information?: string[] | false;
    tokenFormat?: string;
    tokenTyp?: string;
  };

const one = '/clients/{client_id}';

export function addClientCommands(clients: Command): void {
  const subject = { path: one, parameter: 'client_id', example: 'kti_4fW1mZ8qYc0RkT7pLs2VnB' } as const;
  addCreate(clients);
  addList(clients);
  addAct<ShownClient>(clients, subject, {
    name: 'show',
    description: 'show a client without its secret',
    method: 'GET',
    text: showClient,
  });
  addUpdate(clients);
  addActs(clients, subject);
  addReveal(clients, subject, { below: '/secret/reveal', secret: 'client secret', member: 'client_secret' });
  addRegenerationCommands(clients, { ...subject, secret: 'client secret', member: 'client_secret' });
  addUsageCommand(clients, subject);
  addNetworksCommand(clients, subject);
  addScopeUsageCommand(clients, subject);
  addAuthorizationTokenCommand(clients, subject);
  addImportCommand(clients);
  addExportCommand(clients);
}

function addCreate(clients: Command): void {
  withDetails(withFields(clients.command('create')), { canRemove: false })
    .description('register a client; standard output contains only its secret, if it has one')
    .requiredOption('--name <text>', 'name of the client')
    .addOption(
      new Option(
        '--kind <kind>',
        'integration: a program that requests tokens; resource-server: an API that validates them',
      )
        .choices(['integration', 'resource-server'])
        .default('integration'),
    )
    .addOption(
      new Option(
        '--auth-method <method>',
        'how the client authenticates: with a secret, a private key or a certificate',
      ).choices(authMethods),
    )
    .option('--no-reveal', 'keep no sealed copy, so that the secret can never be shown again')
    .option('--json', 'print one JSON object with client_id and client_secret')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients create --name 'Shop API' --kind resource-server --resource https://api.example.com --information orders,products
  keyturn clients create --name 'Order sync' --scope 'orders:read orders:create'
  keyturn clients create --name 'Order sync' --scope orders:read --json | jq -r .client_secret
  keyturn clients create --name 'Order sync' --scope orders:read --owner "$CONTACT" --label team=logistics --claim tenant=acme --access-token-ttl 15m
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
      await withAdmin((admin) =>
        callAdmin<ShownClient & { client_secret?: string }>(admin, 'POST /clients', { body }, (client) => {
          const { client_secret: secret } = client;
          if (secret === undefined) return present(options, client, () => showClient(client));
          presentSecret(options, client, `${showClient(client)}\n\nThe client secret:`, secret);
        }),
      );
    });
}

function addList(clients: Command): void {
  addListCommand<
    ShownClient,
    Json & { state?: string; kind?: string; organization?: string; owner?: string; awaitsFirstUse?: true }
  >(clients, {
    description: 'list clients, newest first',
    route: 'GET /clients',
    isSorted: true,
    options: [
      new Option('-q, --q <text>', 'search: first letters of words in the name, or a Client ID'),
      new Option('--status <status>', 'only clients with this status').choices(['enabled', 'disabled']),
      new Option('--kind <kind>', 'only clients of this kind').choices(['integration', 'resource-server']),
      new Option('--organization <id>', 'only clients of this organization'),
      new Option('--owner <contact_id>', 'only clients that this contact owns'),
      labelOption(),
      stateOption(),
      new Option('--awaits-first-use', 'only clients with an imported secret of which only a hash is known'),
    ],
    toQuery: ({ state, kind, organization, owner, awaitsFirstUse, ...query }) => ({
      ...query,
      state: state?.replaceAll('-', '_'),
      kind: kind?.replace('-', '_'),
      organization_id: organization,
      owner_contact_id: owner,
      awaits_first_use: awaitsFirstUse ? 'true' : undefined,
    }),
    columns: {
      client_id: (client) => client.client_id,
      name: (client) => client.name,
      kind: (client) => client.kind,
      status: (client) => client.status,
      secrets: (client) =>
        client.secrets
          .map(({ hint, status, awaits_first_use: awaits }) =>
            [awaits ? 'hashed' : hint, ...(status === 'current' ? [] : [status])].join(' '),
          )
          .join(', '),
      created: (client) => client.created_at,
    },
    examples: [
      'keyturn clients list',
      'keyturn clients list --kind integration --status disabled',
      'keyturn clients list --label team=logistics',
      "keyturn clients list --json | jq -r '.data[].client_id'",
    ],
  });
}

function addActs(clients: Command, subject: Subject): void {
  addAct<ShownClient>(clients, subject, {
    name: 'disable',
    description: 'disable the client and revoke its live tokens; they stay revoked when it is enabled again',
    method: 'POST',
    below: '/disable',
    question: (name, { kind }) =>
      kind === 'resource_server'
        ? `Disable ${name}? Its introspection is rejected at once, so every integration that calls it fails. No token is revoked.`
        : `Disable ${name}? The integration stops working at once, and its live tokens are revoked.`,
    text: (client) => `${client.client_id} is disabled.`,
  });
  addAct<ShownClient>(clients, subject, {
    name: 'enable',
    description: 'enable the client again; earlier tokens stay revoked',
    method: 'POST',
    below: '/enable',
    text: (client) => `${client.client_id} is enabled.`,
  });
  addAct(clients, subject, {
    name: 'delete',
    description: 'delete a client that is disabled',
    method: 'DELETE',
    question: (name) => `Delete ${name}? Its Client ID and credentials never work again. This cannot be undone.`,
    json: (id) => ({ client_id: id, deleted: true }),
    text: (_, id) => `${id} was deleted.`,
  });
  addAct(clients, subject, {
    name: 'revoke-tokens',
    description: 'revoke every live token of the client; it can request new tokens at once',
    method: 'POST',
    below: '/tokens/revoke',
    question: (name) => `Revoke every live token of ${name}? Requests with these tokens fail at once.`,
    text: (_, id) => `All tokens of ${id} were revoked.`,
  });
}

function addUpdate(clients: Command): void {
  withDetails(withFields(clients.command('update')), { canRemove: true })
    .description('change only the given fields')
    .argument('<client_id>', 'the Client ID')
    .option('--name <text>', 'name of the client')
    .option('--no-scope', 'integration: remove every scope')
    .option('--no-resource', 'integration: remove its resource')
    .option('--no-information', 'resource server: remove every kind of information')
    .option('-y, --yes', 'do not ask for confirmation before names of scopes change that clients have or use')
    .option('--json', 'print the changed client as one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients update kti_4fW1mZ8qYc0RkT7pLs2VnB --scope orders:read,products:read
  keyturn clients update kti_4fW1mZ8qYc0RkT7pLs2VnB --name 'Order sync, new warehouse'
  keyturn clients update kti_4fW1mZ8qYc0RkT7pLs2VnB --label team=sales --no-description --metadata-file crm.json`,
    )
    .action(async (clientId: string, options: FieldOptions & { yes?: true }) => {
      const request = { ...of(clientId), body: toFields(options) };
      const client = await withAdmin((admin) => changeClient<ShownClient>(admin, request, options));
      present(options, client, () => showClient(client));
    });
}

function withFields(command: Command): Command {
  return withKeys(command)
    .option('--organization <id>', 'integration: the id of the organization that it belongs to, or moves to')
    .option(
      '--scope <scopes>',
      'integration: the scopes that it may request; repeatable, or separated by commas',
      collect,
    )
    .addOption(
      new Option('--access-key <use>', 'integration: whether each request must contain an access key').choices([
        'optional',
        'required',
      ]),
    )
    .option(
      '--resource <uri>',
      'resource server: its absolute URI; integration: the resource of tokens that are requested without one',
    )
    .option(
      '--information <kinds>',
      'resource server: its kinds of information; repeatable, or separated by commas',
      collect,
    )
    .addOption(
      new Option('--token-format <format>', 'resource server: format of its access tokens').choices(['opaque', 'jwt']),
    )
    .addOption(
      new Option(
        '--token-typ <typ>',
        'resource server with --token-format jwt: typ header of its access tokens; JWT is for libraries that reject at+jwt',
      ).choices(tokenTyps),
    );
}

function toFields(options: FieldOptions): Json {
  return {
    name: options.name,
    organization_id: options.organization,
    scope: options.scope === false ? '' : options.scope?.join(' '),
    access_key: options.accessKey,
    resource: options.resource === false ? null : options.resource,
    information: options.information === false ? [] : options.information,
    token_format: options.tokenFormat,
    token_typ: options.tokenTyp,
    ...toDetailFields(options),
    ...toKeyFields(options),
  };
}

function of(clientId: string): { params: Json } {
  return { params: { client_id: clientId } };
}
