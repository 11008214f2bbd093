import type { Command } from 'commander';
import { callAdmin, type Json } from './call-admin.ts';
import { describeSource, type ShownSource } from './describe-regeneration.ts';
import { withAdmin } from './stores.ts';
import { CommandEnd, type OutputOptions, paint, plain, present } from './terminal.ts';

/** Members of the admin API's response that are displayed. */
type ShownAttention = Json & {
  urgency: 'urgent' | 'soon' | 'later' | 'none';
  data: ShownItem[];
  counts: { kind: string; count: number }[];
};

type ShownItem = {
  kind: string;
  urgency: 'urgent' | 'soon' | 'later';
  client_id: string | null;
  access_key_id: string | null;
  operator_token_id: string | null;
  approval_id: string | null;
  webhook_id: string | null;
  name: string;
  contact_name: string | null;
  at: string | null;
  sources: ShownSource[];
  source_count: number;
  message: string;
  next_step: string;
};

const colours = { urgent: 'red', soon: 'yellow', later: 'dim' } as const;

export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description('list what needs attention, the most urgent first, and what to do next; changes nothing')
    .option('--limit <number>', 'maximum number of items of each kind, up to 50', '10')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn status
  keyturn status --json | jq '.data[] | select(.urgency == "urgent")'
  keyturn status --limit 1 --json | jq '.counts'

The exit code is 1 if something is urgent: requests fail now, or will within a day, or an
operator token for emergencies was used. Otherwise it is 0.`,
    )
    .action(async ({ json, limit }: OutputOptions & { limit: string }) => {
      const attention = await withAdmin((core) =>
        callAdmin<ShownAttention>(core, 'GET /attention', { query: { limit } }),
      );
      present(json ? { json } : {}, attention, () => describe(attention));
      if (attention.urgency === 'urgent') throw new CommandEnd(1);
    });
}

function describe({ data, counts }: ShownAttention): string {
  if (data.length === 0) return 'Nothing needs attention.';
  const more = counts
    .map(({ kind, count }) => ({ kind, more: count - data.filter((item) => item.kind === kind).length }))
    .filter((each) => each.more > 0)
    .map((each) => `${each.more} more: ${each.kind.replaceAll('_', ' ')}`);
  return [...data.map(describeItem), ...more].join('\n');
}

function describeItem(item: ShownItem): string {
  const { name, contact_name: contact, at, sources, source_count: total } = item;
  const of = contact === null ? name : `${name} (${contact})`;
  const places = sources.map((source) => describeSource(source, ' '));
  if (total > sources.length) places.push(`${total - sources.length} more`);
  const lines = [
    `${paint(colours[item.urgency], item.urgency.padEnd(6))}  ${plain(of)}  ${item.client_id ?? item.access_key_id ?? item.operator_token_id ?? item.approval_id ?? item.webhook_id ?? ''}`,
    `        ${item.message}${at ? ` (${at})` : ''}`,
    ...(places.length > 0 ? [`        ${plain(places.join(', '))}`] : []),
    `        → ${item.next_step}`,
  ];
  return lines.join('\n');
}
