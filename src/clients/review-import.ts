import { isDeepStrictEqual } from 'node:util';
import { isWellFormedClientId } from '../credentials/credential-format.ts';
import { isForeignClientId } from '../credentials/foreign-credential.ts';
import { verifiersOf } from '../credentials/verifier.ts';
import { type Policy, requirementOf, violationsOf } from '../policies/policy.ts';
import { listPolicies } from '../policies/policy-store.ts';
import { findTakenVerifiers } from '../secrets/secret-store.ts';
import type { Queryable } from '../storage/database.ts';
import { textProblem } from '../text/read-text.ts';
import { type HeldOrganization, scopesBeyond } from './ceiling.ts';
import type { Client, KnownClient } from './client.ts';
import { policySubjectOf } from './client-policies.ts';
import { findKnownClients, findTakenClientIds } from './client-store.ts';
import { demandProblems, type ForeignClient, importedClient, type RefusedClient } from './foreign-client.ts';
import { detailProblems } from './import-details.ts';
import { decideSecrets, hasSecret, type ImportPolicy, type KeptSecrets, secretsOf } from './imported-secret.ts';
import type { ManageDeps } from './manage-clients.ts';
import { offeredBy, scopesOfferedBy } from './offered-scopes.ts';

export type ImportReview = {
  accepted: AcceptedClient[];
  refused: (RefusedClient & { row: ForeignClient })[];
  /** Clients of the file that were imported before, unchanged. */
  present: ForeignClient[];
  /** Information about accepted clients for the operator. */
  notes: { row: ForeignClient; note: string }[];
};

/** A client that can be imported. */
export type AcceptedClient = KeptSecrets & { row: ForeignClient };

const batchSize = 500;

/** An organization, and how many more integrations it may have; null for any number. */
export type ReviewedOrganization = HeldOrganization & { room: number | null };

/**
 * Decides which clients can be imported, without changing anything. The import uses the same decision, so that a check
 * predicts its result.
 * @param servers all resource servers.
 * @param organization the locked organization that the clients are to belong to.
 * @returns all reasons for every rejected client, without secrets.
 */
export async function reviewImport(
  database: Queryable,
  deps: ManageDeps,
  servers: readonly Client[],
  rows: readonly ForeignClient[],
  policy: ImportPolicy,
  organization: ReviewedOrganization,
): Promise<ImportReview> {
  const review: ImportReview = { accepted: [], refused: [], present: [], notes: [] };
  const places = { ids: new Map<string, string>(), secrets: new Map<string, string>() };
  const offered = scopesOfferedBy(servers);
  const policies = await listPolicies(database, [organization.id]);
  for (let start = 0; start < rows.length; start += batchSize) {
    const part = rows.slice(start, start + batchSize);
    const usable = part.filter(({ clientId }) => isUsableId(clientId));
    const imported = policy.resume ? await findImported(database, deps, usable, organization.id) : undefined;
    const takenIds = await findTakenClientIds(
      database,
      usable.map(({ clientId }) => clientId),
    );
    const takenSecrets = await findKnownSecrets(database, deps, part);
    for (const row of part) {
      const secrets = decideSecrets(row, policy, deps.clock());
      const here = imported?.get(row);
      if (here && hasSecret(deps, here, secrets.kept)) {
        review.present.push(row);
        continue;
      }
      const reasons = [
        ...idProblems(row, takenIds, places.ids),
        ...nameProblems(row),
        ...demandProblems(row, deps),
        ...detailProblems(row),
        ...scopeProblems(row, offered),
        ...resourceProblems(row, servers),
        ...ceilingProblems(row, servers, organization, review.accepted.length),
        ...secrets.reasons,
        ...secretsOf(secrets).flatMap((secret) => repeatedSecret(row, secret, takenSecrets, places.secrets)),
      ];
      if (reasons.length === 0) reasons.push(...policyProblems(row, policies, deps, organization.id));
      if (reasons.length > 0) review.refused.push({ row, place: row.place, clientId: shownId(row), reasons });
      else {
        review.accepted.push({ row, kept: secrets.kept, previous: secrets.previous });
        for (const note of [...row.notes, ...audienceNotes(row, servers)]) {
          review.notes.push({ row, note });
        }
      }
    }
  }
  return review;
}

function idProblems({ clientId, place }: ForeignClient, taken: ReadonlySet<string>, seen: Map<string, string>) {
  if (!isUsableId(clientId)) {
    return [
      'the Client ID must consist of 3 to 128 letters, digits and . _ ~ @ + % : / = -, begin with a letter or digit, and must not begin with a prefix that Keyturn uses',
    ];
  }
  if (taken.has(clientId)) return ['the Client ID is already registered'];
  const earlier = seen.get(clientId);
  if (earlier) return [`has the same Client ID as ${earlier}`];
  seen.set(clientId, place);
  return [];
}

function isUsableId(clientId: string): boolean {
  return isWellFormedClientId(clientId) || isForeignClientId(clientId);
}

/** Returns a Client ID that is safe to show. If columns were swapped, the value may be a secret. */
function shownId({ clientId, clientSecret }: ForeignClient): string | undefined {
  return isUsableId(clientId) && clientId !== clientSecret ? clientId : undefined;
}

function nameProblems({ name }: ForeignClient): string[] {
  const problem = textProblem(name, 200);
  return problem === undefined ? [] : [`the name ${problem}`];
}

function scopeProblems({ scope, clientSecret }: ForeignClient, offered: ReadonlySet<string>): string[] {
  return scope
    .filter((one) => !offered.has(one))
    .map((one) => {
      const isShown = one !== clientSecret && /^[\x21-\x7e]{1,128}$/.test(one);
      return `no resource server offers ${isShown ? `the scope ${one}` : 'one of its scopes'}`;
    });
}

function resourceProblems({ resource }: ForeignClient, servers: readonly Client[]): string[] {
  if (resource === undefined || servers.some((server) => server.resource === resource)) return [];
  return ['no resource server has its `resource`'];
}

/** Returns what the ceiling of an organization does not allow. @param accepted the number of clients before this one. */
function ceilingProblems(
  { scope, resource, reveal }: ForeignClient,
  servers: readonly Client[],
  { ceiling, room }: ReviewedOrganization,
  accepted: number,
): string[] {
  const beyond = scopesBeyond(ceiling, { scope, resource: resource ?? null }, servers);
  return [
    ...(room !== null && accepted >= room
      ? [`the organization may have at most ${ceiling.integrations} integrations`]
      : []),
    ...(beyond.length > 0 ? [`the ceiling of the organization does not allow the scopes ${beyond.join(' ')}`] : []),
    ...(reveal && !ceiling.reveal
      ? ['the ceiling of the organization does not allow that secrets are shown again; set `reveal` to false']
      : []),
  ];
}

/** Returns which enforced policies a valid client would violate. */
function policyProblems(
  row: ForeignClient,
  policies: readonly Policy[],
  deps: ManageDeps,
  organizationId: string,
): string[] {
  if (policies.length === 0) return [];
  const client = importedClient(row, new Date(deps.clock()), deps, organizationId);
  return violationsOf(policies, policySubjectOf(client), deps.clock())
    .filter(({ stage }) => stage === 'enforce')
    .map((violated) => `the policy ${violated.name} does not allow it: ${requirementOf(violated)}`);
}

/**
 * Returns a note if token requests without `resource` will fail: a JWT has one audience (RFC 9068 §2.2), so a request
 * for scopes of several resource servers is rejected.
 */
function audienceNotes({ scope, resource }: ForeignClient, servers: readonly Client[]): string[] {
  if (resource !== undefined) return [];
  const meant = servers.filter((server) => server.enabled && offeredBy(server, scope).length > 0);
  if (meant.length < 2 || !meant.some(({ tokenFormat }) => tokenFormat === 'jwt')) return [];
  return [
    `its scopes belong to ${meant.length} resource servers, and one of them uses JWTs: a token request without \`resource\` is rejected with invalid_target`,
  ];
}

/** Rejects a secret that another client has, because the clients could not be told apart if it leaked. */
function repeatedSecret(
  { place }: ForeignClient,
  secret: string,
  taken: ReadonlySet<string>,
  seen: Map<string, string>,
): string[] {
  if (taken.has(secret)) return ['the secret is already used by another client'];
  const earlier = seen.get(secret);
  if (earlier) return [`has the same secret as ${earlier}`];
  seen.set(secret, place);
  return [];
}

async function findKnownSecrets(
  database: Queryable,
  { keyRing }: ManageDeps,
  rows: readonly ForeignClient[],
): Promise<Set<string>> {
  const known = new Map<string, string>();
  for (const secret of rows.flatMap((row) => [row.clientSecret, row.previousSecret?.secret])) {
    if (!secret) continue;
    for (const verifier of verifiersOf(keyRing, 'client-secret-pepper', secret)) {
      known.set(verifier.toString('base64'), secret);
    }
  }
  const verifiers = [...known.keys()].map((verifier) => Buffer.from(verifier, 'base64'));
  const taken = await findTakenVerifiers(database, verifiers);
  return new Set([...taken].flatMap((verifier) => known.get(verifier) ?? []));
}

/**
 * Finds the clients that are registered exactly as a file describes them. Ignores their secrets and whether they are
 * enabled, which may have changed since the import.
 */
async function findImported(
  database: Queryable,
  deps: ManageDeps,
  rows: readonly ForeignClient[],
  organizationId: string,
): Promise<Map<ForeignClient, KnownClient>> {
  const known = await findKnownClients(
    database,
    rows.map(({ clientId }) => clientId),
  );
  const found = new Map<ForeignClient, KnownClient>();
  for (const row of rows) {
    const here = known.get(row.clientId);
    if (!here || demandProblems(row, deps).length > 0) continue;
    const wanted = registrationOf(importedClient(row, here.client.createdAt, deps, organizationId));
    if (isDeepStrictEqual(registrationOf(here.client), wanted)) found.set(row, here);
  }
  return found;
}

function registrationOf(client: Client): unknown {
  const { name, organizationId, scope, accessKey, reveal, authMethod, jwks, jwksUri, certificateSubject } = client;
  const { certificateBoundTokens, dpopBoundTokens, resource, tokenTtlSeconds, defaultScope, claims, details } = client;
  const { selfRotation, allowedNetworks, networkMode } = client;
  const dialects = [...client.dialects].sort();
  const proof = { authMethod, jwks, jwksUri, certificateSubject, certificateBoundTokens, dpopBoundTokens };
  const noted = {
    tokenTtlSeconds,
    defaultScope,
    dialects,
    claims,
    details,
    selfRotation,
    allowedNetworks,
    networkMode,
  };
  // Drop undefined members, as the database does.
  return JSON.parse(
    JSON.stringify({ name, organizationId, scope: [...scope].sort(), accessKey, reveal, resource, ...proof, ...noted }),
  );
}
