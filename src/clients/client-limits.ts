import { hash } from 'node:crypto';
import { keysOfRegistration, type Registration } from '../credentials/registration.ts';
import { narrowsNetworks } from '../http/allowed-networks.ts';
import { recordChange } from '../storage/change.ts';
import type { Transaction } from '../storage/database.ts';
import { lostScopes } from './change-scopes.ts';
import { type Client, registrationOf } from './client.ts';
import { permissionOf } from './offered-scopes.ts';

/**
 * The restrictions that a change of a client added, apart from its scope. The change feed holds them, so that they can be
 * applied again if the database loses the change.
 */
type ClientLimits = {
  /** Requirements that the change added, and that the client may no longer rotate its own credential. */
  demands?: { accessKey?: 'required'; certificateBoundTokens?: true; dpopBoundTokens?: true; selfRotation?: false };
  /** Deviations that the client may no longer use. */
  dialects?: string[];
  /** The networks that the client is accepted from, if the change refuses others. */
  networks?: string[];
  /** The lifetime of tokens in seconds, if the change made it shorter. */
  tokenTtlSeconds?: number;
  /** Hashes of keys, certificates, a `jwks_uri` or a subject that the client no longer authenticates with. */
  withdrawn?: string[];
  /** Kinds of information that a resource server no longer offers. */
  information?: string[];
  /** Scopes that a resource server no longer offers with this permission: pairs of name and permission. */
  scopes?: [name: string, permission: string][];
};

/** Maximum number of scopes in one record, which is at most 8 KB. */
const maxScopes = 50;

/** Records in the transaction of a change what the change limited. Records nothing if it limited nothing. */
export async function recordLimits(transaction: Transaction, before: Client, after: Client, at: Date): Promise<void> {
  for (const limits of limitsOf(before, after)) {
    await recordChange(transaction, { kind: 'limited_client', target: JSON.stringify([before.id, limits]), at });
  }
}

function limitsOf(before: Client, after: Client): ClientLimits[] {
  const limits: ClientLimits = {};
  const demands: NonNullable<ClientLimits['demands']> = {};
  if (after.accessKey === 'required' && before.accessKey !== 'required') demands.accessKey = 'required';
  if (after.certificateBoundTokens && !before.certificateBoundTokens) demands.certificateBoundTokens = true;
  if (after.dpopBoundTokens && !before.dpopBoundTokens) demands.dpopBoundTokens = true;
  if (!after.selfRotation && before.selfRotation) demands.selfRotation = false;
  if (Object.keys(demands).length > 0) limits.demands = demands;
  const dialects = before.dialects.filter((name) => !after.dialects.includes(name));
  if (dialects.length > 0) limits.dialects = dialects;
  if (after.allowedNetworks && narrowsNetworks(before, after)) limits.networks = [...after.allowedNetworks];
  const ttl = after.tokenTtlSeconds;
  if (ttl !== null && ttl < (before.tokenTtlSeconds ?? Number.POSITIVE_INFINITY)) limits.tokenTtlSeconds = ttl;
  const kept = namesOf(after);
  const withdrawn = namesOf(before).filter((name) => !kept.includes(name));
  if (withdrawn.length > 0) limits.withdrawn = withdrawn;
  const information = before.information.filter((kind) => !after.information.includes(kind));
  if (information.length > 0) limits.information = information;
  const scopes = lostScopes(before, after).map((name): [string, string] => [name, permissionOf(before, name) ?? '']);
  const all: ClientLimits[] = Object.keys(limits).length > 0 ? [limits] : [];
  for (let from = 0; from < scopes.length; from += maxScopes)
    all.push({ scopes: scopes.slice(from, from + maxScopes) });
  return all;
}

/** Returns a hash for each key, certificate, URL or subject in a registration. */
function namesOf(registration: Registration): string[] {
  const { jwksUri, certificateSubject } = registration;
  const names = keysOfRegistration(registration).map(({ thumbprint }) => thumbprint);
  if (jwksUri !== null) names.push(nameOf(['jwks_uri', jwksUri]));
  if (certificateSubject) names.push(nameOf([certificateSubject.field, certificateSubject.value]));
  return names;
}

function nameOf(text: readonly string[]): string {
  return hash('sha256', JSON.stringify(text), 'base64url');
}

/** Returns the id of the client that a record of `recordLimits` is about. */
export function idOfLimits(target: string): string {
  return (JSON.parse(target) as [string, ClientLimits])[0];
}

/**
 * Limits a client as a lost change had limited it.
 * @param target the target of the lost change.
 * @returns the limited client, which is the given one if it is limited already, and `isWithdrawn`: whether nothing is left
 * that it can authenticate with, so that its current credential must end.
 */
export function limitAgain(client: Client, target: string): { client: Client; isWithdrawn: boolean } {
  const [, limits] = JSON.parse(target) as [string, ClientLimits];
  const left = withoutNames(client, limits.withdrawn ?? []);
  const limited: Client = {
    ...client,
    ...limits.demands,
    dialects: client.dialects.filter((name) => !limits.dialects?.includes(name)),
    ...(limits.networks ? { allowedNetworks: limits.networks, networkMode: 'enforce' as const } : {}),
    ...(limits.tokenTtlSeconds === undefined
      ? {}
      : { tokenTtlSeconds: Math.min(limits.tokenTtlSeconds, client.tokenTtlSeconds ?? limits.tokenTtlSeconds) }),
    // A resource server must not offer a kind of information again, nor a name with its earlier meaning.
    ...withoutOffer(client, limits),
    ...(left ? { jwks: left.jwks } : {}),
  };
  const isChanged = limitsOf(client, limited).length > 0;
  return { client: isChanged ? limited : client, isWithdrawn: left === undefined };
}

/** Returns a registration without keys of these names, or undefined if nothing would be left. */
function withoutNames(client: Client, names: readonly string[]): Pick<Client, 'jwks'> | undefined {
  const present = namesOf(client);
  const removed = present.filter((name) => names.includes(name));
  if (removed.length === 0) return { jwks: client.jwks };
  if (removed.length === present.length || !client.jwks) return undefined;
  const { authMethod } = registrationOf(client);
  const keys = client.jwks.keys.filter((jwk) =>
    keysOfRegistration({ authMethod, jwks: { keys: [jwk] } }).every(({ thumbprint }) => !names.includes(thumbprint)),
  );
  return { jwks: { keys } };
}

function withoutOffer(
  client: Client,
  { information: kinds = [], scopes: lost = [] }: ClientLimits,
): Pick<Client, 'information' | 'scopes'> {
  const information = client.information.filter((kind) => !kinds.includes(kind));
  const isLost = (name: string) =>
    lost.some(([each, permission]) => each === name && permissionOf(client, name) === permission);
  const scopes = client.scopes.flatMap((scope) => {
    if (scope.information !== null && !information.includes(scope.information)) return [];
    const [name, ...aliases] = [scope.name, ...scope.aliases].filter((each) => !isLost(each));
    if (name === undefined) return [];
    const since = Object.fromEntries(
      Object.entries(scope.since).filter(([each]) => name === each || aliases.includes(each)),
    );
    return [{ ...scope, name, aliases, since }];
  });
  return { information, scopes };
}
