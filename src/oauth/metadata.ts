import type { Context, Next } from 'koa';
import { type AuthMethod, authMethods, type Client, certificateMethods } from '../clients/client.ts';
import { recommendedScopes } from '../clients/offered-scopes.ts';
import { verificationAlgorithms } from '../clients/verification-key.ts';
import type { Config } from '../config.ts';
import type { Core } from '../core.ts';
import { exchangeGrantType } from '../tokens/exchange-names.ts';
import type { SigningKey, SigningKeys } from '../tokens/signing-keys.ts';

/**
 * Serves authorization server metadata (RFC 8414 §2), listing only enabled features. Every URL starts with the
 * configured issuer, never with a host from the request. For libraries that support only OpenID Connect, the document
 * also has the members that OpenID Connect Discovery §3 requires, with true values and without
 * `authorization_endpoint`.
 */
export function serveMetadata({ assertionAlgorithms, clients, config, signingAlgorithm, signingKeys }: Core) {
  const { issuer, standaloneKeys, exchangePairs } = config;
  const methods = methodsOf(config);
  const bindsCertificates = certificateMethods.some((method) => methods.includes(method));
  /** The last known values, so that discovery works while the database is unavailable. */
  let signingAlgorithms: readonly string[] = [signingAlgorithm];
  let scopes: readonly string[] = [];
  const document = () => ({
    issuer,
    token_endpoint: `${issuer}/oauth2/token`,
    token_endpoint_auth_methods_supported: methods,
    token_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    introspection_endpoint: `${issuer}/oauth2/introspect`,
    introspection_endpoint_auth_methods_supported: methods,
    introspection_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    introspection_signing_alg_values_supported: signingAlgorithms,
    revocation_endpoint: `${issuer}/oauth2/revoke`,
    revocation_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    dpop_signing_alg_values_supported: verificationAlgorithms,
    ...(bindsCertificates ? { tls_client_certificate_bound_access_tokens: true } : {}),
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    grant_types_supported: [
      'client_credentials',
      ...(standaloneKeys || exchangePairs.length > 0 ? [exchangeGrantType] : []),
    ],
    // Both documents require this list, and an empty one must be left out (RFC 8414 §3.2).
    response_types_supported: ['none'],
    // Every resource server receives the same `sub` for a client.
    subject_types_supported: ['public'],
    // Verifiers such as go-oidc take the algorithms of JWTs from here.
    id_token_signing_alg_values_supported: signingAlgorithms,
    ...(scopes.length > 0 ? { scopes_supported: scopes } : {}),
  });
  const readDocument = async () => {
    signingAlgorithms = await signsWith(signingKeys).catch(() => signingAlgorithms);
    scopes = await clients.resourceServers().then(offeredNow, () => scopes);
    return document();
  };
  const readKeys = async () => ({ keys: (await signingKeys.all()).map(presentKey) });

  return (ctx: Context, next: Next): Promise<void> => {
    switch (ctx.path) {
      case '/.well-known/oauth-authorization-server':
      case '/.well-known/openid-configuration':
        return answer(ctx, readDocument());
      case '/.well-known/jwks.json':
        return answer(ctx, readKeys());
      default:
        return next();
    }
  };
}

/**
 * Returns the usable authentication methods. Certificates need TLS on this server or a proxy that forwards them, and
 * names in them need a CA.
 */
function methodsOf({ tlsFiles, clientCertHeader }: Config): AuthMethod[] {
  const works: Partial<Record<AuthMethod, boolean>> = {
    tls_client_auth: tlsFiles.clientCa !== undefined || clientCertHeader !== undefined,
    self_signed_tls_client_auth: tlsFiles.cert !== undefined || clientCertHeader !== undefined,
  };
  return authMethods.filter((method) => method !== 'workload_identity' && (works[method] ?? true));
}

/** Returns every scope that an enabled resource server offers and has not deprecated. */
function offeredNow(servers: readonly Client[]): string[] {
  const enabled = servers.filter((server) => server.enabled);
  return [...new Set(enabled.flatMap(recommendedScopes))].sort();
}

/**
 * Returns a key as it is published. `token_lifetime` and `retired_at`, both in seconds, let verifiers reject tokens
 * that must have been signed with a stolen key; other verifiers ignore them (RFC 7517 §4).
 */
function presentKey({ publicJwk, tokenSeconds, retiredAt }: SigningKey): object {
  return {
    ...publicJwk,
    ...(tokenSeconds === null ? {} : { token_lifetime: tokenSeconds }),
    ...(retiredAt === null ? {} : { retired_at: Math.ceil(retiredAt.getTime() / 1_000) }),
  };
}

/** Returns the algorithms of the current and the next key. */
async function signsWith(keys: SigningKeys): Promise<string[]> {
  const signing = (await keys.all()).filter(({ state }) => state !== 'retired');
  return [...new Set(signing.map(({ alg }) => alg))];
}

async function answer(ctx: Context, body: Promise<object>): Promise<void> {
  ctx.body = await body;
  ctx.set('Cache-Control', 'public, max-age=300');
}
