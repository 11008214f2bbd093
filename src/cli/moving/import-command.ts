import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ForeignClient } from '../../clients/foreign-client.ts';
import { withAdmin } from '../stores.ts';
import { CommandEnd, OutputFailed, print, say, table, writeToStandardOutput } from '../terminal.ts';
import type { ForeignClients } from './clients-file.ts';
import type { ImportOptions, ImportOutcome } from './import-in-batches.ts';

/** Adds `clients import`, which registers the clients of another server. */
export function addImportCommand(clients: Command): void {
  clients
    .command('import')
    .description('import the clients of another server with their Client IDs and secrets')
    .argument(
      '<file>',
      'CSV, JSON or YAML of Hydra, Keycloak, Auth0, IdentityServer, Authelia, dex, Cognito, Okta and others; - for standard input',
    )
    .option('--check', 'import nothing; report which clients would be rejected')
    .option('--skip-refused', 'import the accepted clients even if others are rejected; otherwise import all or none')
    .option('--resume', 'skip clients that an interrupted import of the same file has already created')
    .option(
      '--fresh-secrets',
      'generate a new secret where the secret is missing, weak or a hash of an unknown format, and print it once',
    )
    .option(
      '--accept-hash-like',
      'keep secrets that look like a bare hash, such as the output of `openssl rand -base64 32`',
    )
    .option('--map-scope <from=to>', 'rename a scope; repeatable', mapScope)
    .option('--drop-unknown-scopes', 'omit scopes that no resource server offers')
    .addOption(
      new Option(
        '--declare-scopes <client_id>',
        'declare scopes that no resource server offers as named scopes of this one',
      ).conflicts('dropUnknownScopes'),
    )
    .option('--organization <id>', 'the organization that the clients belong to; by default, that of the deployment')
    .option('--json', 'print one JSON object with imported, refused and skipped clients and new secrets')
    .addHelpText(
      'after',
      `
Examples:
  keyturn clients import clients.csv --check
  hydra list oauth2-clients --format json | keyturn clients import - --fresh-secrets --map-scope orders.read=orders:read > new-secrets.csv
  keyturn clients import realm-export.json --drop-unknown-scopes --skip-refused
  keyturn --url https://admin.example.com clients import clients.csv --organization 0b0e1d5c-7a53-4d8f-9c0e-3f1f4b1e8a52
  keyturn clients import hydra-clients.json --declare-scopes kti_4fW1mZ8qYc0RkT7pLs2VnB --check

CSV needs a header row: client_id,client_secret,name,scope,enabled and the other columns of an export. Only client_id is
required.

A secret is kept if it has 16 to 256 printable characters and at least 80 bits of estimated entropy. Repetitions, sequences,
common words, the Client ID and the name hardly count. Placeholders, and a secret that two clients share are rejected. Hashes of
bcrypt, PBKDF2, scrypt and argon2id are kept, and verified when their clients first use their secrets; other hashes are rejected.

The whole file is checked first. Then clients are registered in batches of 500, each with its audit events, so that other
changes do not wait. After an interruption, --resume continues with the rest.

The exit code is 1 if a client was rejected and nothing was imported, and 2 if the file contains no clients.`,
    )
    .action(async (file: string, options: ImportOptions) => {
      const { keepYoungGenerationSmall } = await import('../../process/young-generation.ts');
      keepYoungGenerationSmall();
      const { readClientsFile } = await import('./read-clients-file.ts');
      const { toCsv } = await import('./clients-csv.ts');
      const { runImport } = await import('./import-in-batches.ts');
      const read = readClientsFile(await readInput(file));
      const report = startImportReport(options, toCsv);
      const rows = function* () {
        for (const one of read.rows()) yield one.kind === 'row' ? { ...one, row: withNames(one.row, options) } : one;
      };
      const outcome = await withAdmin((admin) => runImport(admin, { ...read, rows }, options, report.showSecrets));
      report.end(read, outcome);
      if (outcome.failure || (outcome.refused.length > 0 && outcome.imported === 0)) throw new CommandEnd(1);
    });
}

/** Returns a client with the names that the options give to its scopes. */
function withNames(row: ForeignClient, { mapScope: names }: ImportOptions): ForeignClient {
  if (!names) return row;
  const mapped = (one: string) => names.get(one) ?? one;
  const defaultScope = row.details?.defaultScope?.split(' ').filter(Boolean).map(mapped).join(' ');
  return {
    ...row,
    scope: row.scope.filter(Boolean).map(mapped),
    details: defaultScope === undefined ? row.details : { ...row.details, defaultScope },
  };
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

const shownRows = 50;

type ToCsv = (rows: readonly (readonly string[])[]) => string;

/**
 * Prints the result of an import. New secrets are printed batch by batch, as CSV or as the first member of one JSON
 * object.
 */
function startImportReport(
  options: ImportOptions,
  toCsv: ToCsv,
): {
  /** Prints new secrets. @throws {CommandEnd} 1 if standard output cannot be written. */
  showSecrets(made: ReadonlyMap<string, string>): void;
  end(file: ForeignClients, outcome: ImportOutcome): void;
} {
  let shown = 0;
  return {
    showSecrets: (made) => {
      const first = shown === 0;
      try {
        writeToStandardOutput(
          options.json
            ? secretsAsJson(made, first)
            : `${toCsv([...(first ? [['client_id', 'client_secret']] : []), ...made])}\n`,
        );
      } catch (error) {
        if (error instanceof OutputFailed) throw new CommandEnd(1, error.message);
        throw error;
      }
      shown += made.size;
    },
    end: (file, outcome) => {
      if (options.json) print(endOfJson(file, outcome, shown > 0));
      else sayOutcome(options, file, outcome);
    },
  };
}

function secretsAsJson(made: ReadonlyMap<string, string>, isFirst: boolean): string {
  const items = [...made].map(([client_id, client_secret]) => JSON.stringify({ client_id, client_secret }));
  return `${isFirst ? '{\n  "secrets": [\n    ' : ',\n    '}${items.join(',\n    ')}`;
}

function endOfJson({ warnings }: ForeignClients, outcome: ImportOutcome, hasSecrets: boolean): string {
  const { imported, acceptable, hashed, hashedIds, refused, skipped, present, notes, declared, failure } = outcome;
  const rest = {
    imported,
    acceptable,
    awaiting_first_use: hashed,
    awaiting_first_use_clients: hashedIds,
    refused: refused.map(({ place, clientId, reasons }) => ({ place, client_id: clientId ?? null, reasons })),
    skipped: skipped.map(({ place, clientId }) => ({ place, client_id: clientId })),
    present: present.map(({ place, clientId }) => ({ place, client_id: clientId })),
    declared_scopes: declared,
    notes: notes.map(({ place, clientId, note }) => ({ place, client_id: clientId, note })),
    warnings,
    failure: failure ?? null,
  };
  const text = JSON.stringify(rest, undefined, 2).slice(1);
  return hasSecrets ? `\n  ],${text}` : `{\n  "secrets": [],${text}`;
}

function sayOutcome(options: ImportOptions, { warnings }: ForeignClients, outcome: ImportOutcome): void {
  const { refused, skipped, notes, present, hashed, hashedIds, declared } = outcome;
  for (const warning of warnings) say(`warning: ${warning}`);
  if (skipped.length > 0) say(`${skipped.length} skipped: they do not use the client credentials grant.`);
  if (hashed > 0) {
    const others = hashed > hashedIds.length ? `, and ${hashed - hashedIds.length} more` : '';
    const ids = `${hashedIds.join(', ')}${others}`;
    say(`${hashed} with a hashed secret, which is verified when the client first uses it: ${ids}.`);
  }
  if (present.length > 0) say(`${present.length} already imported earlier.`);
  sayRows(
    ['rejected', 'client_id', 'reason'],
    refused.map(({ place, clientId, reasons }) => [place, clientId ?? '', reasons.join('; ')]),
  );
  sayRows(
    ['note for', 'client_id', 'note'],
    notes.map(({ place, clientId, note }) => [place, clientId, note]),
  );
  if (declared.length > 0) {
    const verb = options.check ? 'would be declared' : 'declared';
    say(`${declared.length} ${declared.length === 1 ? 'scope' : 'scopes'} ${verb}: ${declared.join(' ')}`);
  }
  say(summary(options, outcome));
}

function sayRows(columns: readonly string[], rows: readonly (readonly string[])[]): void {
  if (rows.length > 0) say(table(columns, rows.slice(0, shownRows), process.stderr));
  if (rows.length > shownRows) say(`… and ${rows.length - shownRows} more; --json lists all.`);
}

function summary({ check }: ImportOptions, { acceptable, refused, imported, made, failure }: ImportOutcome): string {
  const refusals = `${refused.length} rejected`;
  if (failure) {
    const done = `${imported} of ${acceptable} clients were imported. Run the command again with --resume to import the rest.`;
    return `error: ${failure}\n${done}`;
  }
  if (check) return `${acceptable} can be imported, ${refusals}. Nothing was changed.`;
  if (refused.length > 0 && imported === 0) {
    return `${refusals}: nothing was imported. Use --skip-refused to import the others.`;
  }
  const fresh = made > 0 ? `; ${made} with new secrets, which are printed only now` : '';
  return `${imported} imported, ${refusals}${fresh}.`;
}
