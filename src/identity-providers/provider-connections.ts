import { createHash } from 'node:crypto';
import { createRemoteJWKSet, type JWTVerifyGetKey, customFetch as joseFetch } from 'jose';
import { LRUCache } from 'lru-cache';
import type * as OpenidClient from 'openid-client';
import { KeyturnError } from '../errors.ts';
import { createRangeCheck } from '../http/client-address.ts';
import { fetchOutside } from '../http/outside-fetch.ts';
import { isPublicAddress } from '../http/public-address.ts';
import type { Log } from '../observability/log.ts';
import { type Claims, hasClaim, type IdentityProvider, wantsRefreshToken } from './identity-provider.ts';

/** The part of a sign-in that both its beginning and its end know. */
type Attempt = {
  /** A random value that only the browser has. `state`, `nonce` and the PKCE verifier are derived from it. */
  secret: string;
  redirectUri: string;
  /** Whether the person must sign in at the provider again, even if they are signed in there. */
  isProof: boolean;
};

export type SignedIn = { claims: Claims; refreshToken: string | undefined };

/**
 * - `kept`: the provider vouches for the person. It may give a new refresh token, which replaces the previous one, and claims.
 * - `ended`: it rejects the refresh token (`invalid_grant`, RFC 6749 §5.2).
 * - `unanswered`: anything else, which says nothing about the person.
 */
export type RefreshAnswer =
  | { as: 'kept'; refreshToken: string | undefined; claims: Claims | undefined }
  | { as: 'ended' }
  | { as: 'unanswered'; isUnreachable: boolean };

/** Requests to the providers at which people sign in. */
export type ProviderConnections = {
  /**
   * Returns the address at the provider to which the browser is sent.
   * @throws {KeyturnError} 503 if the provider cannot be reached or its documents are not usable.
   */
  start(provider: IdentityProvider, attempt: Attempt): Promise<string>;
  /**
   * Exchanges the code of the provider's answer, and returns the claims about the person and the refresh token, if the
   * provider is asked for one and gives it.
   * @param answer the query of the request to the redirect URI.
   * @throws {KeyturnError} 401 if the answer is not valid, 503 as `start`.
   */
  finish(provider: IdentityProvider, attempt: Attempt, answer: URLSearchParams): Promise<SignedIn>;
  /** Asks the provider whether it still vouches for a person (OpenID Connect Core 1.0 §12). Never rejects. */
  refresh(provider: IdentityProvider, refreshToken: string, subject: string): Promise<RefreshAnswer>;
  /** Returns the provider's issuer and keys, with which it signs logout tokens. */
  verification(provider: IdentityProvider): Promise<{ issuer: string; keys: JWTVerifyGetKey }>;
};

/** Longest time since the person has signed in at the provider, for a renewed proof of identity, in seconds. */
const proofMaxAge = 300;
const discoveredForMs = 600_000;
const maxBytes = 256 * 1024;
const timeoutMs = 5_000;

/** Loaded at the first sign-in, because commands do without it. */
const load = () => import('openid-client');

type Connection = { openid: typeof OpenidClient; configuration: OpenidClient.Configuration; keys: JWTVerifyGetKey };

/** @param allowedNetworks CIDRs of providers that are not on the public Internet. Only these may use http. */
export function createProviderConnections(allowedNetworks: readonly string[], log: Log): ProviderConnections {
  const isInternal = createRangeCheck(allowedNetworks);
  const connections = new LRUCache<string, Promise<Connection>>({ max: 1_000, ttl: discoveredForMs });

  const fetchGuarded = async (
    url: string,
    { method, headers, body }: { method?: string; headers?: object; body?: unknown },
  ) => {
    const isPlain = url.startsWith('http:');
    const answer = await fetchOutside(
      url,
      {
        method: method ?? 'GET',
        headers: Object.fromEntries(new Headers(headers as Record<string, string>)),
        body: body === undefined || body === null ? undefined : String(body),
      },
      {
        isAllowed: (address) => isInternal(address) || (!isPlain && isPublicAddress(address)),
        allowPlain: allowedNetworks.length > 0,
        maxBytes,
        timeoutMs,
      },
    );
    return new Response(answer.text === '' ? null : answer.text, { status: answer.status, headers: answer.headers });
  };

  async function discover({ issuer, clientId, clientSecret }: IdentityProvider): Promise<Connection> {
    const openid = await load();
    const isPlain = issuer.startsWith('http:');
    const discovered = await openid.discovery(new URL(issuer), clientId, {}, openid.None(), {
      [openid.customFetch]: fetchGuarded,
      execute: isPlain ? [openid.allowInsecureRequests] : [],
    });
    const server = discovered.serverMetadata();
    if (server.jwks_uri === undefined) throw new Error('no jwks_uri');
    const configuration = new openid.Configuration(
      server,
      clientId,
      {},
      authenticationOf(openid, server, clientSecret),
    );
    configuration[openid.customFetch] = fetchGuarded;
    if (isPlain) openid.allowInsecureRequests(configuration);
    // Verify the signature of ID tokens too, although they come from the provider over TLS.
    openid.enableNonRepudiationChecks(configuration);
    const keys = createRemoteJWKSet(new URL(server.jwks_uri), { [joseFetch]: fetchGuarded as typeof fetch });
    return { openid, configuration, keys };
  }

  async function connect(provider: IdentityProvider): Promise<Connection> {
    const { id, revision } = provider;
    const name = `${id} ${revision}`;
    const connection = connections.get(name) ?? discover(provider);
    connections.set(name, connection, { noUpdateTTL: true });
    return await connection.catch((error: unknown) => {
      connections.delete(name);
      throw unavailable(provider, error);
    });
  }

  function unavailable({ name, issuer }: IdentityProvider, error: unknown): KeyturnError {
    const detail = reasonOf(error);
    log.warn({ issuer, error: detail }, 'an identity provider cannot be used');
    return new KeyturnError(
      'identity_provider_unavailable',
      503,
      `The identity provider ${name} cannot be reached, or its configuration is not usable. Try again shortly, or sign in with an operator token.`,
      { detail, cause: error },
    );
  }

  return {
    async start(provider, { secret, redirectUri, isProof }) {
      const { openid, configuration } = await connect(provider);
      const challenge = await openid.calculatePKCECodeChallenge(derive(secret, 'pkce'));
      const again = {
        prompt: 'login',
        max_age: String(proofMaxAge),
        ...(provider.acrValues.length > 0 ? { acr_values: provider.acrValues.join(' ') } : {}),
      };
      return openid.buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        scope: provider.scope,
        state: derive(secret, 'state'),
        nonce: derive(secret, 'nonce'),
        code_challenge: challenge,
        code_challenge_method: 'S256',
        ...(isProof ? again : {}),
      }).href;
    },

    async finish(provider, { secret, redirectUri, isProof }, answer) {
      const { openid, configuration } = await connect(provider);
      const current = new URL(`${redirectUri}?${answer}`);
      const checks = {
        expectedState: derive(secret, 'state'),
        expectedNonce: derive(secret, 'nonce'),
        pkceCodeVerifier: derive(secret, 'pkce'),
        ...(isProof ? { maxAge: proofMaxAge } : {}),
      };
      try {
        const tokens = await openid.authorizationCodeGrant(configuration, current, checks);
        const claims = tokens.claims();
        if (!claims) throw new Error('no ID token');
        if (isProof && provider.acrValues.length > 0 && !provider.acrValues.includes(String(claims['acr']))) {
          throw refusedBecause('You were not authenticated in the way that the provider’s settings require (acr).');
        }
        const isThin = !hasClaim(provider, claims) || claims['email'] === undefined;
        const refreshToken = wantsRefreshToken(provider) ? tokens.refresh_token : undefined;
        if (wantsRefreshToken(provider) && refreshToken === undefined) {
          log.warn(
            { issuer: provider.issuer },
            'an identity provider gave no refresh token, so the person is not checked',
          );
        }
        if (!isThin || configuration.serverMetadata().userinfo_endpoint === undefined) return { claims, refreshToken };
        // Providers may leave claims of the requested scopes out of the ID token (OpenID Connect Core 1.0 §5.4).
        const more = await openid.fetchUserInfo(configuration, tokens.access_token, claims.sub);
        return { claims: { ...more, ...claims }, refreshToken };
      } catch (error) {
        if (error instanceof KeyturnError) throw error;
        if (isNetworkFailure(error)) throw unavailable(provider, error);
        log.warn({ issuer: provider.issuer, error: reasonOf(error) }, 'rejected the answer of an identity provider');
        if (error instanceof openid.AuthorizationResponseError && error.error === 'access_denied') {
          throw refusedBecause('The identity provider refused the sign-in, or you cancelled it.');
        }
        throw refusedBecause('The answer of the identity provider is not valid. Start the sign-in again.');
      }
    },

    async refresh(provider, refreshToken, subject) {
      try {
        const { openid, configuration } = await connect(provider);
        const tokens = await openid.refreshTokenGrant(configuration, refreshToken).catch((error: unknown) => {
          if (error instanceof openid.ResponseBodyError && error.error === 'invalid_grant') return undefined;
          throw error;
        });
        if (tokens === undefined) return { as: 'ended' };
        const claims = tokens.claims();
        if (claims && claims.sub !== subject) {
          log.warn({ issuer: provider.issuer }, 'an identity provider answered with the ID token of another person');
          return { as: 'unanswered', isUnreachable: false };
        }
        return { as: 'kept', refreshToken: tokens.refresh_token, claims: await completed(claims) };

        /** Adds the claims of the userinfo endpoint if those of the ID token do not decide on permissions. */
        async function completed(given: Claims | undefined): Promise<Claims | undefined> {
          const isThin = !given || !hasClaim(provider, given);
          if (!isThin || configuration.serverMetadata().userinfo_endpoint === undefined) return given;
          const { access_token: token } = tokens as { access_token: string };
          // The new refresh token must be kept even if this fails.
          const more = await openid.fetchUserInfo(configuration, token, subject).catch((error: unknown) => {
            log.warn({ issuer: provider.issuer, error: reasonOf(error) }, 'failed to read the claims of a person');
            return undefined;
          });
          return more && { ...more, ...given };
        }
      } catch (error) {
        const isUnreachable = isNetworkFailure(error);
        // An unusable provider was logged when it was connected to.
        if (!(error instanceof KeyturnError)) {
          log.warn(
            { issuer: provider.issuer, error: reasonOf(error) },
            'an identity provider did not say whether it still vouches for a person',
          );
        }
        return { as: 'unanswered', isUnreachable };
      }
    },

    async verification(provider) {
      const { configuration, keys } = await connect(provider);
      return { issuer: configuration.serverMetadata().issuer, keys };
    },
  };
}

function authenticationOf(
  openid: typeof OpenidClient,
  { token_endpoint_auth_methods_supported: methods = ['client_secret_basic'] }: OpenidClient.ServerMetadata,
  secret: string | null,
): OpenidClient.ClientAuth {
  if (secret === null) return openid.None();
  return methods.includes('client_secret_basic') ? openid.ClientSecretBasic(secret) : openid.ClientSecretPost(secret);
}

/** Derives an independent value from the secret of an attempt, which the provider cannot turn back. */
function derive(secret: string, purpose: 'state' | 'nonce' | 'pkce'): string {
  return createHash('sha256').update(`${purpose} ${secret}`).digest('base64url');
}

/** Returns whether a request failed, as opposed to a response that is not accepted. */
function isNetworkFailure(error: unknown): boolean {
  const { code } = (error instanceof Error ? error : {}) as { code?: unknown };
  return !(typeof code === 'string' && code.startsWith('OAUTH_'));
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : String(message);
}

function refusedBecause(message: string): KeyturnError {
  return new KeyturnError('sign_in_refused', 401, message);
}
