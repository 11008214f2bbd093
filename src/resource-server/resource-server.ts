/** `keyturn/resource-server`: validates access tokens for APIs that are protected by Keyturn. Needs jose and nothing else. */
export type { AccessToken } from './access-token.ts';
export { AccessTokenError, type AccessTokenErrorCode } from './access-token-error.ts';
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
