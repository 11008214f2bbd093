import { z } from 'zod';
import { type CertificateSubject, subjectFields } from '../clients/certificate-subject.ts';
import type { ForeignClient } from '../clients/foreign-client.ts';
import type { GivenDetails } from '../clients/given-details.ts';
import type { ImportedRow } from '../clients/import-part.ts';
import type { ClientJwks } from '../clients/verification-key.ts';
import type { Dialect } from '../configuration/dialects.ts';
import { givenOrganization } from './details-schemas.ts';
import { givenNetworks } from './network-schemas.ts';
import { text, timestamp } from './text.ts';

/** Schemas of an import of the clients of another server. What they contain is checked client by client. */

const word = z.string().max(20_000);
const words = z.array(word).max(1_000);
const object = z.record(z.string(), z.unknown());
const moment = z.iso.datetime({ offset: true }).transform((value) => new Date(value));

const importedClient = z.strictObject({
  place: text(200)
    .default('the request')
    .meta({ description: 'Where the client comes from, for messages.', example: 'line 3' }),
  client_id: word.meta({ description: 'The Client ID of the other server, which stays valid.' }),
  client_secret: word.optional().meta({ description: 'The secret of the other server, which stays valid.' }),
  client_secret_hash: z.union([word, object]).optional().meta({
    description:
      'Instead of the secret, a hash of it: bcrypt, PBKDF2, scrypt or argon2id, or a credential of Keycloak.',
  }),
  client_secret_expires_at: moment
    .optional()
    .meta({ description: 'When the secret expires. Such a client is rejected, because secrets do not expire here.' }),
  previous_secret: z
    .strictObject({
      client_secret: word.meta({ description: 'The secret before its rotation.' }),
      ends_at: moment.meta({ description: 'Until when it is accepted.' }),
    })
    .optional()
    .meta({ description: 'A rotated secret that the other server still accepts.' }),
  name: word.meta({ description: 'The name that people see.' }),
  enabled: z.boolean().default(true).meta({ description: 'Whether the client may be used.' }),
  scope: words.default([]).meta({ description: 'The scopes that the client may have.' }),
  default_scope: word
    .nullable()
    .optional()
    .meta({ description: 'The scopes of a token that is requested without `scope`.' }),
  access_key: z
    .enum(['optional', 'required'])
    .default('optional')
    .meta({ description: 'Whether each token request must contain an access key.' }),
  reveal: z.boolean().default(true).meta({ description: 'Whether the secret can be shown again.' }),
  resource: word.optional().meta({ description: 'The default resource server.' }),
  audience: word
    .optional()
    .meta({ description: 'The only API that the other server issues tokens for. Left out if it is none here.' }),
  token_endpoint_auth_method: word
    .default('client_secret_basic')
    .meta({ description: 'How the client authenticates (RFC 7591 §2).' }),
  token_endpoint_auth_signing_alg: word
    .optional()
    .meta({ description: 'The only algorithm of its assertions (RFC 7591 §2).' }),
  jwks: z
    .object({ keys: z.array(object).meta({ description: 'The keys (RFC 7517 §5).' }) })
    .optional()
    .meta({ description: 'Its public keys (RFC 7517).' }),
  jwks_uri: word.optional().meta({ description: 'The https URL of its public keys.' }),
  certificate_subjects: z
    .array(
      z.strictObject({
        field: z.enum(subjectFields).meta({ description: 'The name of the member.' }),
        value: word.meta({ description: 'Its value.' }),
      }),
    )
    .default([])
    .meta({ description: 'The subject of its certificate: a member of RFC 8705 §2.1.2 and its value.' }),
  tls_client_certificate_bound_access_tokens: z.boolean().optional().meta({
    description: 'Whether its tokens are bound to its certificate. The default depends on how it authenticates.',
  }),
  dpop_bound_access_tokens: z.boolean().default(false).meta({ description: 'Whether its tokens are bound with DPoP.' }),
  owners: z.array(text(200)).max(100).default([]).meta({
    description: 'The contact who owns it: an ID, an external ID or an e-mail address. The first that is found.',
  }),
  description: word.nullable().optional().meta({ description: 'Notes for people.' }),
  labels: z.record(z.string(), word).optional().meta({ description: 'Keys and values to sort and filter by.' }),
  metadata: object.optional().meta({ description: 'A JSON object for your own programs.' }),
  contacts: words.optional().meta({ description: 'Whom to ask about the client.' }),
  access_token_ttl: z.number().nullable().optional().meta({ description: 'The lifetime of its tokens in seconds.' }),
  dialects: words.optional().meta({ description: 'Deviations that are accepted of it.' }),
  claims: object.optional().meta({ description: 'Custom claims of its tokens.' }),
  self_rotation: z.boolean().optional().meta({ description: 'Whether it may rotate its own credential.' }),
  ...givenNetworks,
  unmet: words.default([]).meta({
    description: 'Security requirements of the other server that have no equivalent here. Each rejects the client.',
  }),
  notes: words.default([]).meta({ description: 'Settings that are not imported, which the result repeats.' }),
});

/** Maximum number of clients in a request. */
const maxImported = 500;

/** Schema of the request body that imports clients. */
export const importRequest = z.strictObject({
  clients: z.array(importedClient).min(1).max(maxImported).meta({ description: 'The clients.' }),
  organization_id: givenOrganization,
  check: z.boolean().default(false).meta({ description: 'Whether nothing is imported.' }),
  skip_refused: z.boolean().default(false).meta({
    description: 'Whether accepted clients are imported even if others are rejected. Otherwise none is.',
  }),
  resume: z.boolean().default(false).meta({
    description: 'Whether clients that an earlier import created, unchanged since, are skipped instead of rejected.',
  }),
  fresh_secrets: z.boolean().default(false).meta({
    description: 'Whether a secret that is missing, weak or unknown is replaced by a new one instead of rejected.',
  }),
  accept_hash_like: z
    .boolean()
    .default(false)
    .meta({ description: 'Whether secrets that look like a bare hash are accepted.' }),
  drop_unknown_scopes: z
    .boolean()
    .default(false)
    .meta({ description: 'Whether scopes that no resource server offers are left out.' }),
  declare_scopes: z.string().max(200).optional().meta({
    description:
      'With `check`: the Client ID of a resource server. Scopes that none offers count as declared there. The result lists them.',
  }),
  accepted_before: z.int().min(0).default(0).meta({
    description:
      'With `check`: how many clients of earlier requests can be imported, for the ceiling of the organization.',
  }),
});

/** Schema of the result of an import. */
export const importResult = z
  .strictObject({
    clients: z
      .array(
        z.strictObject({
          outcome: z.enum(['imported', 'acceptable', 'present', 'refused']).meta({
            description:
              '`acceptable`: it can be imported, but was not. `present`: an earlier import has created it. `refused`: see `reasons`.',
          }),
          client_id: z.string().nullable().meta({ description: 'The Client ID. Null: it cannot be one.' }),
          reasons: z.array(z.string()).meta({ description: 'Every reason why the client is rejected.' }),
          notes: z.array(z.string()).meta({ description: 'What is not imported, or needs attention.' }),
          secret: z.enum(['kept', 'hashed', 'new']).nullable().meta({
            description:
              '`hashed`: its hash is verified when the client first uses it. `new`: see `client_secret`. Null: none.',
          }),
          client_secret: z
            .string()
            .optional()
            .meta({ description: 'The new secret of an imported client. It is shown once.' }),
        }),
      )
      .meta({
        description: 'The result of each client, in the order of the request.',
        example: [{ outcome: 'imported', client_id: 'order-sync', reasons: [], notes: [], secret: 'kept' }],
      }),
    imported: z.int().meta({ description: 'How many clients were imported.' }),
    missing_scopes: z.array(z.string()).meta({
      description: 'Scopes of acceptable clients that no resource server offers. Only with `declare_scopes`.',
    }),
    at: timestamp('When it was checked or imported'),
  })
  .meta({ id: 'ImportResult', description: 'What became of each client of an import.' });

export function toForeignClient(client: z.output<typeof importedClient>): ForeignClient {
  const { previous_secret: previous } = client;
  return {
    place: client.place,
    clientId: client.client_id,
    clientSecret: client.client_secret,
    secretHash: client.client_secret_hash,
    secretExpiresAt: client.client_secret_expires_at,
    previousSecret: previous && { secret: previous.client_secret, endsAt: previous.ends_at },
    name: client.name,
    enabled: client.enabled,
    scope: client.scope,
    accessKey: client.access_key,
    reveal: client.reveal,
    resource: client.resource,
    audience: client.audience,
    authMethod: client.token_endpoint_auth_method,
    signingAlgorithm: client.token_endpoint_auth_signing_alg,
    jwks: client.jwks as ClientJwks | undefined,
    jwksUri: client.jwks_uri,
    certificateSubjects: client.certificate_subjects as CertificateSubject[],
    certificateBoundTokens: client.tls_client_certificate_bound_access_tokens,
    dpopBoundTokens: client.dpop_bound_access_tokens,
    details: detailsOf(client),
    owners: client.owners,
    unmet: client.unmet,
    notes: client.notes,
  };
}

function detailsOf(client: z.output<typeof importedClient>): GivenDetails {
  const { description, labels, metadata, contacts, claims } = client;
  return {
    description,
    labels,
    metadata,
    contacts,
    tokenTtlSeconds: client.access_token_ttl,
    defaultScope: client.default_scope,
    // The import checks the names and values.
    dialects: client.dialects as readonly Dialect[] | undefined,
    claims: claims as GivenDetails['claims'],
    selfRotation: client.self_rotation,
    allowedNetworks: client.allowed_networks,
    networkMode: client.network_mode,
  };
}

/** Returns the result of a client. @param clientId as the request names it. */
export function presentImported(row: ImportedRow, clientId: string): z.input<typeof importResult>['clients'][number] {
  const empty = { client_id: clientId, reasons: [], notes: [], secret: null };
  switch (row.outcome) {
    case 'present':
      return { ...empty, outcome: row.outcome };
    case 'refused':
      return { ...empty, outcome: row.outcome, client_id: row.shownId ?? null, reasons: [...row.reasons] };
    default:
      return {
        ...empty,
        outcome: row.outcome,
        notes: row.notes,
        secret: row.secretIs,
        ...(row.secret === undefined ? {} : { client_secret: row.secret }),
      };
  }
}
