import { randomUUID } from 'node:crypto';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { isWellFormedClientId, isWellFormedSecret } from '../credentials/credential-format.ts';
import { isForeignClientId, weaknessOf } from '../credentials/foreign-credential.ts';
import { verifiersOf } from '../credentials/verifier.ts';
import { Conflict, InvalidInput } from '../errors.ts';
import { makeSecret } from '../regeneration/add-secret.ts';
import { findTakenVerifiers, insertSecrets } from '../regeneration/secret-store.ts';
import type { Queryable, Transaction } from '../storage/database.ts';
import { recordChanges } from '../storage/record-change.ts';
import { unlessTaken } from '../storage/unique-violation.ts';
import { textProblem } from '../text-problem.ts';
import {
  type AuthMethod,
  authMethods,
  type Client,
  hasCertificate,
  isSecretMethod,
  scopesOfferedBy,
} from './client.ts';
import type { ClientJwks } from './client-jwks.ts';
import { asSecretOwner } from './client-secret-owner.ts';
import { findTakenClientIds, holdResourceServers, insertClients } from './client-store.ts';
import { registerKeys } from './key-registration.ts';
import { auditView, type ManageDeps } from './manage-clients.ts';

/** A client of another server, as its export tells it. */
export type ForeignClient = {
  /** Where it stands in the file, for whoever reads what was refused: `line 3`. */
  place: string;
  clientId: string;
  clientSecret: string | undefined;
  name: string;
  enabled: boolean;
  scope: readonly string[];
  authMethod: string;
  jwks: ClientJwks | undefined;
  jwksUri: string | undefined;
};

/** `keep`: a client without a secret that can be kept is refused. `renew`: it gets a new one. */
export type SecretPolicy = 'keep' | 'renew';

export type ImportReview = { accepted: AcceptedClient[]; refused: { row: ForeignClient; reasons: string[] }[] };

/** With the secret that it goes on with; undefined: one is to be made, or it authenticates with keys. */
type AcceptedClient = { row: ForeignClient; kept: string | undefined };

const batchSize = 500;

/** What would be imported, and what not and why. Nothing is changed; all reasons of a row are told at once. */
export async function reviewImport(
  transaction: Transaction,
  deps: ManageDeps,
  rows: readonly ForeignClient[],
  policy: SecretPolicy,
): Promise<ImportReview> {
  const offered = scopesOfferedBy(await holdResourceServers(transaction));
  const takenIds = await findTaken(rows, (part) =>
    findTakenClientIds(
      transaction,
      part.map(({ clientId }) => clientId),
    ),
  );
  const takenSecrets = await findTaken(rows, (part) => findKnownSecrets(transaction, deps, part));
  const ids = new Map<string, string>();
  const secrets = new Map<string, string>();
  const review: ImportReview = { accepted: [], refused: [] };
  for (const row of rows) {
    const weakness = secretProblem(row);
    const renewed = row.clientSecret === undefined || (weakness !== undefined && policy === 'renew');
    const kept = usesSecret(row) && !renewed ? row.clientSecret : undefined;
    const reasons = [
      ...idProblems(row, takenIds, ids),
      ...nameProblems(row),
      ...methodProblems(row),
      ...row.scope
        .filter((scope) => !offered.has(scope))
        .map((scope) => `no resource server offers the scope ${scope}`),
      ...(usesSecret(row) && policy === 'keep' && weakness ? [weakness] : []),
      ...(kept === undefined ? [] : repeatedSecret(row, kept, takenSecrets, secrets)),
    ];
    if (reasons.length > 0) review.refused.push({ row, reasons });
    else review.accepted.push({ row, kept });
  }
  return review;
}

/**
 * Registers them all, with one audit event each. Secrets that are kept are verified, sealed and regenerated as any other.
 * @returns the secrets that were made, by the Client ID.
 * @throws {Conflict} `client_id_taken` when somebody registers one of them right now.
 */
export async function importClients(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  accepted: readonly AcceptedClient[],
  onProgress: (done: number) => void,
): Promise<ReadonlyMap<string, string>> {
  const at = new Date(deps.clock());
  const made = new Map<string, string>();
  for (let start = 0; start < accepted.length; start += batchSize) {
    const part = accepted.slice(start, start + batchSize).map((one) => ({ ...one, client: toClient(one.row, at) }));
    await unlessTaken(
      insertClients(
        transaction,
        part.map(({ client }) => client),
      ),
      () => new Conflict('client_id_taken', 'Somebody registered one of these clients just now. Nothing was imported.'),
    );
    const secrets = part
      .filter(({ client }) => isSecretMethod(client.authMethod))
      .map(({ client, kept }) => {
        const owner = asSecretOwner(client);
        const { plaintext, ...secret } = makeSecret(deps, owner, 1, kept);
        if (kept === undefined) made.set(client.clientId, plaintext);
        return { ...secret, owner };
      });
    await insertSecrets(transaction, secrets);
    await recordChanges(
      transaction,
      part.map(({ client }) => ({ kind: 'client', target: client.clientId })),
      at,
    );
    for (const { client, kept } of part) {
      await appendAuditEvent(transaction, {
        at,
        actor,
        action: 'client.import',
        targetType: 'client',
        target: client.clientId,
        after: { ...auditView(client), secret: kept === undefined ? 'new' : 'kept' },
      });
    }
    onProgress(start + part.length);
  }
  await recordChanges(transaction, [{ kind: 'foreign_client_ids', target: 'all' }], at);
  return made;
}

function toClient(row: ForeignClient, at: Date): Client {
  const authMethod = row.authMethod as AuthMethod;
  return {
    id: randomUUID(),
    clientId: row.clientId,
    kind: 'integration',
    name: row.name,
    enabled: row.enabled,
    scope: row.scope,
    accessKey: 'optional',
    reveal: true,
    authMethod,
    ...readKeys(row),
    certificateBoundTokens: hasCertificate({ authMethod }),
    dpopBoundTokens: false,
    resource: null,
    information: [],
    tokenFormat: null,
    tokenEpoch: 0,
    tokensNotBefore: null,
    revision: 1,
    createdAt: at,
    updatedAt: at,
  };
}

function usesSecret({ authMethod }: ForeignClient): boolean {
  return isSecretMethod(authMethod as AuthMethod);
}

/** @throws {InvalidInput} Where it has a secret, keys that it may have had beside it are left behind. */
function readKeys(row: ForeignClient) {
  return registerKeys(row.authMethod as AuthMethod, usesSecret(row) ? {} : { jwks: row.jwks, jwksUri: row.jwksUri });
}

function idProblems({ clientId, place }: ForeignClient, taken: ReadonlySet<string>, seen: Map<string, string>) {
  if (!isWellFormedClientId(clientId) && !isForeignClientId(clientId)) {
    return ['the Client ID must have 3 to 128 letters, digits and . _ ~ @ -, and must not begin like one of ours'];
  }
  if (taken.has(clientId)) return ['the Client ID is taken here'];
  const earlier = seen.get(clientId);
  if (earlier) return [`the same Client ID as ${earlier}`];
  seen.set(clientId, place);
  return [];
}

function nameProblems({ name }: ForeignClient): string[] {
  const problem = textProblem(name, 200);
  return problem === undefined ? [] : [`the name ${problem}`];
}

function methodProblems(row: ForeignClient): string[] {
  if (!(authMethods as readonly string[]).includes(row.authMethod)) {
    return [`it cannot authenticate with ${row.authMethod} here`];
  }
  try {
    readKeys(row);
    return [];
  } catch (error) {
    if (error instanceof InvalidInput) return [error.message];
    throw error;
  }
}

/** Two clients with one secret cannot be told apart where it leaks, and a Client ID of ours comes with a secret of ours. */
function repeatedSecret(
  { place }: ForeignClient,
  secret: string,
  taken: ReadonlySet<string>,
  seen: Map<string, string>,
) {
  if (taken.has(secret)) return ['the secret is in use by another client here'];
  const earlier = seen.get(secret);
  if (earlier) return [`the same secret as ${earlier}`];
  seen.set(secret, place);
  return [];
}

function secretProblem({ clientId, clientSecret, name }: ForeignClient): string | undefined {
  if (clientSecret === undefined) return 'it has no secret';
  if (isWellFormedSecret(clientSecret, 'kts_')) return undefined;
  if (isWellFormedClientId(clientId)) return 'a Client ID of ours needs a secret of ours';
  return weaknessOf(clientSecret, [clientId, name]);
}

async function findKnownSecrets(
  database: Queryable,
  { keyRing }: ManageDeps,
  rows: readonly ForeignClient[],
): Promise<Set<string>> {
  const known = new Map<string, string>();
  for (const { clientSecret } of rows) {
    if (!clientSecret) continue;
    for (const verifier of verifiersOf(keyRing, 'client-secret-pepper', clientSecret)) {
      known.set(verifier.toString('base64'), clientSecret);
    }
  }
  const verifiers = [...known.keys()].map((verifier) => Buffer.from(verifier, 'base64'));
  const taken = await findTakenVerifiers(database, verifiers);
  return new Set([...taken].flatMap((verifier) => known.get(verifier) ?? []));
}

async function findTaken(
  rows: readonly ForeignClient[],
  find: (rows: readonly ForeignClient[]) => Promise<Set<string>>,
): Promise<Set<string>> {
  const taken = new Set<string>();
  for (let start = 0; start < rows.length; start += batchSize) {
    for (const one of await find(rows.slice(start, start + batchSize))) taken.add(one);
  }
  return taken;
}
