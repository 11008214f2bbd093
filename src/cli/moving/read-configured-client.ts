import type { ReadClient } from './clients-file.ts';
import { isMembers, keysOf, listOf, type Members, privateKeyJwt, take } from './members.ts';
import { claimsOfIdentityServer } from './read-details.ts';
import { readRegistration } from './read-registration.ts';

/** Clients of servers that have them in a configuration file. Each is translated into the names of RFC 7591. */

/** IdentityServer 4 and Duende IdentityServer: `Clients` of appsettings.json, or clients in JSON of its own store. */
export function readIdentityServer(client: Members): ReadClient {
  const { clientsecrets, allowedgranttypes, allowedscopes, accesstokenlifetime, requiredpop, ...more } = take(
    client,
    'clientsecrets',
    'allowedgranttypes',
    'allowedscopes',
    'accesstokenlifetime',
    'requiredpop',
    'dpopvalidationmode',
    'dpopclockskew',
    'claims',
    'clientclaimsprefix',
    'properties',
  );
  const name = (one: unknown, member: string) => (isMembers(one) ? take(one, member)[member] : one);
  const { proof, unmet } = proofOfIdentityServer(listOf(clientsecrets));
  return readRegistration(
    {
      ...more.rest,
      ...proof,
      grant_types: listOf(allowedgranttypes).map((one) => name(one, 'granttype')),
      scope: listOf(allowedscopes).map((one) => name(one, 'scope')),
      // 3,600 seconds is the default.
      access_token_lifetime: accesstokenlifetime === 3_600 ? undefined : accesstokenlifetime,
      dpop_bound_access_tokens: requiredpop,
      claims: claimsOfIdentityServer(more.claims, more.clientclaimsprefix),
      metadata: more.properties,
    },
    { unmet },
  );
}

/** Secrets of IdentityServer are hashed, except in stores with a validator for plain text. */
function proofOfIdentityServer(given: readonly unknown[]): { proof: Members; unmet: string[] } {
  const secrets = given.filter(isMembers).map((one) => take(one, 'value', 'type', 'expiration'));
  const live = secrets.filter(({ expiration }) => !(Date.parse(String(expiration)) <= Date.now()));
  const [secret = secrets[0], second] = live;
  if (second) return { proof: {}, unmet: ['it has several secrets; keep the one that the client uses'] };
  if (!secret) return { proof: {}, unmet: [] };
  const value = typeof secret.value === 'string' ? secret.value : undefined;
  switch (secret.type ?? 'SharedSecret') {
    case 'SharedSecret': {
      const isDigest = value !== undefined && /^(?:[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{86}==)$/.test(value);
      // IdentityServer compares the digest, so the client never sends this text. The prefix is that of LDAP.
      const text = isDigest ? `{SHA${value.length === 44 ? 256 : 512}}${value}` : secret.value;
      return { proof: { client_secret: text, client_secret_expires_at: secret.expiration }, unmet: [] };
    }
    case 'X509Name':
      return { proof: { token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: value }, unmet: [] };
    case 'X509CertificateBase64':
      return { proof: { ...privateKeyJwt, jwks: keysOf([{ certificate: value ?? '' }]) }, unmet: [] };
    case 'JWK':
      return { proof: { ...privateKeyJwt, jwks: `{"keys":[${value}]}` }, unmet: [] };
    default:
      return { proof: {}, unmet: ['the type of its secret is not supported here'] };
  }
}

/** Authelia: `identity_providers.oidc.clients` of configuration.yml, also with the names of versions before 4.38. */
export function readAuthelia(client: Members): ReadClient {
  const {
    id,
    description,
    secret,
    clientsecret,
    granttypes,
    public: isPublic,
    jwks,
    lifespan,
    rest,
  } = take(client, 'id', 'description', 'secret', 'clientsecret', 'granttypes', 'public', 'jwks', 'lifespan');
  const text = clientsecret ?? secret;
  return readRegistration({
    ...(id === undefined ? {} : { client_id: id }),
    ...(description === undefined ? {} : { client_name: description }),
    ...rest,
    // Authelia marks a secret that is not hashed.
    client_secret: typeof text === 'string' ? text.replace(/^\$plaintext\$/, '') : text,
    grant_types: granttypes ?? ['authorization_code'],
    ...(isPublic === true ? { token_endpoint_auth_method: 'none' } : {}),
    ...(listOf(jwks).length > 0 ? { jwks: keysOf(listOf(jwks).filter(isMembers)) } : {}),
    access_token_lifetime: lifespan,
  });
}

/** dex: `staticClients` of its configuration. */
export function readDex(client: Members): ReadClient {
  const {
    id,
    idenv,
    secret,
    secretenv,
    public: isPublic,
    rest,
  } = take(client, 'id', 'idenv', 'secret', 'secretenv', 'public');
  if (isPublic === true) return { skipped: String(id ?? 'a public client') };
  return readRegistration({
    ...rest,
    client_id: id,
    // A name in place of the value. It is refused as a placeholder.
    client_secret: secret ?? (typeof secretenv === 'string' ? `\${${secretenv}}` : undefined),
    ...(idenv === undefined ? {} : { client_id: undefined }),
  });
}
