import type { AccessKey } from '../access-keys/access-key.ts';
import { Conflict } from '../errors.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import type { Client } from './client.ts';
import { isHeld, isOffered, sharedScopes } from './offered-scopes.ts';

/** The ceiling of an organization: what its integrations and access keys may have at most. */

/** Returns the organization that tokens of a client or access key name; undefined for that of the deployment. */
export function namedOrganization(owner: { organizationId: string | null } | undefined): string | undefined {
  const organizationId = owner?.organizationId ?? deploymentOrganization;
  return organizationId === deploymentOrganization ? undefined : organizationId;
}

/** Null means no limit. */
export type Ceiling = {
  /** The scopes of each API that may be granted. */
  scopes: readonly { resource: string; scope: readonly string[] }[] | null;
  /** Number of integrations. */
  integrations: number | null;
  /** Number of enabled access keys. */
  accessKeys: number | null;
  /** Longest time from the creation of an access key to its expiry. */
  keyLifetimeSeconds: number | null;
  /** Whether secrets and access keys may be shown again. If not, no copies of them are stored. */
  reveal: boolean;
};

export const noCeiling: Ceiling = {
  scopes: null,
  integrations: null,
  accessKeys: null,
  keyLifetimeSeconds: null,
  reveal: true,
};

/** The columns of a ceiling in the table `organizations`. */
export type CeilingRow = {
  max_scopes: Ceiling['scopes'];
  max_integrations: number | null;
  max_access_keys: number | null;
  max_key_life: number | null;
  reveal: boolean;
};

export function readCeiling(row: CeilingRow): Ceiling {
  return {
    scopes: row.max_scopes,
    integrations: row.max_integrations,
    accessKeys: row.max_access_keys,
    keyLifetimeSeconds: row.max_key_life,
    reveal: row.reveal,
  };
}

/** An organization that no other transaction changes, or grants anything, until this one ends. */
export type HeldOrganization = { id: string; ceiling: Ceiling };

/** Returns the error for what a ceiling does not allow. */
export function ceilingExceeded(message: string, extension?: Record<string, unknown>): Conflict {
  return new Conflict('ceiling_exceeded', message, extension);
}

/**
 * Returns the scopes that a ceiling does not contain. A scope must be in it for every API at which it can be granted.
 * @param resource the default resource of an integration, or null.
 */
export function scopesBeyond(
  { scopes: allowed }: Ceiling,
  { scope, resource }: { scope: readonly string[]; resource: string | null },
  servers: readonly Client[],
): string[] {
  if (!allowed) return [];
  return scope.filter((item) => {
    const offering = servers.filter((server) => isOffered(server, item));
    const own = offering.filter((server) => server.resource === resource);
    // A client has a shared name at its own resource server only, if that offers it (grantable-scope.ts).
    const meant = own.length > 0 && sharedScopes(servers).has(item) ? own : offering;
    return meant.some((server) => {
      const ofServer = allowed.find((each) => each.resource === server.resource)?.scope ?? [];
      return !isHeld(server, ofServer, item);
    });
  });
}

/** @throws {Conflict} `ceiling_exceeded` that names the scopes that the ceiling does not contain. */
export function requireScopesWithin(
  { ceiling }: HeldOrganization,
  granted: { scope: readonly string[]; resource: string | null },
  servers: readonly Client[],
): void {
  const beyond = scopesBeyond(ceiling, granted, servers);
  if (beyond.length === 0) return;
  throw ceilingExceeded(`scope: the ceiling of the organization does not allow ${beyond.join(', ')}.`, {
    scope: beyond.join(' '),
  });
}

/** Returns whether an access key may live longer than a ceiling allows. */
export function outlives(
  { keyLifetimeSeconds: longest }: Ceiling,
  { createdAt, expiresAt }: Pick<AccessKey, 'createdAt' | 'expiresAt'>,
): boolean {
  if (longest === null) return false;
  return expiresAt === null || expiresAt.getTime() > latestEnd(longest, createdAt).getTime();
}

/** @throws {Conflict} `ceiling_exceeded` that says which expiry is allowed. */
export function requireLifeWithin(
  { ceiling }: HeldOrganization,
  key: Pick<AccessKey, 'createdAt' | 'expiresAt'>,
): void {
  if (!outlives(ceiling, key)) return;
  const latest = latestEnd(ceiling.keyLifetimeSeconds ?? 0, key.createdAt).toISOString();
  throw ceilingExceeded(`expires_at: the ceiling of the organization does not allow a later expiry than ${latest}.`);
}

/** Returns the expiry of a new access key for which none is given; null if it need not expire. */
export function defaultExpiry({ ceiling }: HeldOrganization, createdAt: Date): Date | null {
  return ceiling.keyLifetimeSeconds === null ? null : latestEnd(ceiling.keyLifetimeSeconds, createdAt);
}

function latestEnd(seconds: number, createdAt: Date): Date {
  return new Date(createdAt.getTime() + seconds * 1_000);
}

/**
 * Returns whether copies of a new secret are kept.
 * @param asked what the request asks for; undefined leaves it to the ceiling.
 * @throws {Conflict} `ceiling_exceeded` if it asks for more than the ceiling allows.
 */
export function revealWithin({ ceiling }: HeldOrganization, asked: boolean | undefined): boolean {
  if (asked && !ceiling.reveal) {
    throw ceilingExceeded('reveal: the ceiling of the organization does not allow that secrets are shown again.');
  }
  return asked ?? ceiling.reveal;
}

/** Something that has scopes: an integration or an access key. */
export type Grant = {
  kind: 'client' | 'access_key';
  /** The Client ID, or the id of the access key. */
  id: string;
  name: string;
  organization: string;
  scope: string[];
  resource: string | null;
};

/** Number of clients or access keys that an error lists. It also gives their total. */
const maxNamed = 10;

/** Returns the members of an error that name what is beyond a ceiling. */
export function nameGrants(grants: readonly { kind: string; id: string; name: string }[]): Record<string, unknown> {
  const of = (kind: Grant['kind']) => grants.filter((each) => each.kind === kind);
  return {
    clients: of('client')
      .slice(0, maxNamed)
      .map(({ id, name }) => ({ client_id: id, name })),
    access_keys: of('access_key')
      .slice(0, maxNamed)
      .map(({ id, name }) => ({ id, name })),
    total: grants.length,
  };
}
