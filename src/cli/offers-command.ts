import type { Command } from 'commander';
import { callAdmin } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { type OutputOptions, present, table } from './terminal.ts';

type Offers = { data: { resource: string; name: string; scope: string }[] };

export function addOffersCommand(organizations: Command): void {
  organizations
    .command('offers')
    .description('list the APIs, and the scopes of them that an organization may have within its ceiling')
    .argument('[id]', 'the id of the organization; by default, that of the operator')
    .option('--json', 'print one JSON object with data')
    .addHelpText('after', '\nExamples:\n  keyturn organizations offers 5b1e7c3a-90d4-4c1e-8f27-6a0d2b9c4e18')
    .action(async (id: string | undefined, options: OutputOptions) => {
      const request = { query: { organization_id: id } };
      const offers = await withAdmin((admin) => callAdmin<Offers>(admin, 'GET /offers', request));
      const rows = offers.data.map(({ resource, name, scope }) => [resource, name, scope || 'none']);
      present(options, offers, () => table(['resource', 'name', 'scopes'], rows));
    });
}
