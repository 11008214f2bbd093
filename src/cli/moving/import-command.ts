import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { type Command, InvalidArgumentError } from 'commander';
import type { ForeignClient } from '../../clients/foreign-client.ts';
import type { Core } from '../../core.ts';
import { withDatabase } from '../stores.ts';
import { CommandEnd } from '../terminal.ts';
import { type ImportOutcome, runImport } from './import-in-batches.ts';
import type { ImportOptions } from './import-options.ts';
import { startImportReport } from './import-report.ts';
import { readClientsFile } from './read-clients-file.ts';

/** Adds `clients import`, which registers the clients of another server. */
export function addImportCommand(clients: Command): void {
  clients
    .command('import')
    .description('import the clients of another server with their Client IDs and secrets')
    .argument(
      '<file>',
      'CSV, or JSON: clients of Hydra or Auth0, a Keycloak realm, or an export of Keyturn; - for standard input',
    )
    .option('--check', 'import nothing; report which clients would be rejected')
    .option('--skip-refused', 'import the accepted clients even if others are rejected; otherwise import all or none')
    .option('--resume', 'skip clients that an interrupted import of the same file has already created')
    .option('--fresh-secrets', 'generate a new secret where the secret is missing, hashed or weak, and print it once')
    .option(
      '--accept-hash-like',
      'keep secrets that look like a bare hash, such as the output of `openssl rand -base64 32`',
    )
    .option('--map-scope <from=to>', 'rename a scope; repeatable', mapScope)
    .option('--drop-unknown-scopes', 'omit scopes that no resource server offers')
    .option('--json', 'print one JSON object with imported, refused and skipped clients and new secrets')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients import clients.csv --check
  hydra list oauth2-clients --format json | keyturn clients import - --fresh-secrets --map-scope orders.read=orders:read > new-secrets.csv
  keyturn clients import realm-export.json --drop-unknown-scopes --skip-refused

CSV needs a header row: client_id,client_secret,name,scope,enabled and the other columns of an export. Only client_id is
required.

A secret is kept if it has 16 to 256 printable characters and at least 80 bits of estimated entropy. Repetitions, sequences,
common words, the Client ID and the name hardly count. Placeholders, hashes, and a secret that two clients share are rejected.

The whole file is checked first. Then clients are registered in batches of 500, each with its audit events, so that other
changes do not wait. After an interruption, --resume continues with the rest.

The exit code is 1 if a client was rejected and nothing was imported, and 2 if the file contains no clients.`,
    )
    .action(async (file: string, options: ImportOptions) => {
      const read = readClientsFile(await readInput(file));
      const report = startImportReport(options);
      const outcome = await withDatabase(async (core): Promise<ImportOutcome> => {
        const offered = options.dropUnknownScopes ? await offeredHere(core) : undefined;
        const rows = read.rows.map((row) => ({ ...row, scope: toOurScope(row, options.mapScope, offered) }));
        return await runImport(core, { ...read, rows }, options, report.showSecrets);
      });
      report.end(read, outcome);
      if (outcome.failure || (outcome.refused.length > 0 && outcome.imported === 0)) throw new CommandEnd(1);
    });
}

async function offeredHere({ clients }: Core): Promise<Set<string>> {
  const { scopesOfferedBy } = await import('../../clients/client.ts');
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

async function readInput(file: string): Promise<Uint8Array> {
  try {
    return file === '-' ? await buffer(process.stdin) : await readFile(file);
  } catch (error) {
    throw new CommandEnd(2, `error: ${(error as Error).message}`);
  }
}

function mapScope(value: string, earlier: ReadonlyMap<string, string> = new Map()): ReadonlyMap<string, string> {
  const [from, to, ...rest] = value.split('=');
  if (!from || !to || rest.length > 0)
    throw new InvalidArgumentError('It must have the form from=to, such as orders.read=orders:read.');
  return new Map([...earlier, [from, to]]);
}
