import { type Command, Option } from 'commander';
import { type CalendarItem, writeCalendar } from '../attention/expiration-calendar.ts';
import { readPage } from './acts.ts';
import { withAdmin } from './stores.ts';
import { CommandEnd, type OutputOptions, plain, present, say, table, writeToStandardOutput } from './terminal.ts';

type ShownExpiration = CalendarItem & { client_id: string | null; access_key_id: string | null };

export function addExpirationsCommand(program: Command): void {
  program
    .command('expirations')
    .description('list everything that ends in the next days, the first to end first; changes nothing')
    .option('--days <number>', 'number of days to look ahead, up to 400', '30')
    .addOption(new Option('--ics', 'print an iCalendar file (RFC 5545)').conflicts('json'))
    .option('--json', 'print one JSON object with data')
    .addHelpText(
      'after',
      `
Examples:
  keyturn expirations
  keyturn expirations --days 14 --json | jq -r '.data[] | [.at, .kind, .name] | @tsv'
  keyturn expirations --days 365 --ics > keyturn.ics

The exit code is 3 if something ends within these days that somebody must act on, so that a scheduled job can report it.
Otherwise, and with --ics, it is 0. The automatic rotation of the signing key needs no act.`,
    )
    .action(async ({ json, ics, days }: OutputOptions & { ics?: true; days: string }) => {
      const page = await withAdmin((admin) =>
        readPage<ShownExpiration>(admin, 'GET /expirations', { query: { days } }, true),
      );
      if (ics) return writeToStandardOutput(writeCalendar(page.data, Date.now()));
      if (page.data.length === 0 && !json) say(`Nothing ends in the next ${days} days.`);
      else present(json ? { json } : {}, { data: page.data }, () => describe(page.data));
      if (page.data.some(({ next_step: step }) => step !== null)) throw new CommandEnd(3);
    });
}

function describe(items: readonly ShownExpiration[]): string {
  return table(
    ['ends', 'kind', 'name', 'id', 'what to do'],
    items.map((item) => [
      item.at,
      item.kind.replaceAll('_', ' '),
      plain(item.contact_name === null ? item.name : `${item.name} (${item.contact_name})`),
      item.client_id ?? item.access_key_id ?? item.id.replace(/^.*:/, ''),
      item.next_step ?? '',
    ]),
  );
}
