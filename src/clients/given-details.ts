import { type Client, parseScope } from './client.ts';
import { type ClientDetails, noDetails } from './client-details.ts';
import type { Claims } from './custom-claims.ts';

/** Optional settings that every kind of client has. */
export type GivenDetails = { [Field in keyof ClientDetails]?: ClientDetails[Field] | undefined } & {
  tokenTtlSeconds?: number | null | undefined;
  /** Scopes, separated by spaces; null grants all of the client's scopes if none is requested. */
  defaultScope?: string | null | undefined;
  claims?: Claims | undefined;
};

/** Returns what was given, and otherwise what was there before. */
export function detailsOf(
  given: GivenDetails,
  before: Pick<Client, 'tokenTtlSeconds' | 'defaultScope' | 'claims' | 'details'>,
): Pick<Client, 'tokenTtlSeconds' | 'defaultScope' | 'claims' | 'details'> {
  const details = before.details ?? noDetails;
  const or = <T>(value: T | undefined, earlier: T): T => (value === undefined ? earlier : value);
  return {
    tokenTtlSeconds: or(given.tokenTtlSeconds, before.tokenTtlSeconds),
    defaultScope: given.defaultScope === undefined ? before.defaultScope : toScopeList(given.defaultScope),
    claims: given.claims ?? before.claims,
    details: {
      ownerContactId: or(given.ownerContactId, details.ownerContactId),
      description: or(given.description, details.description),
      labels: given.labels ?? details.labels,
      metadata: given.metadata ?? details.metadata,
      contacts: given.contacts ?? details.contacts,
    },
  };
}

function toScopeList(scope: string | null): string[] | null {
  return scope === null ? null : parseScope(scope);
}
