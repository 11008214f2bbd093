import type { Command } from 'commander';
import type { Subject } from './acts.ts';
import { callAdmin } from './call-admin.ts';
import { describeUsage, type ShownUsage } from './describe-regeneration.ts';
import { withDatabase } from './stores.ts';
import { type OutputOptions, present } from './terminal.ts';

export function addUsageCommand(parent: Command, { path, parameter, example }: Subject): void {
  parent
    .command('usage')
    .description('tokens issued and refused, by the secret, and from where; with --json by the hour too')
    .argument(`<${parameter}>`, 'of which')
    .option('--hours <number>', 'how far back, up to 720', '24')
    .option('--json', 'one JSON object')
    .addHelpText('after', `\nExamples:\n  keyturn ${parent.name()} usage ${example} --hours 168`)
    .action(async (id: string, { json, hours }: OutputOptions & { hours: string }) => {
      const request = { params: { [parameter]: id }, query: { hours } };
      const usage = await withDatabase((core) => callAdmin<ShownUsage>(core, `GET ${path}/usage`, request));
      present(json ? { json } : {}, usage, () => describeUsage(usage));
    });
}
