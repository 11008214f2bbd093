import { type Client, isSecretMethod, type KnownClient } from '../clients/client.ts';
import { keyCredentialsOf, refusalOfClientSecret, refusalOfCredential } from '../clients/key-credentials.ts';
import { type Dialect, type Dialects, isAccepted } from '../configuration/dialects.ts';
import { isKeyCredential, type Secret } from '../credentials/secret.ts';
import { KeyturnError } from '../errors.ts';
import { hasMediaType } from '../http/read-body.ts';
import { isJsonRequest, isOtherTokenPath, tokenPath } from '../http/token-path.ts';
import { demandToken, grantType, presentToken, readTokenRequest } from '../tokens/grant-rules.ts';
import { makeAccessToken } from '../tokens/issue-access-token.ts';
import type { TokenDeps } from '../tokens/token-rules.ts';

/** Rehearses the day of a move: answers the logged token requests of another server. */

/** A token request as it was logged. Members that the log does not have are undefined. */
export type LoggedRequest = {
  clientId: string;
  grantType: string;
  scope: string | undefined;
  resources: readonly string[];
  audiences: readonly string[];
  authMethod: string | undefined;
  path: string | undefined;
  contentType: string | undefined;
  /** Whether the request had a DPoP proof. */
  dpop: boolean;
  /** Whether the request came with a TLS client certificate. */
  certificate: boolean;
  /** Whether the request had an access key. */
  accessKey: boolean;
  /** The scope that the other server granted. */
  grantedScope: string | undefined;
};

type RehearsalDeps = TokenDeps & { config: { dialects: Dialects } };

type Requester = {
  client: Client;
  clientId: string;
  secret: Secret | undefined;
  certificate?: { thumbprint: string };
};

/** The answer that the token endpoint would give, in wire format. */
export type RehearsedAnswer = {
  status: number;
  /** The error code of RFC 6749 §5.2, or null if a token would be issued. */
  error: string | null;
  scope: string | null;
  expires_in: number | null;
  /** Why the request would be rejected, with what to do; or how the answer differs from the other server's. */
  text: string | null;
};

/**
 * Answers a logged request by the rules of the token endpoint, on the assumption that its secret, signature or
 * certificate is valid. Issues nothing.
 */
export async function rehearseRequest(core: RehearsalDeps, request: LoggedRequest): Promise<RehearsedAnswer> {
  try {
    const known = await core.clients.find(request.clientId);
    requireKnownForm(core, request, known?.client);
    const caller = admit(core, request, known);
    return await issue(core, request, caller);
  } catch (error) {
    if (!(error instanceof KeyturnError) || error.status >= 500) throw error;
    return { status: error.status, error: error.code, scope: null, expires_in: null, text: error.message };
  }
}

/** @throws {KeyturnError} as the listener does for requests that it cannot read. */
function requireKnownForm(
  { config: { dialects } }: RehearsalDeps,
  { path = tokenPath, contentType, grantType: asked }: LoggedRequest,
  client: Client | undefined,
): void {
  const isServed = isOtherTokenPath(path) && isAccepted('other_paths', dialects, client);
  if (path !== tokenPath && !isServed) {
    const text = isOtherTokenPath(path)
      ? `${settingWith('other_paths', dialects, client)}, or change the path to ${tokenPath}.`
      : `The path must be changed to ${tokenPath}, in the client or in a proxy.`;
    throw new KeyturnError('not_found', 404, text);
  }
  const isForm = contentType === undefined || hasMediaType(contentType, 'application/x-www-form-urlencoded');
  const isJson = isJsonRequest(tokenPath, contentType) && isAccepted('json_body', dialects, client);
  if (!isForm && !isJson) {
    const text = hasMediaType(contentType, 'application/json')
      ? `${settingWith('json_body', dialects, client)}, or change the body to application/x-www-form-urlencoded.`
      : 'The body must be application/x-www-form-urlencoded.';
    // The path exists only for clients that have authenticated, and a body of another type cannot do that.
    const isHidden =
      path !== tokenPath && !dialects.has('other_paths') && !hasMediaType(contentType, 'application/json');
    throw isHidden ? new KeyturnError('not_found', 404, text) : new KeyturnError('invalid_request', 415, text);
  }
  if (asked !== grantType) {
    throw new KeyturnError('unsupported_grant_type', 400, 'grant_type: only client_credentials is supported.');
  }
}

/** Returns the beginning of a text that recommends a dialect for the client, or for all in addition to those that are on. */
function settingWith(dialect: Dialect, dialects: Dialects, client: Client | undefined): string {
  const forAll = `KEYTURN_DIALECTS=${[...dialects, dialect].join(',')}`;
  if (!client) return `Set ${forAll}`;
  const own = [...client.dialects, dialect].join(',');
  return `Set ${forAll} or, for this client alone, \`keyturn clients update ${client.clientId} --dialect ${own}\``;
}

/** @throws {KeyturnError} `invalid_client` if the client could not authenticate with a valid credential. */
function admit(
  core: RehearsalDeps,
  { clientId, authMethod, certificate }: LoggedRequest,
  known: KnownClient | undefined,
): Requester {
  if (!known) throw rejection('No client has this Client ID. Import it.');
  if (!known.client.enabled) throw rejection('The client is disabled.');
  const now = core.clock();
  const bySecret = known.secrets.find(
    (each) => each.clientId === clientId && !isKeyCredential(each) && !refusalOfClientSecret(known.client, each, now),
  );
  const byKey = keyCredentialsOf(known, now).filter((each) => !refusalOfCredential(each, clientId, now));
  const methods = [...(bySecret ? ['a secret'] : []), ...byKey.map(({ registration }) => registration.authMethod)];
  if (methods.length === 0) throw rejection('The client has no credential that works with this Client ID.');
  const caller = (secret: Secret | undefined): Requester => ({
    client: known.client,
    clientId,
    secret,
    // A certificate of any value: only whether there is one decides here.
    ...(certificate ? { certificate: { thumbprint: '' } } : {}),
  });
  const isBySecret = authMethod === undefined ? bySecret !== undefined : isSecretMethod(authMethod as never);
  if (isBySecret && bySecret) return caller(bySecret);
  const used = byKey.find(({ registration }) => authMethod === undefined || registration.authMethod === authMethod);
  if (used) return caller(used.secret);
  throw rejection(`The client authenticates with ${authMethod}, but it is registered with ${methods.join(' or ')}.`);
}

function rejection(text: string): KeyturnError {
  return new KeyturnError('invalid_client', 401, text);
}

async function issue(core: RehearsalDeps, request: LoggedRequest, caller: Requester): Promise<RehearsedAnswer> {
  const values = new Map(Object.entries(request.scope === undefined ? {} : { scope: request.scope }));
  if (request.accessKey) values.set('access_key', 'unknown');
  const { resources, audiences } = request;
  const asked = readTokenRequest({ ...core, tokenRate: undefined }, caller, { values, resources, audiences });
  const demanded = demandToken(caller, asked, request.dpop ? { jkt: '' } : undefined);
  const sources = { servers: await core.clients.resourceServers(), signingKey: await core.signingKeys.current() };
  const issued = presentToken(makeAccessToken(core, caller.client, caller.clientId, demanded, sources));
  const { scope, expires_in } = issued;
  return { status: 200, error: null, scope, expires_in, text: differenceOf(core, request, scope, caller.client) };
}

/** Describes how the granted scope differs from what the other server granted, or an ignored parameter. */
function differenceOf(
  { config: { dialects } }: RehearsalDeps,
  { grantedScope, audiences, resources }: LoggedRequest,
  scope: string,
  client: Client,
): string | null {
  const texts: string[] = [];
  if (grantedScope !== undefined) {
    const [before, now] = [grantedScope.split(' '), scope.split(' ')];
    const lost = before.filter((each) => each !== '' && !now.includes(each));
    const added = now.filter((each) => each !== '' && !before.includes(each));
    if (lost.length > 0) texts.push(`The token lacks ${lost.join(' ')}, which the other server granted.`);
    if (added.length > 0) texts.push(`The token also has ${added.join(' ')}.`);
  }
  if (audiences.length > 0 && resources.length === 0 && !isAccepted('audience', dialects, client)) {
    texts.push('The parameter audience is ignored; the token is for every resource server that its scope names.');
    texts.push(`${settingWith('audience', dialects, client)}, to read it as resource.`);
  }
  return texts.length > 0 ? texts.join(' ') : null;
}
