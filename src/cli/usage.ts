import type { Command } from 'commander';
import { callAdmin } from './call-admin.ts';
import { describeUsage, type ShownUsage } from './describe-regeneration.ts';
import { withDatabase } from './stores.ts';
import { type OutputOptions, present } from './terminal.ts';

export function addUsageCommand(clients: Command): void {
  clients
    .command('usage')
    .description('tokens issued and refused, by the secret, and from where; with --json by the hour too')
    .argument('<client_id>', 'its Client ID')
    .option('--hours <number>', 'how far back, up to 720', '24')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExamples:\n  keyturn clients usage kti_4fW1mZ8qYc0RkT7pLs2VnB --hours 168')
    .action(async (clientId: string, { json, hours }: OutputOptions & { hours: string }) => {
      const request = { params: { client_id: clientId }, query: { hours } };
      const usage = await withDatabase((core) =>
        callAdmin<ShownUsage>(core, 'GET /clients/{client_id}/usage', request),
      );
      present(json ? { json } : {}, usage, () => describeUsage(usage));
    });
}
