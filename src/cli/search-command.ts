import type { Command } from 'commander';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { type OutputOptions, present, say, table } from './terminal.ts';

/** Members of the admin API's response that are displayed. */
type ShownFound = Json & {
  data: { kind: string; id: string; name: string; detail: string }[];
  counts: { kind: string; has_more: boolean }[];
};

export function addSearchCommand(program: Command): void {
  program
    .command('search')
    .description(
      'find clients, access keys, contacts and organizations by a name, part of an ID, an e-mail address or a source',
    )
    .argument('<text>', 'for example the beginning or end of a Client ID, or the last four characters of a secret')
    .option('--limit <number>', 'maximum number of things of each kind, up to 50', '10')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn search acme
  keyturn search 4fW1
  keyturn search 192.0.2.1 --json | jq -r '.data[].id'`,
    )
    .action(async (q: string, { json, limit }: OutputOptions & { limit: string }) => {
      const found = await withAdmin((core) => callAdmin<ShownFound>(core, 'GET /search', { query: { q, limit } }));
      if (!json && found.data.length === 0) return say('Nothing was found.');
      present(json ? { json } : {}, found, () =>
        table(
          ['kind', 'id', 'name', 'detail'],
          found.data.map(({ kind, id, name, detail }) => [kind.replaceAll('_', ' '), id, name, detail]),
        ),
      );
      if (!json && found.counts.some((each) => each.has_more)) say('There is more. Raise --limit, or search for more.');
    });
}
