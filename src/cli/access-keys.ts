import { type Command, InvalidArgumentError, Option } from 'commander';
import { otherScopes, toPermissions, toScope } from '../access-keys/access-key.ts';
import { isScopeName, scopeNameForm } from '../clients/declared-scopes.ts';
import { addAct, addListCommand, addReveal, addUsageCommand, type Subject } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import {
  labelOption,
  type NoteOptions,
  type ShownNotes,
  showNotes,
  stateOption,
  toNoteFields,
  withNotes,
} from './detail-options.ts';
import { addDisableCommand } from './disable-access-keys.ts';
import {
  addNetworksCommand,
  type NetworkOptions,
  type ShownNetworks,
  showNetworks,
  toNetworkFields,
  withNetworks,
} from './network-options.ts';
import { addRegenerationCommands } from './regenerate.ts';
import { withAdmin } from './stores.ts';
import { collect, type OutputOptions, present, presentSecret, sheet, time, wholeNumber } from './terminal.ts';

/** Members of the admin API's access key that are displayed. */
type ShownKey = Json &
  ShownNotes &
  ShownNetworks & {
    id: string;
    contact_id: string;
    name: string;
    status: string;
    permissions: Permissions;
    scope: string;
    clients: string[] | null;
    standalone: boolean;
    requests_per_minute: number | null;
    reveal: boolean;
    hint: string;
    expires_at: string | null;
    retires_at: string | null;
    last_used_at: string | null;
    usage: { granted: number; used: number; since: string; used_scope: string[]; used_permissions: Permissions | null };
    created_at: string;
    updated_at: string;
  };

type Permissions = Record<string, string[]>;

type FieldOptions = OutputOptions &
  NoteOptions &
  NetworkOptions & {
    name?: string;
    permission?: string[];
    client?: string[];
    anyClient?: true;
    standalone?: boolean;
    requestsPerMinute?: number;
    expiresAt?: Date;
    neverExpires?: true;
  };

const one = '/access-keys/{id}';
const example = '9d2b7c1e-6a0f-4f1b-8a55-2f6f0c9d3b10';

export function addAccessKeyCommands(keys: Command): void {
  const subject = { path: one, parameter: 'id', example } as const;
  addCreate(keys);
  addList(keys);
  addAct<ShownKey>(keys, subject, {
    name: 'show',
    description: 'show an access key and the permissions that were used, without its value',
    method: 'GET',
    text: showKey,
  });
  addUpdate(keys);
  addActs(keys, subject);
  addReveal(keys, subject, { below: '/reveal', secret: 'access key', member: 'access_key' });
  addRegenerationCommands(keys, { ...subject, secret: 'access key', member: 'access_key' });
  addUsageCommand(keys, subject);
  addNetworksCommand(keys, subject);
}

function addCreate(keys: Command): void {
  withNetworks(withNotes(withFields(keys.command('create')), { canRemove: false }), { canRemove: false })
    .description('create an access key for a contact; standard output contains only its value')
    .requiredOption('--contact <id>', 'the id of the contact')
    .requiredOption('--name <text>', 'name of the key, unique within the contact')
    .option('--no-reveal', 'keep no sealed copy, so that the value can never be shown again')
    .option('--json', 'print one JSON object with id and access_key')
    .addHelpText(
      'after',
      `
Examples:
  keyturn access-keys create --contact 3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11 --name Warehouse --permission orders:read,orders:update
  keyturn access-keys create --contact 3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11 --name Trial --permission orders:read --client kti_4fW1mZ8qYc0RkT7pLs2VnB --expires-at 2027-01-01 --json | jq -r .access_key`,
    )
    .action(async (options: FieldOptions & { contact: string; reveal: boolean }) => {
      const fields = toFields(options);
      const body = {
        ...fields,
        permissions: fields['permissions'] ?? {},
        reveal: options.reveal ? undefined : false,
      };
      await withAdmin((admin) =>
        callAdmin<ShownKey & { access_key: string }>(
          admin,
          'POST /contacts/{id}/access-keys',
          { ...of(options.contact), body },
          (created) => presentSecret(options, created, `${showKey(created)}\n\nThe access key:`, created.access_key),
        ),
      );
    });
}

function addList(keys: Command): void {
  addListCommand<
    ShownKey,
    Json & { state?: string; organization?: string; contact?: string; client?: string; unusedForDays?: string }
  >(keys, {
    description: 'list the access keys of all contacts, newest first',
    route: 'GET /access-keys',
    isSorted: true,
    options: [
      new Option('--contact <id>', 'only keys of this contact'),
      new Option('--organization <id>', 'only keys of the contacts of this organization'),
      new Option('--client <client_id>', 'only keys that may be used with this client, limited to it or not'),
      new Option('--status <status>', 'only keys with this status').choices(['enabled', 'disabled', 'expired']),
      new Option(
        '-q, --q <text>',
        'search: first letters of words in the name of the key or of its contact, or … and the last four characters of a value',
      ),
      new Option('--unused-for-days <days>', 'only keys that were neither used nor created in the last days'),
      labelOption(),
      stateOption(),
    ],
    toQuery: ({ state, organization, contact, client, unusedForDays, ...query }) => ({
      ...query,
      state: state?.replaceAll('-', '_'),
      organization_id: organization,
      contact_id: contact,
      client_id: client,
      unused_for_days: unusedForDays,
    }),
    columns: {
      id: (key) => key.id,
      name: (key) => key.name,
      contact: (key) => key.contact_id,
      status: (key) => key.status,
      value: (key) => (key.retires_at ? `${key.hint}, retiring` : key.hint),
      permissions: (key) => showPermissions(key),
      'last used': (key) => key.last_used_at ?? 'never',
      expires: (key) => key.expires_at ?? 'never',
    },
    examples: [
      'keyturn access-keys list --status enabled --unused-for-days 90',
      'keyturn access-keys list --client kti_4fW1mZ8qYc0RkT7pLs2VnB',
      'keyturn access-keys list --contact 3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11',
      "keyturn access-keys list --json --limit 200 | jq -r '.data[] | select(.usage.used < .usage.granted) | .id'",
    ],
  });
}

function addActs(keys: Command, subject: Subject): void {
  addDisableCommand(keys, subject);
  addAct<ShownKey>(keys, subject, {
    name: 'enable',
    description: 'enable the key again',
    method: 'POST',
    below: '/enable',
    text: (key) => `${key.name} (${key.id}) is ${key.status}.`,
  });
  addAct(keys, subject, {
    name: 'remove',
    description: 'remove a key that was never used; a key that was used can only be disabled',
    method: 'DELETE',
    question: (name) => `Remove ${name}? This cannot be undone.`,
    json: (id) => ({ id, removed: true }),
    text: (_, id) => `${id} was removed.`,
  });
}

function addUpdate(keys: Command): void {
  withNetworks(withNotes(withFields(keys.command('update')), { canRemove: true }), { canRemove: true })
    .description('change only the given fields; live tokens follow at once')
    .argument('<id>', 'the id of the access key')
    .option('--name <text>', 'name of the key, unique within the contact')
    .addOption(new Option('--any-client', 'allow every client').conflicts('client'))
    .option('--no-standalone', 'accept the key only together with a client')
    .addOption(new Option('--never-expires', 'remove the expiry time').conflicts('expiresAt'))
    .option('--json', 'print the changed access key as one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn access-keys update ${example} --permission orders:read
  keyturn access-keys update ${example} --any-client --never-expires
  keyturn access-keys update ${example} --label site=HAM --claim site=HAM`,
    )
    .action(async (id: string, options: FieldOptions) => {
      const request = { ...of(id), body: toFields(options) };
      const key = await withAdmin((admin) => callAdmin<ShownKey>(admin, `PATCH ${one}`, request));
      present(options, key, () => showKey(key));
    });
}

function withFields(command: Command): Command {
  return command
    .option(
      '--permission <permissions>',
      'all permissions of the key, such as orders:read or a named scope, or none; repeatable, or separated by commas',
      collectPermissions,
    )
    .option(
      '--client <client_ids>',
      'allow only these clients to use the key; repeatable, or separated by commas',
      collect,
    )
    .option('--standalone', 'let the key work alone, without a client (needs KEYTURN_STANDALONE_KEYS=on)')
    .option('--requests-per-minute <number>', 'limit of a key that works alone; 0 removes it', wholeNumber)
    .option('--expires-at <time>', 'when the key expires, such as 2027-01-31', time);
}

function collectPermissions(value: string, earlier?: readonly string[]): string[] {
  const wrong = collect(value).find((item) => !isScopeName(item));
  if (wrong !== undefined) throw new InvalidArgumentError(`${wrong} ${scopeNameForm}.`);
  return collect(value, earlier);
}

function toFields(options: FieldOptions): Json {
  const scope = options.permission && [...new Set(options.permission)].filter((item) => item !== 'none');
  return {
    name: options.name,
    permissions: scope && toPermissions(scope),
    scope: scope && otherScopes(scope).join(' '),
    clients: options.anyClient ? null : options.client,
    standalone: options.standalone,
    ...toNetworkFields(options),
    requests_per_minute: options.requestsPerMinute === 0 ? null : options.requestsPerMinute,
    expires_at: options.neverExpires ? null : options.expiresAt?.toISOString(),
    ...toNoteFields(options),
  };
}

function of(id: string): { params: Json } {
  return { params: { id } };
}

function showPermissions({ permissions, scope }: Pick<ShownKey, 'permissions' | 'scope'>): string {
  return [...toScope(permissions), ...scope.split(' ').filter(Boolean)].join(', ');
}

function showUse({
  granted,
  used,
  since,
  used_scope: scope,
  used_permissions: permissions,
}: ShownKey['usage']): string {
  if (!permissions) return `no use reported since ${since}`;
  return `${used} of ${granted} since ${since}: ${scope.join(', ')}`;
}

function showKey(key: ShownKey): string {
  return sheet({
    id: key.id,
    name: key.name,
    contact: key.contact_id,
    status: key.status,
    permissions: showPermissions(key) || 'none',
    'used permissions': showUse(key.usage),
    clients: key.clients?.join(', ') ?? 'any',
    'works alone': key.standalone ? 'yes' : 'no',
    networks: showNetworks(key),
    'requests per minute': key.requests_per_minute?.toString() ?? 'no limit',
    value: key.retires_at ? `${key.hint}; the previous value is valid until ${key.retires_at}` : key.hint,
    ...showNotes(key),
    'can be revealed': key.reveal ? 'yes' : 'no',
    expires: key.expires_at ?? 'never',
    created: key.created_at,
    updated: key.updated_at,
    'last used': key.last_used_at ?? 'never',
  });
}
