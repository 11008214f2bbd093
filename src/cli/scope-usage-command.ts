import type { Command } from 'commander';
import { describeId, type Subject } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { rowsOfUse } from './change-client.ts';
import { withAdmin } from './stores.ts';
import { type OutputOptions, present, say, table } from './terminal.ts';

type ShownScopeUsage = Json & {
  scopes: {
    scope: string;
    deprecated: boolean;
    used_by: { client_id: string; name: string; last_used_at: string }[];
    used_by_others: number;
  }[];
};

/** Adds `clients scope-usage`, which shows who uses the named scopes of a resource server. */
export function addScopeUsageCommand(clients: Command, { path, parameter, example }: Subject): void {
  clients
    .command('scope-usage')
    .description('show which clients used each named scope of a resource server in the last 30 days')
    .argument(`<${parameter}>`, describeId(parameter))
    .option('--json', 'print one JSON object')
    .addHelpText('after', `\nExamples:\n  keyturn clients scope-usage ${example}`)
    .action(async (id: string, { json }: OutputOptions) => {
      const request = { params: { [parameter]: id } };
      const usage = await withAdmin((admin) => callAdmin<ShownScopeUsage>(admin, `GET ${path}/scope-usage`, request));
      const named = usage.scopes.map((use) => (use.deprecated ? { ...use, scope: `${use.scope} (deprecated)` } : use));
      const rows = rowsOfUse(named);
      if (!json && rows.length === 0) return say('No client used a named scope in the last 30 days.');
      present(json ? { json } : {}, usage, () => table(['scope', 'client_id', 'name', 'last used'], rows));
    });
}
