import type { Dialect } from '../configuration/dialects.ts';
import { anyNetwork, type GivenNetworks, type NetworkLimit, networkLimitOf } from '../http/allowed-networks.ts';
import { type AuthMethod, type Client, parseScope, type TokenFormat, type TokenTyp } from './client.ts';
import { type ClientDetails, noDetails } from './client-details.ts';
import type { GivenKeys } from './client-rules.ts';
import type { Claims } from './custom-claims.ts';
import type { GivenScope } from './declared-scopes.ts';

/** Optional settings that every kind of client has. */
export type GivenDetails = GivenNetworks & { [Field in keyof ClientDetails]?: ClientDetails[Field] | undefined } & {
  tokenTtlSeconds?: number | null | undefined;
  /** Scopes, separated by spaces; null grants all of the client's scopes if none is requested. */
  defaultScope?: string | null | undefined;
  dialects?: readonly Dialect[] | undefined;
  claims?: Claims | undefined;
  /** Whether the client may rotate its own credential. */
  selfRotation?: boolean | undefined;
};

type Detailed = NetworkLimit &
  Pick<Client, 'tokenTtlSeconds' | 'defaultScope' | 'dialects' | 'claims' | 'selfRotation' | 'details'>;

/** The details of a client that has none. */
const withoutDetails: Detailed = {
  tokenTtlSeconds: null,
  defaultScope: null,
  dialects: [],
  claims: {},
  selfRotation: false,
  ...anyNetwork,
  details: noDetails,
};

/** Changes of a client. New keys or a new subject replace the previous ones. */
export type ClientPatch = GivenKeys &
  GivenDetails & {
    /** Another way of authentication than the current one needs a confirmation. */
    authMethod?: AuthMethod | undefined;
    name?: string | undefined;
    /** Another organization, to which the integration moves. */
    organizationId?: string | undefined;
    scope?: string | undefined;
    accessKey?: 'optional' | 'required' | undefined;
    /** Null removes an integration's default resource. */
    resource?: string | null | undefined;
    information?: readonly string[] | undefined;
    /** All declared scopes of a resource server. */
    scopes?: readonly GivenScope[] | undefined;
    tokenFormat?: TokenFormat | undefined;
    tokenTyp?: TokenTyp | undefined;
    certificateBoundTokens?: boolean | undefined;
    dpopBoundTokens?: boolean | undefined;
    /** Confirms the review of a change of declared scopes. */
    confirmation?: string | undefined;
  };

/** Returns what was given, and otherwise what was there before. */
export function detailsOf(given: GivenDetails, before: Detailed = withoutDetails): Detailed {
  const details = before.details ?? noDetails;
  const or = <T>(value: T | undefined, earlier: T): T => (value === undefined ? earlier : value);
  return {
    tokenTtlSeconds: or(given.tokenTtlSeconds, before.tokenTtlSeconds),
    defaultScope: given.defaultScope === undefined ? before.defaultScope : toScopeList(given.defaultScope),
    dialects: given.dialects ? [...new Set(given.dialects)] : before.dialects,
    claims: given.claims ?? before.claims,
    selfRotation: given.selfRotation ?? before.selfRotation,
    ...networkLimitOf(given, before),
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
