import type { z } from 'zod';
import type { importResult } from '../../admin/import-input.ts';
import type { GivenScope } from '../../clients/declared-scopes.ts';
import type { ForeignClient, RefusedClient } from '../../clients/foreign-client.ts';
import { KeyturnError } from '../../errors.ts';
import { callAdmin } from '../call-admin.ts';
import type { Admin } from '../stores.ts';
import { CommandEnd, startProgress } from '../terminal.ts';
import type { ForeignClients } from './clients-file.ts';
import { type Part, partsOf } from './parts-of-file.ts';

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
  /** The ID of the organization that the clients are to belong to. */
  organization?: string;
};

export type ImportOutcome = {
  refused: RefusedClient[];
  /** Information about accepted clients for the operator. */
  notes: { place: string; clientId: string; note: string }[];
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

/** Maximum number of clients with hashed secrets that are named. */
const shownIds = 50;

type Result = z.output<typeof importResult>;

/**
 * Reviews a whole file, then reads it again and registers its clients, unless it is a check or a client was refused.
 * Memory is needed for one request, and for the Client IDs, secrets and refusals of the file. Each request is one
 * transaction that reviews its clients again, so a conflicting change in the meantime stops the import.
 * @param showSecrets prints new secrets. Inside this process it is called before each commit, so that no secret is
 * created that was not printed.
 */
export async function runImport(
  admin: Admin,
  file: ForeignClients,
  options: ImportOptions,
  showSecrets: (secrets: ReadonlyMap<string, string>) => void,
): Promise<ImportOutcome> {
  const { outcome, left } = await reviewFile(admin, file, options);
  if (options.check || (outcome.refused.length > 0 && !options.skipRefused)) return outcome;
  const progress = await startProgress('Importing');
  try {
    await declareMissing(admin, options.declareScopes, outcome.declared);
    for (const { rows } of partsOf(file)) {
      const accepted = rows.filter(({ number }) => !left.has(number));
      if (accepted.length === 0) continue;
      const made = await importPart(admin, accepted, options, showSecrets);
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
  admin: Admin,
  file: ForeignClients,
  options: ImportOptions,
): Promise<{ outcome: ImportOutcome; left: ReadonlySet<number> }> {
  const outcome: ImportOutcome = {
    ...{ acceptable: 0, refused: [], notes: [], skipped: [], present: [] },
    ...{ declared: [], imported: 0, made: 0, hashed: 0, hashedIds: [], failure: undefined },
  };
  const left = new Set<number>();
  const declared = new Set<string>();
  const repeated = createRepeatedFinder();
  const progress = await startProgress('Checking', '{value} clients');
  let done = 0;
  try {
    for (const { rows, refused, skipped } of partsOf(file)) {
      outcome.refused.push(...refused);
      outcome.skipped.push(...skipped);
      done += rows.length + refused.length + skipped.length;
      if (rows.length === 0) continue;
      const body = {
        ...policyOf(options),
        clients: rows.map(({ row, wire }) => ({ ...wire, unmet: [...row.unmet, ...repeated.problemsOf(row)] })),
        check: true,
        resume: options.resume,
        declare_scopes: options.declareScopes,
        accepted_before: outcome.acceptable,
      };
      const answer = await callAdmin<Result>(admin, 'POST /clients/import', { body });
      for (const [index, { row, number }] of rows.entries()) {
        const result = answer.clients[index];
        if (result) addResult(outcome, row, result);
        if (result?.outcome !== 'acceptable') left.add(number);
        repeated.add(row, result?.secret === 'kept' || result?.secret === 'hashed');
      }
      for (const scope of answer.missing_scopes) declared.add(scope);
      progress.show(done);
    }
  } finally {
    progress.end();
  }
  outcome.declared.push(...declared);
  outcome.refused.sort((one, other) => lineOf(one) - lineOf(other));
  return { outcome, left };
}

function addResult(
  outcome: ImportOutcome,
  { place, clientId }: ForeignClient,
  result: Result['clients'][number],
): void {
  if (result.outcome === 'refused') {
    outcome.refused.push({ place, clientId: result.client_id ?? undefined, reasons: result.reasons });
    return;
  }
  if (result.outcome === 'present') {
    outcome.present.push({ place, clientId });
    return;
  }
  outcome.acceptable += 1;
  if (result.secret === 'hashed') {
    outcome.hashed += 1;
    if (outcome.hashedIds.length < shownIds) outcome.hashedIds.push(clientId);
  }
  for (const note of result.notes) outcome.notes.push({ place, clientId, note });
}

/** Finds Client IDs and secrets that earlier requests contained. The server finds those within one request. */
function createRepeatedFinder() {
  const ids = new Map<string, string>();
  const secrets = new Map<string, string>();
  const secretsOf = ({ clientSecret, secretHash, previousSecret }: ForeignClient) =>
    [clientSecret, secretHash, previousSecret?.secret].filter((each) => typeof each === 'string' && each !== '');
  return {
    problemsOf(row: ForeignClient): string[] {
      const sameId = ids.get(row.clientId);
      const sameSecret = secretsOf(row).flatMap((secret) => secrets.get(secret as string) ?? []);
      return [
        ...(sameId === undefined ? [] : [`has the same Client ID as ${sameId}`]),
        ...sameSecret.map((place) => `has the same secret as ${place}`),
      ];
    },
    add(row: ForeignClient, keepsSecret: boolean): void {
      if (!ids.has(row.clientId)) ids.set(row.clientId, row.place);
      if (keepsSecret) for (const secret of secretsOf(row)) secrets.set(secret as string, row.place);
    },
  };
}

/** Declares scopes at a resource server, beside those that it has. */
async function declareMissing(admin: Admin, clientId: string | undefined, missing: readonly string[]): Promise<void> {
  if (clientId === undefined || missing.length === 0) return;
  const { importedScopes } = await import('../../clients/missing-scopes.ts');
  const params = { client_id: clientId };
  const { scopes } = await callAdmin<{ scopes: GivenScope[] }>(admin, 'GET /clients/{client_id}', { params });
  const body = { scopes: [...scopes, ...importedScopes(missing)] };
  await callAdmin(admin, 'PATCH /clients/{client_id}', { params, body });
}

/** Imports one part. @returns the number of secrets that were created. */
async function importPart(
  admin: Admin,
  rows: Part['rows'],
  options: ImportOptions,
  showSecrets: (secrets: ReadonlyMap<string, string>) => void,
): Promise<number> {
  let made = 0;
  const body = { ...policyOf(options), clients: rows.map(({ wire }) => wire) };
  await callAdmin<Result>(admin, 'POST /clients/import', { body }, ({ clients }) => {
    for (const [index, { outcome, reasons }] of clients.entries()) {
      if (outcome === 'imported' || reasons.length === 0) continue;
      const place = rows[index]?.row.place;
      throw new CommandEnd(1, `${place} was accepted at first, but is rejected now: ${reasons.join('; ')}.`);
    }
    const secrets = new Map(
      clients.flatMap(({ client_id: id, client_secret: secret }) => (id && secret ? [[id, secret] as const] : [])),
    );
    if (secrets.size > 0) showSecrets(secrets);
    made = secrets.size;
  });
  return made;
}

function policyOf({ organization, freshSecrets, acceptHashLike, dropUnknownScopes }: ImportOptions) {
  return {
    organization_id: organization,
    fresh_secrets: freshSecrets,
    accept_hash_like: acceptHashLike,
    drop_unknown_scopes: dropUnknownScopes,
  };
}

function lineOf({ place }: RefusedClient): number {
  return Number(/\d+/.exec(place)?.[0]);
}
