import type { SsoSettings } from '../configuration/sign-in-settings.ts';
import { type Permission, permissions } from '../contacts/contact.ts';
import { UsageError } from '../errors.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';

/** The permissions that people with a value of the provider's claim get. */
export type ClaimGrant = {
  /** A group, a role or another value of the claim; `*` stands for everyone who can sign in at the provider. */
  value: string;
  permissions: readonly Permission[];
  /** The organization that the permissions are limited to; null for that of the provider. */
  organizationId: string | null;
};

/** An OpenID Provider at which people sign in (OpenID Connect Core 1.0), with what its claims allow them. */
export type IdentityProvider = {
  id: string;
  /** The organization whose people sign in there. */
  organizationId: string;
  name: string;
  issuer: string;
  clientId: string;
  /** Null for a public client, which uses PKCE alone. */
  clientSecret: string | null;
  /** The scopes of the authorization request. */
  scope: string;
  /** The claim with the person's groups or roles. A dot separates the members of nested objects. */
  claim: string;
  grants: readonly ClaimGrant[];
  /** Whether a person who has permissions and no contact yet gets one. */
  createsContacts: boolean;
  /** Whether a person is matched once with the contact that has the same e-mail address, if the provider has verified it. */
  linksByEmail: boolean;
  /** Authentication contexts that a renewed proof of identity must have, one of them; empty for any. */
  acrValues: readonly string[];
  /** E-mail domains whose people are sent to this provider. */
  emailDomains: readonly string[];
  enabled: boolean;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
};

/** The id of the provider that is configured in the environment. */
export const configuredProviderId = 'deployment';

/** Returns the provider that is configured in the environment, as one of the deployment. @throws {UsageError} */
export function configuredProvider(settings: SsoSettings): IdentityProvider {
  return {
    ...settings,
    grants: settings.grants.map(({ value, permissions: names }) => ({
      value,
      permissions: names.includes('all') ? permissions : names.map(readPermission),
      organizationId: null,
    })),
    id: configuredProviderId,
    organizationId: deploymentOrganization,
    name: new URL(settings.issuer).hostname,
    createsContacts: true,
    linksByEmail: true,
    emailDomains: [],
    enabled: true,
    revision: 1,
    createdAt: new Date(0),
    updatedAt: new Date(0),
  };
}

function readPermission(name: string): Permission {
  const found = permissions.find((permission) => permission === name);
  if (found) return found;
  throw new UsageError(`KEYTURN_SSO_GRANTS: ${name} is not a permission. They are all, ${permissions.join(', ')}.`);
}

export const defaultScope = 'openid profile email';

/** Returns whether the provider is asked for refresh tokens (OpenID Connect Core 1.0 §11), with which people are checked. */
export function wantsRefreshToken({ scope }: IdentityProvider): boolean {
  return scope.split(' ').includes('offline_access');
}

export type Claims = Readonly<Record<string, unknown>>;

/**
 * Returns the permissions that claims give in an organization.
 * @param organizationId the organization of the contact.
 */
export function permissionsFrom(provider: IdentityProvider, claims: Claims, organizationId: string): Permission[] {
  const granted = matchingGrants(provider, claims)
    .filter((grant) => (grant.organizationId ?? provider.organizationId) === organizationId)
    .flatMap((grant) => grant.permissions);
  return permissions.filter((permission) => granted.includes(permission));
}

/** Returns the organization of a person who has no contact yet: that of the first grant which gives a permission. */
export function organizationFrom(provider: IdentityProvider, claims: Claims): string {
  const first = matchingGrants(provider, claims).find((grant) => grant.permissions.length > 0);
  return first?.organizationId ?? provider.organizationId;
}

function matchingGrants({ claim, grants }: IdentityProvider, claims: Claims): ClaimGrant[] {
  const values = valuesOf(claims, claim);
  return grants.filter(({ value }) => value === '*' || values.includes(value));
}

/** Returns whether the claims contain the one that decides on permissions. */
export function hasClaim(provider: IdentityProvider, claims: Claims): boolean {
  return readClaim(claims, provider.claim) !== undefined;
}

function valuesOf(claims: Claims, path: string): string[] {
  const found = readClaim(claims, path);
  return (Array.isArray(found) ? found : [found]).filter((value) => typeof value === 'string');
}

/** Reads a claim by its name, which may contain dots, or else as the path of a member, as in `realm_access.roles`. */
function readClaim(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  return path.split('.').reduce<unknown>((value, member) => {
    const isObject = typeof value === 'object' && value !== null && Object.hasOwn(value, member);
    return isObject ? (value as Claims)[member] : undefined;
  }, claims);
}
