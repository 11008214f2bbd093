import type { Command } from 'commander';
import { describeId, type Subject } from './acts.ts';
import { callAdmin } from './call-admin.ts';
import { describeUsage, type ShownUsage } from './describe-regeneration.ts';
import { withDatabase } from './stores.ts';
import { type OutputOptions, present } from './terminal.ts';

export function addUsageCommand(parent: Command, { path, parameter, example }: Subject): void {
  parent
    .command('usage')
    .description('show issued tokens and rejected requests by secret and source; --json adds numbers per hour')
    .argument(`<${parameter}>`, describeId(parameter))
    .option('--hours <number>', 'number of hours to look back, up to 720', '24')
    .option('--json', 'print one JSON object')
    .addHelpText('after', `\nExamples:\n  keyturn ${parent.name()} usage ${example} --hours 168`)
    .action(async (id: string, { json, hours }: OutputOptions & { hours: string }) => {
      const request = { params: { [parameter]: id }, query: { hours } };
      const usage = await withDatabase((core) => callAdmin<ShownUsage>(core, `GET ${path}/usage`, request));
      present(json ? { json } : {}, usage, () => describeUsage(usage));
    });
}
