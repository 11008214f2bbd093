import { z } from 'zod';
import type { EndedUse } from '../../attention/find-states.ts';
import { type CertificateSubject, subjectFields } from '../../clients/certificate-subject.ts';
import { authMethods, type KnownClient, tokenTyps } from '../../clients/client.ts';
import { noDetails } from '../../clients/client-details.ts';
import { type ListedKey, listKeys } from '../../clients/key-credentials.ts';
import { isKeyCredential, isLive } from '../../credentials/secret.ts';
import { InvalidInput } from '../../errors.ts';
import type { ClientKeyRecord } from '../../usage/client-key-store.ts';
import { presentEndedUse, shownDetails, shownEndedUse, shownOrganization, shownWarnings } from '../details-schemas.ts';
import { presentNetworks } from '../network-schemas.ts';
import { shownScopes } from '../scope-schemas.ts';
import { hint, nullableTimestamp, resourceUri, timestamp } from '../text.ts';

const secretSchema = z.strictObject({
  hint,
  client_id: z.string().meta({ description: 'The Client ID that the secret belongs to.' }),
  status: z
    .enum(['current', 'retiring'])
    .meta({ description: '`retiring`: the previous secret, which works until `retires_at`.' }),
  created_at: timestamp('When the secret was created'),
  awaits_first_use: z.boolean().meta({
    description:
      'Whether only the hash of another server is known of this imported secret. It is verified when the client first uses the secret; until then `hint` is `…`.',
  }),
  last_used_at: nullableTimestamp('When the secret was last used. Null: never.'),
  retires_at: nullableTimestamp('When the secret stops working. Null: it does not expire.'),
});

export const keyFields = {
  type: z.enum(['key', 'certificate', 'trust']).meta({
    description: 'Whether it is a public key, a certificate, or a trust in an issuer of workload identities.',
  }),
  kid: z.string().nullable().meta({ description: 'The ID of the key (RFC 7517 §4.5). Null: it has none.' }),
  thumbprint: z.string().meta({
    description:
      'The thumbprint of the key (RFC 7638), `x5t#S256` of the certificate (RFC 8705 §3.1), or the ID of the trust.',
  }),
};

const keySchema = z.strictObject({
  ...keyFields,
  status: z.enum(['current', 'retiring', 'left', 'ended']).meta({
    description:
      '`retiring`: accepted until the grace period ends; `left`: no longer published at `jwks_uri`; `ended`: no longer accepted.',
  }),
  published_at: nullableTimestamp('When it was first seen at `jwks_uri`. Null: it was not published.'),
  left_at: nullableTimestamp('When it was first missing at `jwks_uri`. Null: it was not missing.'),
  first_used_at: nullableTimestamp('When it was first used. Null: never.'),
  last_used_at: nullableTimestamp('When it was last used. Null: never.'),
  used_after_leaving_at: nullableTimestamp(
    'When a program that signs with it was last rejected because it is no longer published. Null: never.',
  ),
});

/** Schema of a JWK set (RFC 7517 §5). Registration checks which keys are usable. */
export const jwksSchema = z.strictObject({
  keys: z.array(z.record(z.string(), z.unknown())).max(100).meta({ description: 'The keys as JWKs (RFC 7517 §4).' }),
});

const subject = z.string().max(1_000).optional();

/** Certificate subjects for `tls_client_auth` (RFC 8705 §2.1.2). A client has at most one of them. */
export const subjectShape = {
  tls_client_auth_subject_dn: subject.meta({
    description: 'For `tls_client_auth`: the subject of the client certificate (RFC 4514).',
    example: 'CN=sync,O=Example,C=DE',
  }),
  tls_client_auth_san_dns: subject.meta({ description: 'For `tls_client_auth`: a DNS name in the certificate.' }),
  tls_client_auth_san_uri: subject.meta({ description: 'For `tls_client_auth`: a URI in the certificate.' }),
  tls_client_auth_san_ip: subject.meta({ description: 'For `tls_client_auth`: an IP address in the certificate.' }),
  tls_client_auth_san_email: subject.meta({
    description: 'For `tls_client_auth`: an e-mail address in the certificate.',
  }),
} satisfies Record<CertificateSubject['field'], unknown>;

const clientFields = {
  client_id: z.string().meta({ description: 'The Client ID.' }),
  name: z.string().meta({ description: 'The name that people see.' }),
  kind: z.enum(['integration', 'resource_server']).meta({
    description: '`integration`: a program that requests access tokens. `resource_server`: an API that checks them.',
  }),
  organization_id: shownOrganization,
  status: z.enum(['enabled', 'disabled']).meta({ description: 'A disabled client cannot authenticate.' }),
  scope: z.string().meta({ description: 'The scopes that an integration may have, separated by spaces.' }),
  access_key: z
    .enum(['optional', 'required'])
    .meta({ description: 'Whether each token request of an integration must contain an access key.' }),
  auth_method: z.enum(authMethods).meta({ description: 'How the client authenticates.' }),
  jwks: jwksSchema
    .nullable()
    .meta({ description: 'The registered public keys or certificates that the client authenticates with.' }),
  jwks_uri: z
    .string()
    .nullable()
    .meta({ description: 'The URL of the public keys that the client authenticates with.' }),
  ...subjectShape,
  tls_client_certificate_bound_access_tokens: z
    .boolean()
    .meta({ description: 'Whether all access tokens are bound to the TLS certificate of the client (RFC 8705 §3).' }),
  dpop_bound_access_tokens: z
    .boolean()
    .meta({ description: 'Whether all access tokens are bound to a key with DPoP (RFC 9449 §5.2).' }),
  reveal: z.boolean().meta({ description: 'Whether the secret can be shown again.' }),
  resource: resourceUri.nullable().meta({
    description:
      'Resource server: its own identifier (RFC 8707). Integration: the resource server that tokens are for if a token request names none.',
  }),
  information: z
    .array(z.string())
    .meta({ description: 'The kinds of information that a resource server offers. Empty for an integration.' }),
  scopes: shownScopes,
  token_format: z
    .enum(['opaque', 'jwt'])
    .nullable()
    .meta({ description: 'The format of the access tokens of a resource server. Null for an integration.' }),
  token_typ: z
    .enum(tokenTyps)
    .nullable()
    .meta({ description: 'The `typ` header of the access tokens. Null unless `token_format` is `jwt`.' }),
  ...shownDetails,
  tokens_not_before: nullableTimestamp('Access tokens that were issued before this time are revoked. Null: none are.'),
  secrets: z.array(secretSchema).meta({ description: 'The secrets that work now, newest first.' }),
  keys: z.array(keySchema).meta({
    description:
      'The keys and certificates that the client is registered with, publishes or used: at most the latest 50.',
  }),
  created_at: timestamp('When the client was registered'),
  updated_at: timestamp('When the client was last changed'),
  last_used_at: nullableTimestamp('When the client last authenticated. Null: never.'),
  retires_at: nullableTimestamp(
    'When the grace period of the previous credential ends. Null: there is no previous credential.',
  ),
  ...shownEndedUse,
  ...shownWarnings,
};

export const clientSchema = z
  .strictObject(clientFields)
  .meta({ id: 'RegisteredClient', description: 'A client, without its secrets.' });

/**
 * Schema of a client with its plaintext secret, which only the request that creates the secret returns. The secret is
 * absent if the client authenticates with keys.
 */
export const clientWithSecretSchema = z
  .strictObject({
    ...clientFields,
    client_secret: z.string().optional().meta({ description: 'The secret. Absent if the client has none.' }),
  })
  .meta({ id: 'ClientWithSecret', description: 'A client with its new secret.' });

/**
 * Returns the certificate subject of a request body, or undefined if there is none.
 * @throws {InvalidInput} if the body has more than one.
 */
export function readSubject(fields: { [field in CertificateSubject['field']]?: string | undefined }) {
  const given = subjectFields
    .flatMap((field) => ({ field, value: fields[field] }))
    .filter(({ value }) => value !== undefined);
  if (given.length > 1) throw new InvalidInput('Only one of the `tls_client_auth_…` fields is allowed.');
  return given[0] as CertificateSubject | undefined;
}

/** Last use of each client secret, by `client.id/generation`. Generation 0 counts uses without a secret. */
export type LastUsed = ReadonlyMap<string, Date>;

/**
 * Converts a client to its representation in the admin API, which contains hints of its secrets but not the secrets.
 */
export function presentClient(
  { client, secrets }: KnownClient,
  now: number,
  lastUsed: LastUsed,
  keys: readonly ClientKeyRecord[],
  endedUse: EndedUse | undefined,
): z.input<typeof clientSchema> {
  const live = secrets.filter((secret) => isLive(secret, now));
  const details = client.details ?? noDetails;
  return {
    client_id: client.clientId,
    name: client.name,
    kind: client.kind,
    organization_id: client.organizationId,
    status: client.enabled ? 'enabled' : 'disabled',
    scope: client.scope.join(' '),
    access_key: client.accessKey,
    auth_method: client.authMethod,
    jwks: client.jwks && { keys: [...client.jwks.keys] },
    jwks_uri: client.jwksUri,
    ...(client.certificateSubject && { [client.certificateSubject.field]: client.certificateSubject.value }),
    tls_client_certificate_bound_access_tokens: client.certificateBoundTokens,
    dpop_bound_access_tokens: client.dpopBoundTokens,
    reveal: client.reveal,
    resource: client.resource,
    information: [...client.information],
    scopes: presentScopes(client.scopes),
    token_format: client.tokenFormat,
    token_typ: client.tokenTyp,
    owner_contact_id: details.ownerContactId,
    description: details.description,
    labels: details.labels,
    metadata: details.metadata,
    contacts: [...details.contacts],
    access_token_ttl: client.tokenTtlSeconds,
    default_scope: client.defaultScope?.join(' ') ?? null,
    dialects: [...client.dialects],
    claims: client.claims,
    self_rotation: client.selfRotation,
    ...presentNetworks(client),
    tokens_not_before: client.tokensNotBefore?.toISOString() ?? null,
    secrets: live
      .filter((secret) => !isKeyCredential(secret))
      .map((secret) => ({
        hint: `…${secret.hint}`,
        client_id: secret.clientId ?? client.clientId,
        status: secret.retiresAt === null ? 'current' : 'retiring',
        created_at: secret.createdAt.toISOString(),
        awaits_first_use: secret.hash !== null,
        last_used_at: lastUsed.get(`${client.id}/${secret.generation}`)?.toISOString() ?? null,
        retires_at: secret.retiresAt?.toISOString() ?? null,
      })),
    keys: listKeys({ client, secrets }, keys, now).map(presentKey),
    created_at: client.createdAt.toISOString(),
    updated_at: client.updatedAt.toISOString(),
    // Generation 0 counts uses without a secret.
    last_used_at: latest(
      [0, ...secrets.map(({ generation }) => generation)].map((of) => lastUsed.get(`${client.id}/${of}`)),
    ),
    retires_at: live.find((secret) => secret.retiresAt !== null)?.retiresAt?.toISOString() ?? null,
    ended_credential_use: presentEndedUse(endedUse),
  };
}

function presentKey({ kind, kid, thumbprint, status, ...dates }: ListedKey): z.input<typeof keySchema> {
  const { publishedAt, leftAt, firstUsedAt, lastUsedAt, usedAfterLeavingAt } = dates;
  return {
    type: kind,
    kid,
    thumbprint,
    status,
    published_at: publishedAt?.toISOString() ?? null,
    left_at: leftAt?.toISOString() ?? null,
    first_used_at: firstUsedAt?.toISOString() ?? null,
    last_used_at: lastUsedAt?.toISOString() ?? null,
    used_after_leaving_at: usedAfterLeavingAt?.toISOString() ?? null,
  };
}

function latest(dates: readonly (Date | undefined)[]): string | null {
  const time = Math.max(0, ...dates.map((date) => date?.getTime() ?? 0));
  return time === 0 ? null : new Date(time).toISOString();
}

/** Returns the strong ETag of a revision (RFC 9110 §8.8.3), for comparison with If-Match. */
export function etagOf({ revision }: { revision: number }): string {
  return `"${revision}"`;
}

/** Presents the scopes that a resource server declares. */
export function presentScopes(scopes: KnownClient['client']['scopes']) {
  return scopes.map(({ id: _permission, since: _since, united: _united, aliases, deprecated, ...scope }) => ({
    ...scope,
    aliases: [...aliases],
    deprecated: [...(deprecated ?? [])],
  }));
}
