import { type Client, isWellFormedScope } from '../clients/client.ts';
import { type Dialect, type Dialects, isAccepted } from '../configuration/dialects.ts';
import type { Secret } from '../credentials/secret.ts';
import { KeyturnError, TooManyRequests } from '../errors.ts';
import type { RateLimit } from '../storage/rate-limit.ts';
import type { IssuedToken, TokenRequest } from './issue-access-token.ts';
import { type Confirmation, lifetimeOf, tokenTypeOf } from './token-record.ts';

/**
 * The rules of a token request (RFC 6749 §4.4). The fast path, the application and the rehearsal of a move call the same
 * functions.
 */

export const grantType = 'client_credentials';

/** The parameters of a token request. */
type TokenForm = {
  readonly values: ReadonlyMap<string, string>;
  readonly resources: readonly string[];
  readonly audiences: readonly string[];
};

/** The authenticated client of a token request. */
type Requester = {
  client: Client;
  secret: Secret | undefined;
  certificate?: { thumbprint: string } | undefined;
};

/** A well-formed token request. */
type AskedToken = {
  scope: string | undefined;
  resource: string | undefined;
  /** The value of an access key, not verified. */
  accessKey: string | undefined;
};

/**
 * Reads the token request of an authenticated client.
 * @throws {KeyturnError} `unauthorized_client`, `invalid_scope`, `invalid_target`, or `temporarily_unavailable` if the
 * client has had too many tokens.
 */
export function readTokenRequest(
  { config, tokenRate }: { config: { dialects: Dialects }; tokenRate: RateLimit | undefined },
  { client }: Requester,
  form: TokenForm,
): AskedToken {
  const { values } = form;
  if (client.kind !== 'integration') {
    throw new KeyturnError('unauthorized_client', 400, 'Resource servers cannot request tokens.');
  }
  const scope = values.get('scope');
  if (scope !== undefined && !isWellFormedScope(scope)) {
    throw new KeyturnError('invalid_scope', 400, 'scope: must be a list of scopes, separated by single spaces.');
  }
  const resources = targetsOf(form, config.dialects, client);
  if (resources.length > 1)
    throw new KeyturnError('invalid_target', 400, 'resource: only one is supported per request.');
  const seconds = tokenRate?.secondsToWait(client.id);
  if (seconds !== undefined)
    throw new TooManyRequests('This client has requested too many tokens. Try again later.', seconds);
  return { scope, resource: resources[0], accessKey: values.get('access_key') };
}

/**
 * Returns the token to issue. Its access key has to be looked up and added.
 * @param proven the key that a DPoP proof proved to have, or undefined if the request has no proof.
 * @throws {KeyturnError} `invalid_request` if the client must send an access key, a certificate or a proof, and did not
 * (RFC 8705 §3, RFC 9449 §5.2).
 */
export function demandToken(
  { client, secret, certificate }: Requester,
  { scope, resource, accessKey }: AskedToken,
  proven: { jkt: string } | undefined,
): TokenRequest {
  if (client.dpopBoundTokens && !proven) {
    throw new KeyturnError('invalid_request', 400, 'This client must send a DPoP proof.');
  }
  if (client.certificateBoundTokens && !certificate) {
    throw new KeyturnError('invalid_request', 400, 'This client must use its TLS client certificate.');
  }
  if (client.accessKey === 'required' && accessKey === undefined) {
    throw new KeyturnError('invalid_request', 400, 'access_key: required for this client.');
  }
  const confirmation: Confirmation | undefined =
    client.certificateBoundTokens && certificate ? { 'x5t#S256': certificate.thumbprint, ...proven } : proven;
  return { scope, resource, generation: secret?.generation ?? 0, accessKey: undefined, confirmation };
}

/** Returns the body of the token response (RFC 6749 §5.1). */
export function presentToken({ accessToken, record, scope }: IssuedToken) {
  return { access_token: accessToken, token_type: tokenTypeOf(record), expires_in: lifetimeOf(record), scope };
}

/**
 * Returns the resources that a token request names: `audience` counts as `resource` if the dialect is accepted of the
 * client and there is no `resource`.
 * @throws {KeyturnError} `invalid_request` if `audience` is a parameter like any other, and repeated.
 */
function targetsOf(
  { resources, audiences }: Pick<TokenForm, 'resources' | 'audiences'>,
  deployment: Dialects,
  client: { dialects: readonly Dialect[] },
): readonly string[] {
  if (audiences.length === 0) return resources;
  if (!isAccepted('audience', deployment, client)) {
    if (audiences.length > 1) throw repeatedParameter();
    return resources;
  }
  return resources.length === 0 ? audiences.filter((audience) => audience !== '') : resources;
}

/** Returns the error for a parameter that occurs more than once (RFC 6749 §3.2). */
export function repeatedParameter(): KeyturnError {
  return new KeyturnError('invalid_request', 400, 'Parameters must not be repeated.');
}
