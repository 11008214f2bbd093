import { type Command, Option } from 'commander';
import { networkModes } from '../http/allowed-networks.ts';
import type { Subject } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { collect, type OutputOptions, present, say, sheet, table } from './terminal.ts';

/** Options and commands for the networks that clients, access keys and operator tokens are accepted from. */

export type NetworkOptions = { allowedNetwork?: string[]; anyNetwork?: true; networkMode?: string };

/** Members of the admin API that are displayed. */
export type ShownNetworks = { allowed_networks: string[] | null; network_mode: string };

type NetworkReport = ShownNetworks & {
  outside: { requests: number; since: string | null; last_at: string | null; last_address: string | null };
  seen: { network: string; addresses: number; last_used_at: string }[];
  proposed: string[];
  complete: boolean;
};

/** Adds the options of the allowed networks. @param canRemove whether they can be removed too. */
export function withNetworks(command: Command, { canRemove }: { canRemove: boolean }): Command {
  command
    .option(
      '--allowed-network <networks>',
      'accept the credential only from these addresses or CIDRs; repeatable, or separated by commas',
      collect,
    )
    .addOption(
      new Option(
        '--network-mode <mode>',
        'outside these networks: enforce rejects requests; watch accepts them, and counts what enforce would reject',
      ).choices(networkModes),
    );
  if (!canRemove) return command;
  return command.addOption(new Option('--any-network', 'accept it from everywhere').conflicts('allowedNetwork'));
}

/** Converts these options to the fields of the admin API. */
export function toNetworkFields({ allowedNetwork, anyNetwork, networkMode }: NetworkOptions): Json {
  return { allowed_networks: anyNetwork ? null : allowedNetwork, network_mode: networkMode };
}

/** Returns allowed networks as text. */
export function showNetworks({ allowed_networks: networks, network_mode: mode }: ShownNetworks): string {
  if (networks === null) return 'any';
  return `${networks.join(', ')}${mode === 'watch' ? ' (watched only)' : ''}`;
}

/** Adds `networks`, which shows where a credential was used from, and can allow only these networks. */
export function addNetworksCommand(parent: Command, { path, parameter, example }: Subject): void {
  parent
    .command('networks')
    .description('show from where it was used in 30 days and what its allowed networks reject, or allow what was seen')
    .argument(`<${parameter}>`, `the ${parameter === 'id' ? 'id' : 'Client ID'}`)
    .addOption(
      new Option(
        '--allow-seen <mode>',
        'allow the networks that were seen: watch first, to count what would be rejected, then enforce',
      ).choices(networkModes),
    )
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `\nExamples:\n  keyturn ${parent.name()} networks ${example}\n  keyturn ${parent.name()} networks ${example} --allow-seen watch`,
    )
    .action(async (id: string, options: OutputOptions & { allowSeen?: string }) => {
      const params = { [parameter]: id };
      const report = await withAdmin(async (admin) => {
        const read = () => callAdmin<NetworkReport>(admin, `GET ${path}/allowed-networks`, { params });
        const found = await read();
        if (options.allowSeen === undefined) return found;
        if (found.proposed.length === 0) {
          say('It was not used in the last 30 days, so there is nothing to allow. Nothing was changed.');
          return found;
        }
        const body = { allowed_networks: found.proposed, network_mode: options.allowSeen };
        await callAdmin(admin, `PATCH ${path}`, { params, body });
        return await read();
      });
      present(options, report as unknown as Json, () => showReport(report));
    });
}

function showReport(report: NetworkReport): string {
  const { outside, seen, complete } = report;
  const facts = sheet({
    'accepted from': showNetworks(report),
    'would be rejected':
      outside.requests === 0
        ? 'no request'
        : `${outside.requests} since ${outside.since}, the last at ${outside.last_at} from ${outside.last_address}`,
    proposed: report.proposed.join(', ') || 'nothing: it was not used in 30 days',
    ...(complete ? {} : { note: 'not all addresses are known, or there are too many networks' }),
  });
  const rows = seen.map(({ network, addresses, last_used_at: at }) => [network, String(addresses), at]);
  return rows.length === 0 ? facts : `${facts}\n\n${table(['network', 'addresses', 'last used'], rows)}`;
}
