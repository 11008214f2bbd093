import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { expiry, flag, jwks, type ReadClient, readMembers, words } from './clients-file.ts';
import { claimsOfKeycloak, readDetails } from './read-details.ts';

/** Members that identify a client of Keycloak, together with `clientId`. */
const marks = [
  'serviceAccountsEnabled',
  'clientAuthenticatorType',
  'publicClient',
  'bearerOnly',
  'standardFlowEnabled',
  'attributes',
];

const client = z.object({
  clientId: z.string(),
  name: z.string().optional(),
  description: z.string().optional(),
  enabled: flag.optional(),
  secret: z.string().optional(),
  // Hashes in the form of Keycloak's credentials, as extensions that hash the secrets of clients write them.
  credentials: z.array(z.looseObject({ type: z.string().optional() })).optional(),
  serviceAccountsEnabled: flag.optional(),
  clientAuthenticatorType: z.string().optional(),
  defaultClientScopes: words.optional(),
  optionalClientScopes: words.optional(),
  protocol: z.string().optional(),
  attributes: z.record(z.string(), z.unknown()).optional(),
  protocolMappers: z.array(z.looseObject({ name: z.string() })).optional(),
});

/** Mappers that Keycloak adds to every service account by itself. */
const usualMappers = ['Client ID', 'Client Host', 'Client IP Address'];

const attribute = z.string().optional();
/** Attributes that are read. In older exports, an attribute is a list with one value. */
const attributes = z.object({
  'token.endpoint.auth.signing.alg': attribute,
  'tls.client.certificate.bound.access.tokens': flag.optional(),
  'dpop.bound.access.tokens': flag.optional(),
  'x509.subjectdn': attribute,
  'x509.allow.regex.pattern.comparison': flag.optional(),
  'use.jwks.url': flag.optional(),
  'jwks.url': attribute,
  'jwks.string': jwks.optional(),
  'jwt.credential.certificate': attribute,
  'client.secret.expiration.time': expiry.optional(),
  'client.secret.rotated': attribute,
  'client.secret.rotated.expiration.time': expiry.optional(),
  'access.token.lifespan': attribute,
});

type Attributes = z.output<typeof attributes>;

const methods: Readonly<Record<string, string>> = {
  'client-secret': 'client_secret_basic',
  'client-secret-jwt': 'client_secret_jwt',
  'client-jwt': 'private_key_jwt',
  'client-x509': 'tls_client_auth',
};

const unknownDemand = /dpop|mtls|tls\.client|holder.of.key|proof.of.possession/i;

export function isKeycloakClient(value: object): boolean {
  return 'clientId' in value && marks.some((mark) => mark in value);
}

/** Reads a client of a Keycloak realm export. Clients with a service account use the client credentials grant. */
export function readKeycloakClient(value: object): ReadClient {
  const read = readMembers(client, value);
  if ('reasons' in read) return read;
  const { clientAuthenticatorType: type = 'client-secret', ...given } = read.data;
  const all = Object.entries(given.attributes ?? {}).map(
    ([name, one]) => [name, Array.isArray(one) ? one[0] : one] as const,
  );
  const more = readMembers(attributes, Object.fromEntries(all.filter(([, one]) => one !== '')));
  if ('reasons' in more) return { reasons: more.reasons.map((reason) => `attributes.${reason}`) };
  const { data } = more;
  const rotated = data['client.secret.rotated'];
  const rotatedEndsAt = data['client.secret.rotated.expiration.time'];
  const subject = data['x509.subjectdn'];
  const mappers = (given.protocolMappers ?? []).filter(({ name }) => !usualMappers.includes(name));
  const { claims, hasOthers } = claimsOfKeycloak(mappers);
  const lifetime = data['access.token.lifespan'];
  // -1 stands for the lifetime of the realm.
  const access_token_lifetime = lifetime === '-1' ? undefined : lifetime;
  const details = readDetails({ description: given.description, claims, access_token_lifetime });
  return {
    isMoved: given.serviceAccountsEnabled === true && given.protocol !== 'saml',
    row: {
      clientId: given.clientId,
      clientSecret: given.secret || undefined,
      secretHash: given.credentials?.find(({ type }) => type === 'secret' || type === 'password'),
      secretExpiresAt: data['client.secret.expiration.time'],
      previousSecret: rotated && rotatedEndsAt ? { secret: rotated, endsAt: rotatedEndsAt } : undefined,
      name: given.name || given.clientId,
      enabled: given.enabled ?? true,
      scope: [...(given.defaultClientScopes ?? []), ...(given.optionalClientScopes ?? [])],
      accessKey: 'optional',
      reveal: true,
      resource: undefined,
      audience: undefined,
      authMethod: methods[type] ?? type,
      signingAlgorithm: data['token.endpoint.auth.signing.alg'],
      ...keysOf(data),
      certificateSubjects:
        type === 'client-x509' && subject ? [{ field: 'tls_client_auth_subject_dn', value: subject }] : [],
      certificateBoundTokens: data['tls.client.certificate.bound.access.tokens'],
      dpopBoundTokens: data['dpop.bound.access.tokens'] ?? false,
      details: details.details,
      unmet: [...unmetOf(data, all), ...details.unmet],
      notes: [
        ...details.notes,
        ...(hasOthers
          ? ['its protocol mappers without a fixed value are not imported, so its tokens have no claims of them']
          : []),
      ],
    },
  };
}

function keysOf(data: Attributes) {
  if (data['use.jwks.url'] === true) return { jwks: undefined, jwksUri: data['jwks.url'] };
  const certificate = data['jwt.credential.certificate'];
  return { jwks: data['jwks.string'] ?? (certificate ? readCertificate(certificate) : undefined), jwksUri: undefined };
}

/**
 * Returns the public key of a certificate that was uploaded in Keycloak's console, or undefined if it cannot be parsed.
 */
function readCertificate(base64: string) {
  try {
    const { publicKey } = new X509Certificate(Buffer.from(base64, 'base64'));
    return { keys: [{ ...publicKey.export({ format: 'jwk' }) }] };
  } catch {
    return undefined;
  }
}

function unmetOf(data: Attributes, all: readonly (readonly [string, unknown])[]): string[] {
  const unmet: string[] = [];
  if (data['x509.allow.regex.pattern.comparison'] === true) {
    unmet.push('`x509.subjectdn` is a pattern, but Keyturn compares the whole subject');
  }
  for (const [name, value] of all) {
    if (Object.hasOwn(attributes.shape, name) || !unknownDemand.test(name)) continue;
    if (value !== '' && value !== 'false' && value !== null)
      unmet.push(`it has a requirement that Keyturn does not know: \`${name.slice(0, 60)}\``);
  }
  return unmet;
}
