import { z } from 'zod';
import { subjectFields } from '../../clients/certificate-subject.ts';
import {
  expiry,
  flag,
  jwks,
  lettersOf,
  type ReadClient,
  readMembers,
  type Surroundings,
  words,
} from './clients-file.ts';
import { detailMembers, readDetails } from './read-details.ts';

const text = z.string().optional();

/**
 * Members that are read, with the names of RFC 7591, RFC 8705, RFC 9449, Hydra, Auth0 and Keyturn's export and admin
 * API.
 */
const registration = z.object({
  client_id: z.string(),
  client_secret: text,
  secret: text,
  client_secret_hash: z.unknown().optional(),
  client_secret_expires_at: expiry.optional(),
  client_name: text,
  name: text,
  kind: text,
  global: flag.optional(),
  enabled: flag.optional(),
  disabled: flag.optional(),
  active: flag.optional(),
  status: text,
  scope: words.optional(),
  scopes: words.optional(),
  grant_types: words.optional(),
  token_endpoint_auth_method: text,
  auth_method: text,
  client_authentication_methods: z.record(z.string(), z.unknown()).optional(),
  token_endpoint_auth_signing_alg: text,
  jwks: jwks.optional(),
  jwks_uri: text,
  ...(Object.fromEntries(subjectFields.map((field) => [field, text])) as Record<
    (typeof subjectFields)[number],
    typeof text
  >),
  tls_client_certificate_bound_access_tokens: flag.optional(),
  dpop_bound_access_tokens: flag.optional(),
  require_proof_of_possession: flag.optional(),
  access_key: z.enum(['optional', 'required']).optional(),
  reveal: flag.optional(),
  resource: text,
  ...detailMembers,
  compliance_level: text,
});

type Registration = z.output<typeof registration>;

/** Names without case and punctuation, so that `clientId`, `ClientID` and `client-id` match `client_id`. */
const namesByLetters = new Map(Object.keys(registration.shape).map((name) => [lettersOf(name), name]));

/** Members that restrict how or from where a client may authenticate, and that are not supported. */
const unknownDemand =
  /dpop|mtls|tlsclient|certificatebound|clientcertificate|proofofpossession|holderofkey|senderconstrain|(?:allowed|trusted)_?(?:ip|network|address|cidr)|ip(?:allow|white)list|expirationdate/;

/** Information about a client that is not among its members. */
export type Beside = Partial<Surroundings> & {
  /** Security requirements that cannot be imported, each as a reason to reject the client. */
  unmet?: readonly string[];
  /** Settings that are not imported, each as a sentence. */
  notes?: readonly string[];
};

/** Reads a client in the form of RFC 7591. Members in camel case are read too. */
export function readRegistration(value: object, beside: Beside = {}): ReadClient {
  const known = toKnownMembers(value);
  const unmet = [...known.unmet, ...(beside.unmet ?? [])];
  const read = readMembers(registration, known.members);
  if ('reasons' in read) return { reasons: [...read.reasons, ...unmet] };
  const client = read.data;
  const granted = beside.grants?.get(client.client_id) ?? beside.grants?.get(client.client_name || client.name || '');
  const audiences = new Set(granted?.map(({ audience }) => audience));
  if (client.kind === 'resource_server' || client.kind === 'resource-server') {
    return { reasons: ['it is a resource server; register it with `keyturn clients create --kind resource-server`'] };
  }
  const status = isEnabled(client);
  const details = readDetails(client);
  const grants = client.grant_types;
  return {
    // Auth0's `global` client represents the tenant itself.
    isMoved: client.global !== true && (!grants || grants.includes('client_credentials')),
    row: {
      clientId: client.client_id,
      clientSecret: client.client_secret || client.secret || undefined,
      secretHash: client.client_secret_hash || undefined,
      secretExpiresAt: client.client_secret_expires_at,
      previousSecret: undefined,
      name: client.client_name || client.name || client.client_id,
      enabled: status === true,
      scope: [...(client.scope ?? client.scopes ?? []), ...(granted ?? []).flatMap(({ scope }) => scope)],
      accessKey: client.access_key ?? 'optional',
      reveal: client.reveal ?? true,
      resource: client.resource || undefined,
      audience: audiences.size === 1 ? [...audiences][0] : undefined,
      authMethod: authMethodOf(client),
      signingAlgorithm: signingAlgorithmOf(client),
      jwks: client.jwks,
      jwksUri: client.jwks_uri || undefined,
      certificateSubjects: subjectFields.flatMap((field) => {
        const name = client[field];
        return name ? [{ field, value: name }] : [];
      }),
      certificateBoundTokens: client.tls_client_certificate_bound_access_tokens,
      dpopBoundTokens: client.dpop_bound_access_tokens ?? false,
      details: details.details,
      owners: details.owners,
      unmet: [
        ...unmet,
        ...details.unmet,
        ...(status === undefined ? ['`status` has an unknown value'] : []),
        ...unmetOf(client),
      ],
      notes: [...details.notes, ...(beside.notes ?? [])],
    },
  };
}

function toKnownMembers(value: object): { members: Record<string, unknown>; unmet: string[] } {
  const members: Record<string, unknown> = {};
  const unmet: string[] = [];
  for (const [given, member] of Object.entries(value)) {
    const letters = lettersOf(given);
    const name = namesByLetters.get(letters);
    if (name && Object.hasOwn(members, name)) unmet.push(`\`${name}\` occurs twice`);
    else if (name) members[name] = member;
    else if (isGiven(member) && unknownDemand.test(letters))
      unmet.push(`it has a requirement that Keyturn does not know: ${shown(given)}`);
  }
  return { members, unmet };
}

function authMethodOf(client: Registration): string {
  const given = client.token_endpoint_auth_method || client.auth_method;
  // Auth0 stores keys and certificates as credentials with ids, which the export does not contain.
  return given || Object.keys(client.client_authentication_methods ?? {})[0] || 'client_secret_basic';
}

function signingAlgorithmOf({ token_endpoint_auth_signing_alg: algorithm }: Registration): string | undefined {
  return algorithm && algorithm !== 'none' ? algorithm : undefined;
}

/** Returns whether every member says that the client is enabled. Returns undefined if its `status` is unknown. */
function isEnabled({ enabled, disabled, active, status }: Registration): boolean | undefined {
  const word = status?.toLowerCase() ?? 'enabled';
  if (!/^(enabled|active|disabled|inactive|deactivated|suspended|blocked)$/.test(word)) return undefined;
  return enabled !== false && disabled !== true && active !== false && /^(enabled|active)$/.test(word);
}

function unmetOf(client: Registration): string[] {
  const unmet: string[] = [];
  const methods = Object.keys(client.client_authentication_methods ?? {});
  if (methods.length > 1) unmet.push('it has more than one `client_authentication_methods`');
  const isBound =
    client.dpop_bound_access_tokens === true || client.tls_client_certificate_bound_access_tokens === true;
  if (client.require_proof_of_possession === true && !isBound) {
    unmet.push(
      '`require_proof_of_possession` does not say how: set `dpop_bound_access_tokens` or `tls_client_certificate_bound_access_tokens`',
    );
  }
  if (client.compliance_level && client.compliance_level !== 'none') {
    unmet.push(
      '`compliance_level` is not followed; set the requirements themselves, such as `dpop_bound_access_tokens`',
    );
  }
  if (client.scope && client.scopes && client.scope.join(' ') !== client.scopes.join(' ')) {
    unmet.push('`scope` and `scopes` differ');
  }
  return unmet;
}

function isGiven(member: unknown): boolean {
  if (member === null || member === undefined || member === false || member === '' || member === 'false') return false;
  return typeof member !== 'object' || Object.keys(member).length > 0;
}

function shown(name: string): string {
  return /^[\w.-]{1,60}$/.test(name) ? `\`${name}\`` : 'a member';
}
