import type { Command, Option } from 'commander';
import { callAdmin, type Json, type Page } from './call-admin.ts';
import { withDatabase } from './stores.ts';
import { type OutputOptions, present, say, table } from './terminal.ts';

type List<Item, Options> = {
  description: string;
  /** Of the admin API; it answers in pages. */
  route: `GET /${string}`;
  /** Beside those of every list: limit, cursor and json. */
  options: readonly Option[];
  /** The options as the route's query has them, where they are called otherwise. */
  toQuery?: (options: Options) => Json;
  columns: Readonly<Record<string, (item: Item) => string>>;
  examples: readonly string[];
};

/** `list` of whatever the admin API lists in pages: a table for people, the API's own page for programs. */
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
    .option('--limit <number>', 'at most so many, up to 200', '50')
    .option('--cursor <cursor>', 'go on where the list before ended')
    .option('--json', 'one JSON object, with data and next_cursor');
}

export function presentPage<Item>(options: OutputOptions, page: Page<Item>, text: () => string): void {
  present(options, page, text);
  if (page.next_cursor && !options.json) say(`There are more: --cursor ${page.next_cursor}`);
}
