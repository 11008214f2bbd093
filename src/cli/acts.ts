import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Sort } from '../storage/page-by-text.ts';
import { countOf } from '../text/count-text.ts';
import { callAdmin, type Json, type Page } from './call-admin.ts';
import { describeSource, type ShownSource } from './describe-regeneration.ts';
import { type Admin, withAdmin } from './stores.ts';
import { confirm, type OutputOptions, plain, present, presentSecret, say, table } from './terminal.ts';

/** Kind of object that a group of commands manages: a client, an access key or a contact. */
export type Subject = {
  /** Path in the admin API, such as `/clients/{client_id}`. */
  path: `/${string}`;
  /** Name of the parameter in the path and of the commands' argument. */
  parameter: string;
  example: string;
  /** Names a thing that the admin API does not show by itself. */
  describe?: (admin: Admin, id: string) => Promise<string>;
};

type Act<Answer> = {
  name: string;
  description: string;
  method: 'GET' | 'POST' | 'DELETE';
  /** Path below the subject's path. */
  below?: `/${string}`;
  /**
   * Returns the question that must be confirmed first, for a command that can break something. Before it, its use is
   * shown, if it is counted.
   * @param name the name of the thing with its id, and when it was last used, if it can be shown.
   */
  question?: (name: string, shown: ShownThing) => string;
  /** Returns the JSON result, for a route that responds without a body. */
  json?: (id: string) => Json;
  text: (answer: Answer, id: string) => string;
};

/** Adds a command that performs one action on one subject and takes only its id. */
export function addAct<Answer = Json>(parent: Command, subject: Subject, act: Act<Answer>): void {
  const { path, parameter, example } = subject;
  const command = parent
    .command(act.name)
    .description(act.description)
    .argument(`<${parameter}>`, describeId(parameter));
  if (act.question) command.option('-y, --yes', 'do not ask for confirmation');
  command
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `\nExamples:\n  keyturn ${parent.name()} ${act.name} ${example}${act.question ? ' --yes' : ''}`,
    )
    .action(async (id: string, options: OutputOptions & { yes?: true }) => {
      const answer = await withAdmin(async (admin) => {
        const params = { [parameter]: id };
        if (act.question && !options.yes) await ask(admin, subject, params, act.question);
        return await callAdmin<Answer>(admin, `${act.method} ${path}${act.below ?? ''}`, { params });
      });
      present(options, act.json?.(id) ?? answer, () => act.text(answer, id));
    });
}

/** Members of a client, an access key or a contact that questions show. */
type ShownThing = {
  name: string;
  kind?: string;
  email?: string;
  operator_token_hint?: string | null;
  last_used_at?: string | null;
};

/** Shows the use of a thing, and asks for confirmation. @throws {CommandEnd} as `confirm`. */
async function ask(
  admin: Admin,
  { path, describe, parameter }: Subject,
  params: Json,
  question: (name: string, shown: ShownThing) => string,
): Promise<void> {
  const id = String(params[parameter]);
  if (describe) return await confirm(question(await describe(admin, id), { name: id }), {});
  const shown = await callAdmin<ShownThing>(admin, `GET ${path}`, { params });
  const use = await describeUse(admin, path, params);
  await confirm([...use, question(nameThing(shown, id), shown)].join('\n'), {});
}

/** Names a thing in a question, so that a wrong id is noticed, and says when it was last used. */
export async function nameOf(admin: Admin, path: Subject['path'], params: Json, id: string): Promise<string> {
  return nameThing(await callAdmin<ShownThing>(admin, `GET ${path}`, { params }), id);
}

function nameThing({ name, email, operator_token_hint: hint, last_used_at: at }: ShownThing, id: string): string {
  const notes = [
    id,
    ...(email === undefined ? [] : [email]),
    ...(hint ? [`operator token ${hint}`] : []),
    ...(at === undefined ? [] : [`last used ${at ?? 'never'}`]),
  ];
  return plain(`"${name}" (${notes.join(', ')})`);
}

/** Says how much a client or an access key was used, in the lines before a question about it. */
export async function describeUse(admin: Admin, path: Subject['path'], params: Json): Promise<string[]> {
  if (path !== '/clients/{client_id}' && path !== '/access-keys/{id}') return [];
  const query = { hours: '720' };
  const usage = await callAdmin<ShownUsage>(admin, `GET ${path}/usage`, { params, query });
  const all = [...usage.secrets, usage.without_secret];
  const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
  const sources = all.flatMap((used) => used.sources.map((source) => describeSource(source, ' ')));
  const counts = [
    countOf(sum(all.map(({ issued }) => issued)), 'token'),
    countOf(sum(all.map(({ used }) => used)), 'other use'),
    countOf(sum(all.flatMap(({ refused }) => Object.values(refused))), 'rejected request'),
  ];
  const from = [...new Set(sources)];
  const named = from.slice(0, shownSources).join(', ') + (from.length > shownSources ? ', …' : '');
  const places = `${countOf(from.length, 'source')}${named && ` (${named})`}`;
  return [plain(`In the last 30 days: ${counts.join(', ')}, from ${places}.`)];
}

const shownSources = 3;

/**
 * Adds `reveal`, which prints only the secret to standard output. @param member member of the response that contains
 * the secret.
 */
export function addReveal(
  parent: Command,
  { path, parameter, example }: Subject,
  { below, secret, member }: { below: `/${string}`; secret: string; member: string },
): void {
  parent
    .command('reveal')
    .description(
      `print the current ${secret} again; standard output contains only the ${secret}, and the audit log records it first`,
    )
    .argument(`<${parameter}>`, describeId(parameter))
    .option('--json', `print one JSON object with ${parameter} and ${member}`)
    .addHelpText('after', `\nExamples:\n  keyturn ${parent.name()} reveal ${example} | pbcopy`)
    .action(async (id: string, options: OutputOptions) => {
      const params = { [parameter]: id };
      const revealed = await withAdmin((admin) => callAdmin<Json>(admin, `POST ${path}${below}`, { params }));
      presentSecret(options, revealed, `The ${secret} of ${id}:`, String(revealed[member]));
    });
}

/** Describes the id that a command takes, by the name of its argument. */
export function describeId(parameter: string): string {
  return parameter === 'client_id' ? 'the Client ID' : `the ${parameter}`;
}

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
      const usage = await withAdmin((admin) => callAdmin<ShownUsage>(admin, `GET ${path}/usage`, request));
      present(json ? { json } : {}, usage, () => describeUsage(usage));
    });
}

type List<Item, Options> = {
  description: string;
  /** Route of the admin API that responds with pages. */
  route: `GET /${string}`;
  /** Options in addition to limit, cursor and json, which every list has. */
  options: readonly Option[];
  /** Whether the list has an order that can be chosen. */
  isSorted?: true;
  /** Converts the options to the route's query, if their names differ. */
  toQuery?: (options: Options) => Json;
  columns: Readonly<Record<string, (item: Item) => string>>;
  examples: readonly string[];
};

/** Adds `list` for a route that responds with pages. Prints a table for people, or the API's own page as JSON. */
export function addListCommand<Item, Options extends Json = Json>(parent: Command, list: List<Item, Options>): void {
  const command = parent.command('list').description(list.description);
  for (const option of list.options) command.addOption(option);
  if (list.isSorted) command.addOption(orderOption());
  withPages(command)
    .addHelpText('after', `\nExamples:\n${list.examples.map((example) => `  ${example}`).join('\n')}`)
    .action(async ({ json, all, ...options }: OutputOptions & PageOptions & Options) => {
      const given = options as unknown as Options;
      const query = list.toQuery?.(given) ?? given;
      const page = await withAdmin((admin) => readPage<Item>(admin, list.route, { query }, all));
      const cells = Object.values(list.columns);
      presentPage(json ? { json } : {}, page, () =>
        table(
          Object.keys(list.columns),
          page.data.map((item) => cells.map((cell) => cell(item))),
        ),
      );
    });
}

const orders: readonly Sort[] = ['-created_at', 'created_at', 'name', '-name'];

function orderOption(): Option {
  return new Option('--order <order>', 'by creation or by name; - stands for descending').choices(orders);
}

export type PageOptions = { all?: true };

export function withPages(command: Command): Command {
  return command
    .addOption(new Option('--limit <number>', 'maximum number of items, 1 to 200').default('50').argParser(pageSize))
    .option('--cursor <cursor>', 'another page of a list, by the cursor that was printed with this one')
    .addOption(new Option('--all', 'print every item, however many').conflicts(['cursor', 'limit']))
    .option('--json', 'print one JSON object with data and next_cursor');
}

function pageSize(text: string): string {
  if (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= 200) return text;
  throw new InvalidArgumentError('It must be a number from 1 to 200. --all prints every item.');
}

/** Reads one page of a list, or all of them as one. */
export async function readPage<Item>(
  admin: Admin,
  route: `GET /${string}`,
  request: { params?: Json; query?: Json },
  all: true | undefined,
): Promise<Page<Item>> {
  const read = (more: Json) =>
    callAdmin<Page<Item>>(admin, route, { ...request, query: { ...request.query, ...more } });
  if (!all) return await read({});
  const data: Item[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page: Page<Item> = await read({ limit: '200', cursor });
    data.push(...page.data);
    cursor = page.next_cursor;
  }
  return { data, next_cursor: null };
}

export function presentPage<Item>(options: OutputOptions, page: Page<Item>, text: () => string): void {
  if (page.data.length === 0 && !options.json) say('Nothing was found.');
  else present(options, page, text);
  if (options.json) return;
  if (page.previous_cursor) say(`The previous page: --cursor ${page.previous_cursor}`);
  if (page.next_cursor) say(`There are more items. Continue with --cursor ${page.next_cursor}`);
}

/** Members of the admin API's usage that are displayed. */
type ShownUsage = {
  secrets: (UsedSecret & { hint: string; status: string })[];
  without_secret: UsedSecret;
  /** Absent for an access key. */
  keys?: (UsedSecret & { type: string; kid: string | null; thumbprint: string })[];
};

type UsedSecret = {
  issued: number;
  used: number;
  refused: Record<string, number>;
  sources: (ShownSource & { last_used_at: string | null; refused_at: string | null })[];
};

/** Describes the use of each secret, key and certificate in one line. */
function describeUsage({ secrets, without_secret: without, keys = [] }: ShownUsage): string {
  const ofKeys = keys.map((key) => ({ ...key, hint: plain(key.kid ?? key.thumbprint), status: key.type }));
  const rows = [...secrets, ...ofKeys, { ...without, hint: '(none of its secrets)', status: '' }].map((used) => [
    used.hint,
    used.status,
    String(used.issued),
    String(used.used),
    Object.entries(used.refused)
      .map(([reason, count]) => `${reason} ${count}`)
      .join(', '),
    used.sources.map((source) => plain(describeSource(source, ' '))).join(', '),
  ]);
  return table(['secret or key', 'status', 'tokens', 'other use', 'rejected', 'from'], rows);
}
