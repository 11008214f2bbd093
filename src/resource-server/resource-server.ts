/** `keyturn/resource-server`: validates access tokens for APIs protected by Keyturn. Its only dependency is jose. */
export {
  type AccessToken,
  AccessTokenError,
  type AccessTokenErrorCode,
  type RateLimit,
  responseHeadersOf,
} from './access-token.ts';
export {
  type AccessTokenVerifier,
  createAccessTokenVerifier,
  type VerifierOptions,
  type VerifyOptions,
} from './access-token-verifier.ts';
export {
  type BearerAuthOptions,
  expressBearerAuth,
  fastifyBearerAuth,
  fetchBearerAuth,
  koaBearerAuth,
  protectedResourceMetadata,
} from './bearer-auth.ts';
export type { ReceivedRequest, RequestLike } from './received-request.ts';
