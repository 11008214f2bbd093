import { isIP } from 'node:net';
import { type Dialect, tokenDialects } from '../configuration/dialects.ts';
import { Conflict, InvalidInput } from '../errors.ts';
import { type GivenNetworks, networkLimitOf, widensNetworks } from '../http/allowed-networks.ts';
import { isPublicAddress } from '../http/public-address.ts';
import type { Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { requireScopesWithin } from './ceiling.ts';
import { type CertificateSubject, requireUsableSubject } from './certificate-subject.ts';
import type { AuthMethod, Client } from './client.ts';
import { holdResourceServers, listResourceServers } from './client-store.ts';
import { requireDeclarable } from './declared-scopes.ts';
import { type HeldForClient, requireNoneBeyond } from './hold-organizations.ts';
import { requireOffered } from './offered-scopes.ts';
import { readRegisteredCertificate } from './registered-certificate.ts';
import {
  acceptedOf,
  type ClientJwks,
  readVerificationKey,
  requireUsableJwks,
  type VerificationAlgorithm,
  verificationAlgorithms,
} from './verification-key.ts';

type GivenField =
  | 'scope'
  | 'defaultScope'
  | 'accessKey'
  | 'information'
  | 'scopes'
  | 'tokenFormat'
  | 'tokenTyp'
  | 'resource'
  | 'ownerContactId'
  | 'dialects'
  | 'organizationId';

/**
 * Checks that a client has only members of its kind, and only scopes and a resource that a resource server offers and
 * the ceiling of its organization allows.
 * @param held what `holdForClient` has locked; undefined if nothing new is granted or offered.
 * @throws {InvalidInput | Conflict}
 */
export async function requireConsistent(
  transaction: Transaction,
  client: Client,
  given: Partial<Record<GivenField, unknown>>,
  held: HeldForClient | undefined,
): Promise<void> {
  const owner = client.details?.ownerContactId;
  if (given.ownerContactId && owner && !(await holdContact(transaction, owner))) {
    throw new InvalidInput('owner_contact_id: contact not found.');
  }
  // Lock the resource servers for an integration only. If resource servers locked each other, concurrent changes would
  // deadlock.
  const servers = await (client.kind === 'integration' ? holdResourceServers : listResourceServers)(transaction);
  const others = servers.filter((server) => server.id !== client.id);
  if (client.kind === 'resource_server') {
    if (given.scope !== undefined)
      throw new InvalidInput('scope: not allowed for a resource server, which has `information` instead.');
    if (given.defaultScope !== undefined && client.defaultScope) {
      throw new InvalidInput('default_scope: not allowed for a resource server.');
    }
    if (given.dialects !== undefined && client.dialects.some((name) => tokenDialects.includes(name))) {
      throw new InvalidInput(`dialects: ${tokenDialects.join(', ')} are not allowed for a resource server.`);
    }
    if (given.accessKey !== undefined) throw new InvalidInput('access_key: not allowed for a resource server.');
    if (given.tokenTyp !== undefined && client.tokenFormat !== 'jwt') {
      throw new InvalidInput('token_typ: only allowed with `token_format` "jwt".');
    }
    if (!client.resource)
      throw new InvalidInput('resource: required for a resource server. It is the absolute URI of the API.');
    if (others.some((server) => server.resource === client.resource)) {
      throw resourceTaken();
    }
    requireDeclarable(client.scopes, client.information);
    if (client.organizationId !== deploymentOrganization) {
      throw new InvalidInput('organization_id: not allowed for a resource server, which belongs to the deployment.');
    }
    if (held) await requireNoneBeyond(transaction, held.ceilings, client, [...others, client]);
    return;
  }
  if (given.scopes !== undefined) throw new InvalidInput('scopes: only allowed for a resource server.');
  if (given.information !== undefined) throw new InvalidInput('information: only allowed for a resource server.');
  if (given.tokenFormat !== undefined) throw new InvalidInput('token_format: only allowed for a resource server.');
  if (given.tokenTyp !== undefined) throw new InvalidInput('token_typ: only allowed for a resource server.');
  if (given.scope !== undefined) {
    requireOffered(client.scope, others);
  }
  const excess = client.defaultScope?.filter((item) => !client.scope.includes(item)) ?? [];
  if (excess.length > 0) {
    throw new InvalidInput(`default_scope: ${excess.join(', ')} is not in \`scope\`. Change both together.`);
  }
  if (typeof given.resource === 'string' && !others.some((server) => server.resource === client.resource)) {
    throw new InvalidInput('resource: no resource server has this identifier.');
  }
  if (held) requireScopesWithin(held.held(client.organizationId), client, others);
}

/** Locks a contact against deletion until the transaction ends. Returns false if there is none with this id. */
async function holdContact(transaction: Transaction, id: string): Promise<boolean> {
  return (await transaction.query('SELECT 1 FROM contacts WHERE id = $1 FOR KEY SHARE', [id])).length > 0;
}

export function resourceTaken(): Conflict {
  return new Conflict('resource_taken', 'resource: another resource server already has this identifier.');
}

/** The members of a registration that define how a client authenticates (RFC 7591 §2, RFC 8705 §2.1.2). */
export type GivenKeys = {
  jwks?: ClientJwks | undefined;
  jwksUri?: string | undefined;
  certificateSubject?: CertificateSubject | undefined;
};

type RegisteredKeys = Pick<Client, 'jwks' | 'jwksUri' | 'certificateSubject'>;

const names = { jwks: '`jwks`', jwksUri: '`jwks_uri`', certificateSubject: 'a `tls_client_auth_…` field' } as const;

/** Characters of a URI (RFC 3986 §2) without a fragment. */
const uriCharacters = /^[\w\-.~:/?[\]@!$&'()*+,;=%]+$/;

/** The members of which each method requires exactly one. */
const takenBy: Record<AuthMethod, readonly (keyof GivenKeys)[]> = {
  client_secret_basic: [],
  client_secret_post: [],
  private_key_jwt: ['jwks', 'jwksUri'],
  tls_client_auth: ['certificateSubject'],
  self_signed_tls_client_auth: ['jwks'],
  workload_identity: [],
};

/** The accepted algorithms of assertions, which the registration of keys depends on. */
export type KeyDeps = { assertionAlgorithms: readonly VerificationAlgorithm[] };

/** Returns what the registration of keys of one client depends on. */
export function keyDepsOf(
  { assertionAlgorithms }: KeyDeps,
  client: { dialects?: readonly Dialect[] | undefined } | undefined,
): KeyDeps {
  return { assertionAlgorithms: acceptedOf(assertionAlgorithms, client) };
}

const byDefault: KeyDeps = { assertionAlgorithms: verificationAlgorithms };

/**
 * Returns the keys to register.
 * @throws {InvalidInput} unless the usable members that the method requires are given, and no others (RFC 7591 §2:
 * never both `jwks` and `jwks_uri`).
 */
export function registerKeys(
  authMethod: AuthMethod,
  given: GivenKeys,
  { assertionAlgorithms } = byDefault,
): RegisteredKeys {
  const { jwks, jwksUri, certificateSubject } = given;
  const taken = takenBy[authMethod];
  const present = (Object.keys(names) as (keyof GivenKeys)[]).filter((name) => given[name] !== undefined);
  for (const name of present) {
    if (!taken.includes(name)) throw new InvalidInput(`auth_method \`${authMethod}\` does not allow ${names[name]}.`);
  }
  if (taken.length > 0 && present.length !== 1) {
    throw new InvalidInput(
      `auth_method \`${authMethod}\` requires exactly one of: ${taken.map((name) => names[name]).join(' or ')}.`,
    );
  }
  const readKey = (jwk: unknown) => readVerificationKey(jwk, assertionAlgorithms);
  if (jwks) requireUsableJwks(jwks, authMethod === 'private_key_jwt' ? readKey : readRegisteredCertificate);
  if (jwksUri !== undefined) requirePublicUrl(jwksUri);
  if (certificateSubject) requireUsableSubject(certificateSubject);
  return { jwks: jwks ?? null, jwksUri: jwksUri ?? null, certificateSubject: certificateSubject ?? null };
}

/**
 * Returns the registration after a change: new keys replace all previous ones.
 * @throws {InvalidInput} also if the client keeps keys that it can only use with a dialect that is switched off.
 */
export function replaceKeys(
  { authMethod, dialects, jwks, jwksUri, certificateSubject }: Client,
  given: GivenKeys & { dialects?: readonly Dialect[] | undefined },
  deps: KeyDeps,
): RegisteredKeys {
  const isGiven = given.jwks !== undefined || given.jwksUri !== undefined || given.certificateSubject !== undefined;
  if (isGiven) return registerKeys(authMethod, given, deps);
  const isOff = dialects.includes('rs256_assertions') && given.dialects?.includes('rs256_assertions') === false;
  if (isOff && jwks && authMethod === 'private_key_jwt') return registerKeys(authMethod, { jwks }, deps);
  return { jwks, jwksUri, certificateSubject };
}

/**
 * Requires an https URL with a public host, written in the characters of RFC 3986: the URL parser drops other
 * characters, so the fetched URL would differ from the stored one. The address of a host name is checked at each
 * connection.
 */
function requirePublicUrl(uri: string): void {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  const host = url?.hostname.replace(/^\[|\]$/g, '') ?? '';
  const isUsable =
    url?.protocol === 'https:' &&
    !url.username &&
    !url.password &&
    !url.hash &&
    uri.length <= 2_000 &&
    uriCharacters.test(uri);
  if (!isUsable || (isIP(host) && !isPublicAddress(host)) || /(^|\.)localhost\.?$/.test(host)) {
    throw new InvalidInput('jwks_uri: must be an https URL with a public address.');
  }
}

type Demands = GivenNetworks & {
  [Demand in 'accessKey' | 'certificateBoundTokens' | 'dpopBoundTokens' | 'dialects' | 'selfRotation']?:
    | Client[Demand]
    | undefined;
};

/** Dialects that accept what FAPI 2.0 forbids. */
const weakDialects: readonly Dialect[] = ['token_endpoint_audience', 'rs256_assertions'];

/**
 * Returns whether a change drops a requirement: a DPoP proof, a certificate, an access key, a network, or a rule of assertions; or
 * lets the client rotate its own credential.
 */
export function weakensAuthentication(client: Client, patch: Demands): boolean {
  return (
    (client.dpopBoundTokens && patch.dpopBoundTokens === false) ||
    (client.certificateBoundTokens && patch.certificateBoundTokens === false) ||
    (client.accessKey === 'required' && patch.accessKey === 'optional') ||
    weakDialects.some((name) => patch.dialects?.includes(name) && !client.dialects.includes(name)) ||
    (!client.selfRotation && patch.selfRotation === true) ||
    widensNetworks(client, networkLimitOf(patch, client))
  );
}
