import type { Command, Option } from 'commander';
import { callAdmin, type Json, type Page } from './call-admin.ts';
import { withDatabase } from './stores.ts';
import { type OutputOptions, present, say, table } from './terminal.ts';

type List<Item, Options> = {
  description: string;
  /** Route of the admin API that responds with pages. */
  route: `GET /${string}`;
  /** Options in addition to limit, cursor and json, which every list has. */
  options: readonly Option[];
  /** Converts the options to the route's query, if their names differ. */
  toQuery?: (options: Options) => Json;
  columns: Readonly<Record<string, (item: Item) => string>>;
  examples: readonly string[];
};

/** Adds `list` for a route that responds with pages. Prints a table for people, or the API's own page as JSON. */
export function addListCommand<Item, Options extends Json = Json>(parent: Command, list: List<Item, Options>): void {
  const command = parent.command('list').description(list.description);
  for (const option of list.options) command.addOption(option);
  withPages(command)
    .addHelpText('after', `\nExamples:\n${list.examples.map((example) => `  ${example}`).join('\n')}`)
    .action(async ({ json, ...options }: OutputOptions & Options) => {
      const given = options as unknown as Options;
      const query = list.toQuery?.(given) ?? given;
      const page = await withDatabase((core) => callAdmin<Page<Item>>(core, list.route, { query }));
      const cells = Object.values(list.columns);
      presentPage(json ? { json } : {}, page, () =>
        table(
          Object.keys(list.columns),
          page.data.map((item) => cells.map((cell) => cell(item))),
        ),
      );
    });
}

export function withPages(command: Command): Command {
  return command
    .option('--limit <number>', 'maximum number of items, up to 200', '50')
    .option('--cursor <cursor>', 'continue a list after its last item')
    .option('--json', 'print one JSON object with data and next_cursor');
}

export function presentPage<Item>(options: OutputOptions, page: Page<Item>, text: () => string): void {
  present(options, page, text);
  if (page.next_cursor && !options.json) say(`There are more items. Continue with --cursor ${page.next_cursor}`);
}
