import { z } from 'zod';
import { type CertificateSubject, subjectFields } from '../../clients/certificate-subject.ts';
import { authMethods, type KnownClient, tokenTyps } from '../../clients/client.ts';
import { isKeyCredential, isLive } from '../../credentials/secret.ts';
import { InvalidInput } from '../../errors.ts';
import { resourceUri, timestamp } from '../text.ts';

const secretSchema = z.strictObject({
  hint: z.string().meta({ description: 'The last four characters', example: '…x7Qz' }),
  client_id: z.string().meta({ description: 'The Client ID that it goes with' }),
  status: z.enum(['current', 'retiring']),
  created_at: timestamp,
  last_used_at: timestamp.nullable(),
  retires_at: timestamp.nullable(),
});

/** Schema of a JWK set (RFC 7517 §5). Registration checks which keys are usable. */
export const jwksSchema = z.strictObject({ keys: z.array(z.record(z.string(), z.unknown())).max(100) });

const subject = z.string().max(1_000).optional();

/** Certificate subjects for `tls_client_auth` (RFC 8705 §2.1.2). A client has at most one of them. */
export const subjectShape = {
  tls_client_auth_subject_dn: subject.meta({ description: 'As in RFC 4514', example: 'CN=sync,O=Example,C=DE' }),
  tls_client_auth_san_dns: subject,
  tls_client_auth_san_uri: subject,
  tls_client_auth_san_ip: subject,
  tls_client_auth_san_email: subject,
} satisfies Record<CertificateSubject['field'], unknown>;

const clientFields = {
  client_id: z.string(),
  name: z.string(),
  kind: z.enum(['integration', 'resource_server']),
  status: z.enum(['enabled', 'disabled']),
  scope: z.string(),
  access_key: z.enum(['optional', 'required']),
  auth_method: z.enum(authMethods),
  jwks: jwksSchema.nullable().meta({ description: 'The public keys that it authenticates with' }),
  jwks_uri: z.string().nullable(),
  ...subjectShape,
  tls_client_certificate_bound_access_tokens: z.boolean().meta({ description: 'RFC 8705 §3' }),
  dpop_bound_access_tokens: z.boolean().meta({ description: 'RFC 9449 §5.2' }),
  reveal: z.boolean(),
  resource: resourceUri.nullable(),
  information: z.array(z.string()),
  token_format: z.enum(['opaque', 'jwt']).nullable(),
  token_typ: z
    .enum(tokenTyps)
    .nullable()
    .meta({ description: 'The `typ` header of its access tokens; null unless `token_format` is "jwt"' }),
  tokens_not_before: timestamp.nullable(),
  secrets: z.array(secretSchema).meta({ description: 'The live ones, newest first' }),
  created_at: timestamp,
  updated_at: timestamp,
  last_used_at: timestamp.nullable(),
  retires_at: timestamp.nullable().meta({ description: 'When the previous credential ends, during a grace period' }),
};

export const clientSchema = z.strictObject(clientFields).meta({ id: 'Client' });

/**
 * Schema of a client with its plaintext secret, which only the request that creates the secret returns. The secret is
 * absent if the client authenticates with keys.
 */
export const clientWithSecretSchema = z
  .strictObject({ ...clientFields, client_secret: z.string().optional() })
  .meta({ id: 'ClientWithSecret' });

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
): z.input<typeof clientSchema> {
  const live = secrets.filter((secret) => isLive(secret, now));
  return {
    client_id: client.clientId,
    name: client.name,
    kind: client.kind,
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
    token_format: client.tokenFormat,
    token_typ: client.tokenTyp,
    tokens_not_before: client.tokensNotBefore?.toISOString() ?? null,
    secrets: live
      .filter((secret) => !isKeyCredential(secret))
      .map((secret) => ({
        hint: `…${secret.hint}`,
        client_id: secret.clientId ?? client.clientId,
        status: secret.retiresAt === null ? 'current' : 'retiring',
        created_at: secret.createdAt.toISOString(),
        last_used_at: lastUsed.get(`${client.id}/${secret.generation}`)?.toISOString() ?? null,
        retires_at: secret.retiresAt?.toISOString() ?? null,
      })),
    created_at: client.createdAt.toISOString(),
    updated_at: client.updatedAt.toISOString(),
    // Generation 0 counts uses without a secret.
    last_used_at: latest(
      [0, ...secrets.map(({ generation }) => generation)].map((of) => lastUsed.get(`${client.id}/${of}`)),
    ),
    retires_at: live.find((secret) => secret.retiresAt !== null)?.retiresAt?.toISOString() ?? null,
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
