import { type Command, InvalidArgumentError, Option } from 'commander';
import { addAct, addListCommand } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { collectLabels, labelOption } from './detail-options.ts';
import { addOffersCommand } from './offers-command.ts';
import { type PortalOptions, toPortal, withoutPortalOptions, withPortalOptions } from './portal-options.ts';
import { withAdmin } from './stores.ts';
import { duration, type OutputOptions, present, sheet, wholeNumber } from './terminal.ts';

/** Members of the admin API's organization that are displayed. */
type ShownOrganization = Json & {
  id: string;
  name: string;
  external_id: string | null;
  status: string;
  labels: Readonly<Record<string, string>>;
  ceiling: {
    scopes: ApiScopes[] | null;
    integrations: number | null;
    access_keys: number | null;
    key_lifetime: number | null;
    reveal: boolean;
  };
  portal: { name: string | null; return_url: string | null };
  integrations: number;
  access_keys: number;
  contacts: number;
  created_at: string;
  updated_at: string;
};

type ApiScopes = { resource: string; scope: string };

type FieldOptions = OutputOptions &
  PortalOptions & {
    name?: string;
    externalId?: string | false;
    label?: Readonly<Record<string, string>> | false;
    allow?: ApiScopes[] | false;
    maxIntegrations?: number | false;
    maxAccessKeys?: number | false;
    maxKeyLifetime?: number | false;
    reveal?: boolean;
  };

const one = '/organizations/{id}';
const example = '5b1e7c3a-90d4-4c1e-8f27-6a0d2b9c4e18';

export function addOrganizationCommands(organizations: Command): void {
  const subject = { path: one, parameter: 'id', example } as const;
  addCreate(organizations);
  addListCommand<ShownOrganization>(organizations, {
    description: 'list organizations, newest first',
    route: 'GET /organizations',
    isSorted: true,
    options: [
      new Option('-q, --q <text>', 'search: first letters of words in the name, or an external id'),
      new Option('--status <status>', 'only organizations with this status').choices(['enabled', 'disabled']),
      labelOption(),
    ],
    columns: {
      id: ({ id }) => id,
      name: ({ name }) => name,
      external_id: (organization) => organization.external_id ?? '',
      status: ({ status }) => status,
      integrations: ({ integrations, ceiling }) => outOf(integrations, ceiling.integrations),
      'access keys': ({ access_keys: keys, ceiling }) => outOf(keys, ceiling.access_keys),
      contacts: ({ contacts }) => String(contacts),
    },
    examples: ['keyturn organizations list --status disabled', 'keyturn organizations list -q acme'],
  });
  addAct<ShownOrganization>(organizations, subject, {
    name: 'show',
    description: 'show an organization and its limits',
    method: 'GET',
    text: showOrganization,
  });
  addUpdate(organizations);
  addOffersCommand(organizations);
  addAct<ShownOrganization>(organizations, subject, {
    name: 'disable',
    description: 'disable an organization: reject its credentials and operator tokens, and revoke its tokens',
    method: 'POST',
    below: '/disable',
    question: (name) =>
      `Disable ${name}? Its integrations, access keys and operators stop working at once, and its live tokens are revoked.`,
    text: ({ name }) => `${name} is disabled.`,
  });
  addAct<ShownOrganization>(organizations, subject, {
    name: 'enable',
    description: 'enable an organization again; tokens that were revoked stay revoked',
    method: 'POST',
    below: '/enable',
    text: ({ name }) => `${name} is enabled.`,
  });
  addAct(organizations, subject, {
    name: 'delete',
    description: 'delete an organization with its disabled clients and its contacts',
    method: 'DELETE',
    question: (name) => `Delete ${name}? Its disabled clients and its contacts are deleted. This cannot be undone.`,
    json: (id) => ({ id, deleted: true }),
    text: (_, id) => `${id} was deleted.`,
  });
}

function addCreate(organizations: Command): void {
  withFields(organizations.command('create'))
    .description('create an organization')
    .requiredOption('--name <text>', 'name of the organization')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn organizations create --name 'Acme Ltd' --external-id acme
  keyturn organizations create --name 'Acme Ltd' --max-integrations 5 --max-key-lifetime 365d --allow https://api.example.com=orders:read,orders:create`,
    )
    .action(async (options: FieldOptions) => {
      const request = { body: toFields(options) };
      const created = await withAdmin((admin) => callAdmin<ShownOrganization>(admin, 'POST /organizations', request));
      present(options, created, () => showOrganization(created));
    });
}

function addUpdate(organizations: Command): void {
  withoutPortalOptions(withFields(organizations.command('update')))
    .description('change only the given fields and limits')
    .argument('<id>', 'the id of the organization')
    .option('--name <text>', 'name of the organization')
    .option('--no-external-id', 'remove the external id')
    .option('--no-label', 'remove every label')
    .option('--no-allow', 'allow every scope of every API')
    .option('--no-max-integrations', 'remove the limit of integrations')
    .option('--no-max-access-keys', 'remove the limit of access keys')
    .option('--no-max-key-lifetime', 'let access keys live for any time')
    .option('--reveal', 'let new secrets and access keys be shown again')
    .option('--json', 'print the changed organization as one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn organizations update ${example} --max-integrations 10
  keyturn organizations update ${example} --no-reveal`,
    )
    .action(async (id: string, options: FieldOptions) => {
      const request = { params: { id }, body: toFields(options) };
      const changed = await withAdmin((admin) => callAdmin<ShownOrganization>(admin, `PATCH ${one}`, request));
      present(options, changed, () => showOrganization(changed));
    });
}

function withFields(command: Command): Command {
  return withPortalOptions(command)
    .option('--external-id <id>', 'unique id of the organization in your own system')
    .option(
      '--label <key=value>',
      'a label to sort and filter by; repeatable, and those that are given replace all earlier ones',
      collectLabels,
    )
    .option(
      '--allow <resource=scopes>',
      'an API and the scopes of it that may be granted, separated by commas; repeatable, and those that are given replace all earlier ones',
      collectApis,
    )
    .option('--max-integrations <number>', 'how many integrations it may have', wholeNumber)
    .option('--max-access-keys <number>', 'how many enabled access keys its contacts may have', wholeNumber)
    .option('--max-key-lifetime <time>', 'the longest life of an access key, such as 24h or 90d', duration)
    .option('--no-reveal', 'delete the sealed copies of its secrets and access keys, and keep none from then on');
}

function toFields(options: FieldOptions): Json {
  const { name, externalId, label, allow, maxIntegrations, maxAccessKeys, maxKeyLifetime, reveal } = options;
  const orNull = <Value>(value: Value | false | undefined) => (value === false ? null : value);
  const ceiling = {
    scopes: orNull(allow),
    integrations: orNull(maxIntegrations),
    access_keys: orNull(maxAccessKeys),
    key_lifetime: orNull(maxKeyLifetime),
    reveal,
  };
  const given = Object.entries(ceiling).filter(([, limit]) => limit !== undefined);
  return {
    name,
    external_id: orNull(externalId),
    labels: label === false ? {} : label,
    ceiling: given.length > 0 ? Object.fromEntries(given) : undefined,
    portal: toPortal(options),
  };
}

function collectApis(text: string, earlier: ApiScopes[] | false | undefined): ApiScopes[] {
  const at = text.lastIndexOf('=');
  if (at < 1)
    throw new InvalidArgumentError('It must be a resource and scopes, such as https://api.example.com=orders:read.');
  const scope = text
    .slice(at + 1)
    .split(/[\s,]+/)
    .filter(Boolean)
    .join(' ');
  return [...(earlier || []), { resource: text.slice(0, at), scope }];
}

function outOf(count: number, max: number | null): string {
  return max === null ? String(count) : `${count} of ${max}`;
}

function showOrganization(organization: ShownOrganization): string {
  const { ceiling, labels } = organization;
  return sheet({
    id: organization.id,
    name: organization.name,
    external_id: organization.external_id ?? 'none',
    status: organization.status,
    ...(Object.keys(labels).length > 0
      ? {
          labels: Object.entries(labels)
            .map(([key, value]) => `${key}=${value}`)
            .join(', '),
        }
      : {}),
    integrations: outOf(organization.integrations, ceiling.integrations),
    'access keys': outOf(organization.access_keys, ceiling.access_keys),
    contacts: String(organization.contacts),
    'allowed scopes':
      ceiling.scopes?.map(({ resource, scope }) => `${resource}: ${scope || 'none'}`).join('; ') ?? 'all',
    'longest life of access keys': ceiling.key_lifetime === null ? 'no limit' : `${ceiling.key_lifetime} seconds`,
    'secrets can be revealed': ceiling.reveal ? 'yes' : 'no',
    'portal name': organization.portal.name ?? 'that of the deployment',
    'portal return URL': organization.portal.return_url ?? 'that of the deployment',
    created: organization.created_at,
    updated: organization.updated_at,
  });
}
