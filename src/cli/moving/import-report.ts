import { OutputFailed, writeToStandardOutput } from '../standard-output.ts';
import { CommandEnd, print, say, table } from '../terminal.ts';
import { toCsv } from './clients-csv.ts';
import type { ForeignClients } from './clients-file.ts';
import type { ImportOutcome } from './import-in-batches.ts';
import type { ImportOptions } from './import-options.ts';

const shownRows = 50;

/**
 * Prints the result of an import. New secrets are printed batch by batch, as CSV or as the first member of one JSON
 * object.
 */
export function startImportReport(options: ImportOptions): {
  /** Prints new secrets. @throws {CommandEnd} 1 if standard output cannot be written. */
  showSecrets(made: ReadonlyMap<string, string>): void;
  end(file: ForeignClients, outcome: ImportOutcome): void;
} {
  let shown = 0;
  return {
    showSecrets: (made) => {
      const first = shown === 0;
      try {
        writeToStandardOutput(options.json ? secretsAsJson(made, first) : secretsAsCsv(made, first));
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

function secretsAsCsv(made: ReadonlyMap<string, string>, isFirst: boolean): string {
  return `${toCsv([...(isFirst ? [['client_id', 'client_secret']] : []), ...made])}\n`;
}

function secretsAsJson(made: ReadonlyMap<string, string>, isFirst: boolean): string {
  const items = [...made].map(([client_id, client_secret]) => JSON.stringify({ client_id, client_secret }));
  return `${isFirst ? '{\n  "secrets": [\n    ' : ',\n    '}${items.join(',\n    ')}`;
}

function endOfJson({ skipped, warnings }: ForeignClients, outcome: ImportOutcome, hasSecrets: boolean): string {
  const { imported, accepted, refused, present, notes, failure } = outcome;
  const rest = {
    imported,
    acceptable: accepted.length,
    refused: refused.map(({ place, clientId, reasons }) => ({ place, client_id: clientId ?? null, reasons })),
    skipped: skipped.map(({ place, clientId }) => ({ place, client_id: clientId })),
    present: present.map(({ place, clientId }) => ({ place, client_id: clientId })),
    notes: notes.map(({ place, clientId, note }) => ({ place, client_id: clientId, note })),
    warnings,
    failure: failure ?? null,
  };
  const text = JSON.stringify(rest, undefined, 2).slice(1);
  return hasSecrets ? `\n  ],${text}` : `{\n  "secrets": [],${text}`;
}

function sayOutcome(options: ImportOptions, { skipped, warnings }: ForeignClients, outcome: ImportOutcome): void {
  const { refused, notes, present } = outcome;
  for (const warning of warnings) say(`warning: ${warning}`);
  if (skipped.length > 0) say(`${skipped.length} skipped: they do not use the client credentials grant.`);
  if (present.length > 0) say(`${present.length} already imported earlier.`);
  sayRows(
    ['rejected', 'client_id', 'reason'],
    refused.map(({ place, clientId, reasons }) => [place, clientId ?? '', reasons.join('; ')]),
  );
  sayRows(
    ['note for', 'client_id', 'note'],
    notes.map(({ place, clientId, note }) => [place, clientId, note]),
  );
  say(summary(options, outcome));
}

function sayRows(columns: readonly string[], rows: readonly (readonly string[])[]): void {
  if (rows.length > 0) say(table(columns, rows.slice(0, shownRows), process.stderr));
  if (rows.length > shownRows) say(`… and ${rows.length - shownRows} more; --json lists all.`);
}

function summary({ check }: ImportOptions, { accepted, refused, imported, made, failure }: ImportOutcome): string {
  const refusals = `${refused.length} rejected`;
  if (failure) {
    const done = `${imported} of ${accepted.length} clients were imported. Run the command again with --resume to import the rest.`;
    return `error: ${failure}\n${done}`;
  }
  if (check) return `${accepted.length} can be imported, ${refusals}. Nothing was changed.`;
  if (refused.length > 0 && imported === 0) {
    return `${refusals}: nothing was imported. Use --skip-refused to import the others.`;
  }
  const fresh = made > 0 ? `; ${made} with new secrets, which are printed only now` : '';
  return `${imported} imported, ${refusals}${fresh}.`;
}
