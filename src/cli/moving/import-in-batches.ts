import type { Client } from '../../clients/client.ts';
import type { ForeignClient, RefusedClient } from '../../clients/foreign-client.ts';
import type { ImportPolicy } from '../../clients/imported-secret.ts';
import type { ImportReview } from '../../clients/review-import.ts';
import type { Core } from '../../core.ts';
import { KeyturnError } from '../../errors.ts';
import { commandActor } from '../stores.ts';
import { CommandEnd, startProgress } from '../terminal.ts';
import type { ForeignClients } from './clients-file.ts';

/** Options of `clients import`. */
export type ImportOptions = {
  json?: true;
  check?: true;
  skipRefused?: true;
  resume?: true;
  freshSecrets?: true;
  acceptHashLike?: true;
  mapScope?: ReadonlyMap<string, string>;
  dropUnknownScopes?: true;
  /** The Client ID of the resource server at which unknown scopes are declared. */
  declareScopes?: string;
};

export type ImportOutcome = Pick<ImportReview, 'refused' | 'notes'> & {
  /** Number of clients that can be imported. */
  acceptable: number;
  /** Clients that do not use the client credentials grant. */
  skipped: { place: string; clientId: string }[];
  /** Clients that were imported before, unchanged. */
  present: { place: string; clientId: string }[];
  /** Scopes of these clients that no resource server offers yet, and that are declared with the import. */
  declared: string[];
  imported: number;
  made: number;
  /** Number of acceptable clients with a secret of which only a hash is known until its first use. */
  hashed: number;
  /** The Client IDs of the first of them. */
  hashedIds: string[];
  /** Reason why the import stopped before its end. */
  failure: string | undefined;
};

/**
 * Number of clients in one transaction. Other changes wait while a batch is written, because the audit log is locked.
 */
const batchSize = 500;
/** Maximum number of clients with hashed secrets that are named. */
const shownIds = 50;

/**
 * Reviews a whole file, then reads it again and registers its clients, unless it is a check or a client was refused.
 * Memory is needed for one batch, and for the Client IDs, secrets and refusals of the file. Each batch is one transaction
 * that reviews its clients again, so a conflicting change in the meantime stops the import.
 * @param showSecrets prints new secrets. It is called before each commit, so that no secret is created that was not
 * printed.
 */
export async function runImport(
  core: Core,
  file: ForeignClients,
  options: ImportOptions,
  showSecrets: (secrets: ReadonlyMap<string, string>) => void,
): Promise<ImportOutcome> {
  const policy = {
    freshSecrets: options.freshSecrets ?? false,
    acceptHashLike: options.acceptHashLike ?? false,
    resume: options.resume ?? false,
  };
  const { outcome, left } = await reviewFile(core, file, policy, options.declareScopes);
  if (options.check || (outcome.refused.length > 0 && !options.skipRefused)) return outcome;
  const progress = await startProgress('Importing');
  try {
    if (options.declareScopes) {
      const { declareAt } = await import('./declare-missing-scopes.ts');
      await declareAt(core, options.declareScopes, outcome.declared);
    }
    for (const batch of batchesOf(file)) {
      const accepted = batch.rows.filter(({ number }) => !left.has(number)).map(({ row }) => row);
      if (accepted.length === 0) continue;
      const made = await importBatch(core, accepted, policy, showSecrets);
      outcome.imported += accepted.length;
      outcome.made += made;
      progress.show(outcome.imported, outcome.acceptable);
    }
  } catch (error) {
    if (!(error instanceof KeyturnError || error instanceof CommandEnd)) throw error;
    outcome.failure = error.message.replace(/^error: /, '');
  } finally {
    progress.end();
  }
  return outcome;
}

/** Reviews a whole file. @returns also the numbers of the rows that are not to be imported. */
async function reviewFile(
  core: Core,
  file: ForeignClients,
  policy: ImportPolicy,
  declareScopes: string | undefined,
): Promise<{ outcome: ImportOutcome; left: ReadonlySet<number> }> {
  const { hasHashedSecret } = await import('../../clients/imported-secret.ts');
  const { nothingSeen, reviewImport } = await import('../../clients/review-import.ts');
  const { listResourceServers } = await import('../../clients/client-store.ts');
  const { withMissingScopes } = await import('./declare-missing-scopes.ts');
  let servers: readonly Client[] = await listResourceServers(core.database);
  const outcome: ImportOutcome = {
    ...{ acceptable: 0, refused: [], notes: [], skipped: [], present: [] },
    ...{ declared: [], imported: 0, made: 0, hashed: 0, hashedIds: [], failure: undefined },
  };
  const { withOwners } = await import('../../clients/import-details.ts');
  const owners = new Map();
  const left = new Set<number>();
  const unknown = new Set<string>();
  const needed = new Set<string>();
  const seen = nothingSeen();
  const progress = await startProgress('Checking', '{value} clients');
  let done = 0;
  try {
    for (const { rows, refused, skipped } of batchesOf(file)) {
      const owned = await withOwners(
        core.database,
        rows.map(({ row }) => row),
        owners,
      );
      const numbers = new Map(owned.map((row, index) => [row, rows[index]?.number ?? 0]));
      if (declareScopes !== undefined) {
        const { servers: extended, missing } = withMissingScopes(servers, declareScopes, owned, core.clock());
        servers = extended;
        for (const scope of missing) unknown.add(scope);
      }
      const review = await reviewImport(core.database, core, servers, owned, policy, seen);
      outcome.acceptable += review.accepted.length;
      const hashed = review.accepted.filter(hasHashedSecret);
      outcome.hashed += hashed.length;
      outcome.hashedIds.push(...hashed.slice(0, shownIds - outcome.hashedIds.length).map(({ row }) => row.clientId));
      for (const { row } of review.accepted) for (const scope of row.scope) if (unknown.has(scope)) needed.add(scope);
      outcome.refused.push(...refused, ...review.refused);
      outcome.skipped.push(...skipped);
      outcome.notes.push(...review.notes);
      outcome.present.push(...review.present.map(({ place, clientId }) => ({ place, clientId })));
      for (const { row } of review.accepted) numbers.delete(row);
      for (const number of numbers.values()) left.add(number);
      done += rows.length + refused.length + skipped.length;
      progress.show(done);
    }
  } finally {
    progress.end();
  }
  outcome.declared.push(...needed);
  outcome.refused.sort((one, other) => lineOf(one) - lineOf(other));
  return { outcome, left };
}

type Batch = {
  /** The rows with their numbers, which are the same each time the file is read. */
  rows: { row: ForeignClient; number: number }[];
  refused: RefusedClient[];
  skipped: ImportOutcome['skipped'];
};

function* batchesOf(file: ForeignClients): Generator<Batch> {
  const empty = (): Batch => ({ rows: [], refused: [], skipped: [] });
  let batch = empty();
  let number = 0;
  for (const read of file.rows()) {
    if (read.kind === 'row') batch.rows.push({ row: read.row, number });
    else if (read.kind === 'refused') batch.refused.push(read.refused);
    else batch.skipped.push({ place: read.place, clientId: read.clientId });
    number += 1;
    if (number % batchSize > 0) continue;
    yield batch;
    batch = empty();
  }
  yield batch;
}

/** Imports one batch. @returns the number of secrets that were created. */
async function importBatch(
  core: Core,
  rows: readonly ForeignClient[],
  policy: ImportPolicy,
  showSecrets: (secrets: ReadonlyMap<string, string>) => void,
): Promise<number> {
  const { nothingSeen, reviewImport } = await import('../../clients/review-import.ts');
  const { importClients } = await import('../../clients/import-clients.ts');
  const { withOwners } = await import('../../clients/import-details.ts');
  const { holdResourceServers } = await import('../../clients/client-store.ts');
  return await core.change(async (transaction) => {
    const servers = await holdResourceServers(transaction);
    const again = { ...policy, resume: false };
    const owned = await withOwners(transaction, rows, new Map());
    const { accepted, refused } = await reviewImport(transaction, core, servers, owned, again, nothingSeen());
    const [changed] = refused;
    if (changed)
      throw new CommandEnd(
        1,
        `${changed.place} was accepted at first, but is rejected now: ${changed.reasons.join('; ')}.`,
      );
    const made = await importClients(transaction, core, commandActor(), accepted);
    if (made.size > 0) showSecrets(made);
    return made.size;
  });
}

function lineOf({ place }: RefusedClient): number {
  return Number(/\d+/.exec(place)?.[0]);
}
