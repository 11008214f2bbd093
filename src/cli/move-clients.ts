import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { stringify } from 'csv-stringify/sync';
import type { ForeignClient, ImportReview } from '../clients/import-clients.ts';
import type { Core } from '../core.ts';
import { callAdmin, type Json, type Page } from './call-admin.ts';
import { startProgress } from './progress.ts';
import { type ForeignClients, readForeignClients } from './read-foreign-clients.ts';
import { commandActor, withDatabase } from './stores.ts';
import { CommandEnd, type OutputOptions, print, say, table, toJson } from './terminal.ts';

type ImportOptions = OutputOptions & {
  check?: true;
  skipRefused?: true;
  freshSecrets?: true;
  mapScope?: ReadonlyMap<string, string>;
  dropUnknownScopes?: true;
};

type Outcome = ImportReview & { made: ReadonlyMap<string, string>; imported: number };

const shownRefusals = 50;

/** `import` and `export`: moving over from another server, or to another one. */
export function addMoveCommands(clients: Command): void {
  addImport(clients);
  addExport(clients);
}

function addImport(clients: Command): void {
  clients
    .command('import')
    .description('register the clients of another server, with the Client IDs and secrets that they have')
    .argument('<file>', "CSV, or JSON: Hydra's or Auth0's clients, a Keycloak realm; - for standard input")
    .option('--check', 'import nothing; tell what would be refused')
    .option('--skip-refused', 'import the others; otherwise all or none')
    .option('--fresh-secrets', 'where a secret cannot be kept (none, hashed, weak), make a new one and print it once')
    .option('--map-scope <from=to>', 'a scope and what it is called here; repeated', mapScope)
    .option('--drop-unknown-scopes', 'leave out scopes that no resource server offers')
    .option('--json', 'one JSON object, with imported, refused, skipped and new secrets')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients import clients.csv --check
  hydra list oauth2-clients --format json | keyturn clients import - --fresh-secrets --map-scope orders.read=orders:read > new-secrets.csv
  keyturn clients import realm-export.json --drop-unknown-scopes --skip-refused

CSV has a heading: client_id,client_secret,name,scope,enabled; only client_id is needed.
A secret is kept if it has 16 to 256 printable characters and is hard to guess: 80 bits or more, where repeats, runs, common
words, the Client ID and the name hardly count. No two clients may have the same one.
Exits with 1 when something was refused and nothing was imported.`,
    )
    .action(async (file: string, options: ImportOptions) => {
      const read = readForeignClients(await readInput(file));
      const outcome = await withDatabase((core) => runImport(core, read, options));
      presentOutcome(options, read, outcome);
    });
}

async function runImport(core: Core, { rows }: ForeignClients, options: ImportOptions): Promise<Outcome> {
  const { importClients, reviewImport } = await import('../clients/import-clients.ts');
  const offered = options.dropUnknownScopes ? await offeredHere(core) : undefined;
  const mapped = rows.map((row) => ({ ...row, scope: toOurScope(row, options.mapScope, offered) }));
  const policy = options.freshSecrets ? 'renew' : 'keep';
  const progress = startProgress('Importing');
  try {
    return await core.change(async (transaction) => {
      const review = await reviewImport(transaction, core, mapped, policy);
      const { accepted, refused } = review;
      const isOff = options.check || (refused.length > 0 && !options.skipRefused);
      if (isOff) return { ...review, made: new Map(), imported: 0 };
      const made = await importClients(transaction, core, commandActor(), accepted, (done) =>
        progress.show(done, accepted.length),
      );
      return { ...review, made, imported: accepted.length };
    });
  } finally {
    progress.end();
  }
}

async function offeredHere({ clients }: Core): Promise<Set<string>> {
  const { scopesOfferedBy } = await import('../clients/client.ts');
  return scopesOfferedBy(await clients.resourceServers());
}

function toOurScope(
  { scope }: ForeignClient,
  names: ReadonlyMap<string, string> = new Map(),
  offered: ReadonlySet<string> | undefined,
): string[] {
  const ours = new Set(scope.map((one) => names.get(one) ?? one));
  return [...ours].filter((one) => !offered || offered.has(one));
}

function presentOutcome(options: ImportOptions, { skipped }: ForeignClients, outcome: Outcome): void {
  const { accepted, refused, made, imported } = outcome;
  const refusals = refused.map(({ row, reasons }) => ({ place: row.place, client_id: row.clientId, reasons }));
  if (options.json) {
    const secrets = [...made].map(([client_id, client_secret]) => ({ client_id, client_secret }));
    const skippedIds = skipped.map(({ place, clientId }) => ({ place, client_id: clientId }));
    print(toJson({ imported, acceptable: accepted.length, refused: refusals, skipped: skippedIds, secrets }));
  } else {
    if (skipped.length > 0) say(`${skipped.length} skipped: they do not use the client-credentials grant.`);
    if (refusals.length > 0) {
      const rows = refusals.slice(0, shownRefusals).map((one) => [one.place, one.client_id, one.reasons.join('; ')]);
      say(table(['refused', 'client_id', 'why'], rows, process.stderr));
    }
    if (refusals.length > shownRefusals) say(`… and ${refusals.length - shownRefusals} more; --json tells all.`);
    say(summary(options, outcome));
    if (made.size > 0) print(toCsv(['client_id', 'client_secret'], [...made]));
  }
  if (refused.length > 0 && imported === 0) throw new CommandEnd(1);
}

function summary({ check }: ImportOptions, { accepted, refused, imported, made }: Outcome): string {
  const refusals = `${refused.length} refused`;
  if (check) return `${accepted.length} can be imported, ${refusals}. Nothing was changed.`;
  if (refused.length > 0 && imported === 0)
    return `${refusals}: nothing was imported. --skip-refused imports the others.`;
  const fresh = made.size > 0 ? `; ${made.size} have new secrets, told here and never again in a list` : '';
  return `${imported} imported, ${refusals}${fresh}.`;
}

/** The members of the admin API's client that are exported: RFC 7591's words where it has one. */
type ExportedClient = Json & {
  client_id: string;
  name: string;
  kind: string;
  status: string;
  scope: string;
  auth_method: string;
  jwks: unknown;
  jwks_uri: string | null;
};

function addExport(clients: Command): void {
  clients
    .command('export')
    .description('print all integrations for another server; never a secret')
    .addOption(new Option('--format <format>', 'how').choices(['json', 'csv']).default('json'))
    .option('--json', 'the same as --format json')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients export > clients.json
  keyturn clients export --format csv > clients.csv`,
    )
    .action(async ({ format, json }: OutputOptions & { format: 'json' | 'csv' }) => {
      const found = await withDatabase(readAllClients);
      if (json || format === 'json') return print(toJson(found.map(toRegistration)));
      const rows = found.map((one) => [one.client_id, one.name, one.scope, String(one.status === 'enabled')]);
      return print(toCsv(['client_id', 'name', 'scope', 'enabled'], rows));
    });
}

async function readAllClients(core: Core): Promise<ExportedClient[]> {
  const found: ExportedClient[] = [];
  let cursor: string | undefined;
  do {
    const query = { kind: 'integration', limit: '200', cursor };
    const page: Page<ExportedClient> = await callAdmin(core, 'GET /clients', { query });
    found.push(...page.data);
    cursor = page.next_cursor ?? undefined;
  } while (cursor);
  return found;
}

function toRegistration(client: ExportedClient): Json {
  return {
    client_id: client.client_id,
    client_name: client.name,
    enabled: client.status === 'enabled',
    scope: client.scope,
    grant_types: ['client_credentials'],
    token_endpoint_auth_method: client.auth_method,
    ...(client.jwks ? { jwks: client.jwks } : {}),
    ...(client.jwks_uri ? { jwks_uri: client.jwks_uri } : {}),
  };
}

/** A name that a spreadsheet would take for a formula is written as text (CWE-1236). */
function toCsv(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  return stringify([heading, ...rows], { escape_formulas: true }).trimEnd();
}

async function readInput(file: string): Promise<string> {
  try {
    return file === '-' ? await readAll(process.stdin) : await readFile(file, 'utf8');
  } catch (error) {
    throw new CommandEnd(2, `error: ${(error as Error).message}`);
  }
}

function mapScope(value: string, earlier: ReadonlyMap<string, string> = new Map()): ReadonlyMap<string, string> {
  const [from, to, ...rest] = value.split('=');
  if (!from || !to || rest.length > 0) throw new InvalidArgumentError('It must be such as orders.read=orders:read.');
  return new Map([...earlier, [from, to]]);
}
