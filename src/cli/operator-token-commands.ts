import { type Command, Option } from 'commander';
import { networkModes } from '../http/allowed-networks.ts';
import { addAct } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import {
  addNetworksCommand,
  type NetworkOptions,
  type ShownNetworks,
  showNetworks,
  toNetworkFields,
  withNetworks,
} from './network-options.ts';
import { withAdmin } from './stores.ts';
import { collect, duration, type OutputOptions, plain, present, presentSecret, say, sheet, table } from './terminal.ts';

/** Members of the admin API's operator token that are displayed. */
type ShownToken = Json &
  ShownNetworks & {
    id: string;
    contact_id: string;
    contact_name: string;
    name: string;
    hint: string;
    permissions: string[];
    organization_id: string | null;
    break_glass: boolean;
    expires_at: string | null;
    last_used_at: string | null;
  };
type Issued = ShownToken & { operator_token: string };

type CreateOptions = OutputOptions & {
  name: string;
  contact?: string;
  permission?: string[];
  organization?: string;
  network?: string[];
  networkMode?: string;
  expires?: string;
  breakGlass?: true;
};

const one = '/operator-tokens/{id}';
const example = '7d0c3f6e-2a57-4d1c-9b7d-0f3d9b6a1c52';

/** Adds the commands for operator tokens with a name and an end. */
export function addOperatorTokenCommands(group: Command): void {
  group
    .command('create')
    .description('issue an operator token with a name and an end; standard output contains only the token')
    .requiredOption('--name <text>', 'what the token is for')
    .option('--contact <id>', 'the id of the contact that the token acts as (default: you)')
    .option('--permission <permissions>', 'what it may do at most; repeatable, or separated by commas', collect)
    .option('--organization <id>', 'the id of the organization that it is limited to')
    .option('--network <cidr>', 'a network that it is accepted from; repeatable', collect)
    .addOption(
      new Option('--network-mode <mode>', 'outside these networks: enforce rejects, watch only counts').choices(
        networkModes,
      ),
    )
    .option('--expires <time>', 'time until it expires, such as 24h or 90d, or never (default: 90d)')
    .option('--break-glass', 'for emergencies: each use is recorded and shown on the home page')
    .option('--json', 'print one JSON object with operator_token')
    .addHelpText(
      'after',
      `\nExamples:\n  keyturn operator-tokens create --name pipeline --contact ${example} --permission integrations:view --network 203.0.113.0/24 --expires 30d`,
    )
    .action(async (options: CreateOptions) => {
      const body = {
        name: options.name,
        contact_id: options.contact,
        permissions: options.permission,
        organization_id: options.organization,
        allowed_networks: options.network,
        network_mode: options.networkMode,
        expires_at: options.expires === undefined ? undefined : endIn(options.expires),
        break_glass: options.breakGlass,
      };
      await withAdmin((admin) =>
        callAdmin<Issued>(admin, 'POST /operator-tokens', { body }, (issued) => presentIssued(options, issued)),
      );
    });
  group
    .command('list')
    .description('list operator tokens that have not expired: your own, or all if you may manage contacts')
    .option('--contact <id>', 'only those of this contact')
    .option('--json', 'print one JSON object with data')
    .addHelpText('after', '\nExamples:\n  keyturn operator-tokens list')
    .action(async (options: OutputOptions & { contact?: string }) => {
      const query = { contact_id: options.contact };
      const list = await withAdmin((admin) =>
        callAdmin<{ data: ShownToken[] }>(admin, 'GET /operator-tokens', { query }),
      );
      if (list.data.length === 0 && !options.json) return say('Nothing was found.');
      present(options, list, () =>
        table(
          ['id', 'name', 'contact', 'token', 'expires', 'last used', 'permissions'],
          list.data.map((token) => [
            token.id,
            plain(token.name),
            plain(token.contact_name),
            token.hint,
            token.expires_at ?? 'never',
            token.last_used_at ?? 'never',
            token.permissions.join(', '),
          ]),
        ),
      );
    });
  withNetworks(group.command('update'), { canRemove: true })
    .description('change the networks that an operator token is accepted from')
    .argument('<id>', 'the id of the operator token')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `\nExamples:\n  keyturn operator-tokens update ${example} --allowed-network 203.0.113.0/24 --network-mode watch`,
    )
    .action(async (id: string, options: OutputOptions & NetworkOptions) => {
      const request = { params: { id }, body: toNetworkFields(options) };
      const token = await withAdmin((admin) => callAdmin<ShownToken>(admin, `PATCH ${one}`, request));
      present(options, token, () => `${plain(token.name)} is accepted from ${showNetworks(token)}.`);
    });
  addNetworksCommand(group, { path: one, parameter: 'id', example });
  group
    .command('rotate')
    .description('replace an operator token; the previous one works until its grace period ends')
    .argument('<id>', 'the id of the operator token')
    .option('--overlap <time>', 'how long the previous token works, such as 0s, 24h or 7d (default: 24h)', duration)
    .option('--json', 'print one JSON object with operator_token')
    .addHelpText('after', `\nExamples:\n  keyturn operator-tokens rotate ${example} --overlap 1h > operator-token`)
    .action(async (id: string, options: OutputOptions & { overlap?: number }) => {
      const request = { params: { id }, body: { overlap_seconds: options.overlap } };
      await withAdmin((admin) =>
        callAdmin<Issued>(admin, `POST ${one}/rotate`, request, (issued) => presentIssued(options, issued)),
      );
    });
  const subject = { path: one, parameter: 'id', example, describe: async (_admin: unknown, id: string) => id } as const;
  addAct(group, subject, {
    name: 'acknowledge',
    description: 'acknowledge the use of an operator token for emergencies, which then needs no attention',
    method: 'POST',
    below: '/acknowledge',
    json: (id) => ({ id, acknowledged: true }),
    text: (_, id) => `The use of the operator token ${id} was acknowledged.`,
  });
  addAct(group, subject, {
    name: 'revoke',
    description: 'end an operator token at once',
    method: 'DELETE',
    question: (name) => `End the operator token ${name}? Programs that use it fail at once.`,
    json: (id) => ({ id, revoked: true }),
    text: (_, id) => `The operator token ${id} was ended.`,
  });
}

/** Returns the moment after a length of time, or null for `never`. */
function endIn(text: string): string | null {
  return text === 'never' ? null : new Date(Date.now() + duration(text) * 1_000).toISOString();
}

function presentIssued(options: OutputOptions, issued: Issued): void {
  const shown = sheet({
    id: issued.id,
    name: issued.name,
    contact: `${issued.contact_name} (${issued.contact_id})`,
    permissions: issued.permissions.join(', ') || 'none',
    organization: issued.organization_id ?? 'as its contact',
    networks: showNetworks(issued),
    expires: issued.expires_at ?? 'never',
    'break glass': issued.break_glass ? 'yes' : 'no',
  });
  presentSecret(options, issued, `${shown}\n\nThe operator token, which cannot be shown again:`, issued.operator_token);
}
