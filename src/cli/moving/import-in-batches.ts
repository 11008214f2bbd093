import type { RefusedClient } from '../../clients/foreign-client.ts';
import type { AcceptedClient, ImportPolicy, ImportReview } from '../../clients/review-import.ts';
import type { Core } from '../../core.ts';
import { KeyturnError } from '../../errors.ts';
import { startProgress } from '../progress.ts';
import { commandActor } from '../stores.ts';
import { CommandEnd } from '../terminal.ts';
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
};

export type ImportOutcome = ImportReview & {
  imported: number;
  made: number;
  /** Reason why the import stopped before its end. */
  failure: string | undefined;
};

/**
 * Number of clients in one transaction. Other changes wait while a batch is written, because the audit log is locked.
 */
const batchSize = 500;

/**
 * Reviews a whole file, then registers its clients unless it is a check or a client was refused. Each batch is one
 * transaction that reviews its clients again, so a conflicting change in the meantime stops the import.
 * @param showSecrets prints new secrets. It is called before each commit, so that no secret is created that was not
 * printed.
 */
export async function runImport(
  core: Core,
  file: ForeignClients,
  options: ImportOptions,
  showSecrets: (secrets: ReadonlyMap<string, string>) => void,
): Promise<ImportOutcome> {
  const { reviewImport } = await import('../../clients/review-import.ts');
  const { listResourceServers } = await import('../../clients/client-store.ts');
  const policy = {
    freshSecrets: options.freshSecrets ?? false,
    acceptHashLike: options.acceptHashLike ?? false,
    resume: options.resume ?? false,
  };
  const review = await reviewImport(core.database, core, await listResourceServers(core.database), file.rows, policy);
  const refused = [...file.refused, ...review.refused].sort((one, other) => lineOf(one) - lineOf(other));
  const outcome: ImportOutcome = { ...review, refused, imported: 0, made: 0, failure: undefined };
  if (options.check || (refused.length > 0 && !options.skipRefused)) return outcome;
  const progress = await startProgress('Importing');
  try {
    for (let start = 0; start < review.accepted.length; start += batchSize) {
      const batch = review.accepted.slice(start, start + batchSize);
      const made = await importBatch(core, batch, policy, showSecrets);
      outcome.imported += batch.length;
      outcome.made += made;
      progress.show(outcome.imported, review.accepted.length);
    }
  } catch (error) {
    if (!(error instanceof KeyturnError || error instanceof CommandEnd)) throw error;
    outcome.failure = error.message.replace(/^error: /, '');
  } finally {
    progress.end();
  }
  return outcome;
}

/** Imports one batch. @returns the number of secrets that were created. */
async function importBatch(
  core: Core,
  batch: readonly AcceptedClient[],
  policy: ImportPolicy,
  showSecrets: (secrets: ReadonlyMap<string, string>) => void,
): Promise<number> {
  const { reviewImport } = await import('../../clients/review-import.ts');
  const { importClients } = await import('../../clients/import-clients.ts');
  const { holdResourceServers } = await import('../../clients/client-store.ts');
  return await core.change(async (transaction) => {
    const servers = await holdResourceServers(transaction);
    const rows = batch.map(({ row }) => row);
    const { accepted, refused } = await reviewImport(transaction, core, servers, rows, { ...policy, resume: false });
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
