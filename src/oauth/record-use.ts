import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import { errors } from 'oidc-provider';
import { RefusedAccessKey } from '../access-keys/require-access-key.ts';
import { type Client, parseScope } from '../clients/client.ts';
import { declaredNames } from '../clients/offered-scopes.ts';
import type { Core } from '../core.ts';
import { KeyturnError, RefusedByRule } from '../errors.ts';
import { countHeaders } from '../http/normalize-request.ts';
import { textProblem } from '../text/read-text.ts';
import { encodeRule, type RejectedRequest } from '../usage/rejected-requests.ts';
import type { PresentedSecret } from '../usage/usage-counter.ts';
import type { SourceName } from '../usage/usage-source.ts';
import { type Caller, presentedSecretOf } from './client-authentication.ts';
import type { Form } from './form.ts';
import type { KeyUse } from './introspected-key.ts';
import { codeOf, InvalidClient } from './oauth-error.ts';
import { formOf } from './receive-form.ts';
import { rotatePath } from './rotate-own.ts';

/**
 * Counts in memory the uses and failed attempts of each secret by source and result. Accepted credentials of a request
 * that rotates them are not counted, because what rotates a credential need not be a program that uses it.
 */
export function recordUse(core: Core, addressOf: (request: Context['req']) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const { req } = ctx;
    const instance = instanceOf(req, formOf(ctx));
    const source = { address: addressOf(req), userAgent: req.headers['user-agent'] ?? '', instance };
    try {
      await next();
    } catch (error) {
      countFailure(core, ctx, source, error);
      throw error;
    }
    const caller = ctx.state['caller'] as Caller;
    const secret = presentedSecretOf(caller);
    if (ctx.path === rotatePath) {
      core.usage.watch(secret, source.address);
      return;
    }
    const scope = ctx.state['grantedScope'] as string | undefined;
    if (scope !== undefined) countScopes(core, caller.client, scope);
    const lifetimeSeconds = (ctx.state['lifetimeSeconds'] as number | undefined) ?? 0;
    countUse(core, source, lifetimeSeconds, secret, ctx.state['presentedAccessKey'] as PresentedSecret | undefined);
    countKeyUse(core, ctx.state['keyUse'] as KeyUse | undefined);
    const refused = ctx.state['refusedKeyUse'] as (KeyUse & { reason: string }) | undefined;
    if (refused) core.usage.refused(refused.secret, refused.source, refused.reason);
  };
}

const instanceHeader = 'keyturn-instance';
const maxInstanceLength = 128;
/** Names in printable ASCII, which need no decoding and no further check. */
const plainName = /^[\x20-\x7e]{1,128}$/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Returns the name that a program gave itself in its request, or undefined if it gave none. Nothing verifies the name.
 * @throws {KeyturnError} `invalid_request` if the name is not valid, or if there are several.
 */
export function instanceOf({ headers, rawHeaders }: IncomingMessage, { values }: Form): string | undefined {
  const parameter = values.get('client_instance');
  const header = headers[instanceHeader] as string | undefined;
  if (!header && parameter === undefined) return undefined;
  const named = parameter === undefined ? undefined : readName('client_instance', parameter);
  if (!header) return named;
  const instance = readName('Keyturn-Instance', header);
  if (countHeaders(rawHeaders, instanceHeader) > 1) throw invalidInstance('Keyturn-Instance: must not be repeated.');
  if (named !== undefined && named !== instance) {
    throw invalidInstance('client_instance: must be equal to the header Keyturn-Instance, or omit one of them.');
  }
  return instance;
}

/**
 * Returns a name in Unicode's form NFC, so that the same name is equal however it was typed. A header contains UTF-8,
 * which RFC 9110 §5.5 allows (`obs-text`) and Node returns byte by byte.
 */
function readName(where: 'client_instance' | 'Keyturn-Instance', value: string): string {
  if (plainName.test(value)) return value;
  const name = (where === 'client_instance' ? value : decodeHeader(value))?.normalize('NFC');
  if (name === undefined) throw invalidInstance(`${where}: must be encoded in UTF-8.`);
  const tooLong = [...name].length > maxInstanceLength;
  const problem = tooLong
    ? `must have at most ${maxInstanceLength} characters`
    : textProblem(name, 2 * maxInstanceLength);
  if (problem !== undefined) throw invalidInstance(`${where}: ${problem}.`);
  return name;
}

function decodeHeader(value: string): string | undefined {
  try {
    return utf8.decode(Buffer.from(value, 'latin1'));
  } catch {
    return undefined;
  }
}

function invalidInstance(message: string): KeyturnError {
  return new KeyturnError('invalid_request', 400, message);
}

/**
 * Counts an answered request. @param lifetimeSeconds that of the issued token; 0 for a use without a new token.
 */
export function countUse(
  { usage }: Core,
  source: SourceName,
  lifetimeSeconds: number,
  secret: PresentedSecret,
  accessKey: PresentedSecret | undefined,
): void {
  for (const used of accessKey ? [secret, accessKey] : [secret]) {
    if (lifetimeSeconds > 0) usage.issued(used, source, lifetimeSeconds);
    else usage.used(used, source);
  }
}

/** Counts the use of a stand-alone access key that a resource server reports. */
export function countKeyUse({ usage }: Core, use: KeyUse | undefined): void {
  if (use) usage.used(use.secret, use.source);
}

/** Counts the declared names in a granted scope, so that a change of these names can say who uses them. */
export function countScopes({ clients, grantedScopes }: Core, { id }: Client, scope: string): void {
  const servers = clients.peekResourceServers();
  const declared = servers && declaredNames(servers);
  if (!declared || declared.size === 0) return;
  grantedScopes.count(
    id,
    parseScope(scope).filter((name) => declared.has(name)),
  );
}

function countFailure({ usage }: Core, ctx: Context, source: SourceName, error: unknown): void {
  if (error instanceof InvalidClient) {
    countInvalidClient(usage, source, error);
    return;
  }
  if (error instanceof RefusedAccessKey && error.refused) {
    usage.refused(error.refused.secret, source, error.refused.reason);
  }
  if (ctx.path === rotatePath) return;
  const caller = ctx.state['caller'] as Caller | undefined;
  const code = failureOf(error);
  if (caller && code !== undefined) usage.failed(presentedSecretOf(caller), source, code);
}

/** Counts a failed authentication for the secret that was tried, if the client is known. */
export function countInvalidClient(usage: Core['usage'], source: SourceName, { refused }: InvalidClient): void {
  if (refused) usage.refused(refused.secret, source, refused.reason);
}

/** Why a request was rejected, or a token is not active. */
export type Rejection = Pick<RejectedRequest, 'reason' | 'client' | 'decidedBy' | 'generation'>;

/** Notes why a request is rejected, to explain it later to operators. */
export function noteRejection(ctx: Context, rejection: Rejection): void {
  ctx.state['rejection'] = rejection;
}

/** Returns why a request was rejected, or undefined if it was accepted or the server failed. */
export function rejectionOf(ctx: Context): Rejection | undefined {
  return ctx.state['rejection'] as Rejection | undefined;
}

/** Notes the error of a request, unless it is a failure of the server. */
export function noteError(ctx: Context, error: unknown): void {
  if (failureOf(error) === undefined) return;
  const client = (ctx.state['caller'] as Caller | undefined)?.client.id ?? null;
  const key = ctx.state['presentedAccessKey'] as PresentedSecret | undefined;
  noteRejection(ctx, rejectionBy(error as Error, client, key?.owner ?? null));
}

/** Returns why an error rejects a request. @param client id of the authenticated client. @param key id of its access key. */
export function rejectionBy(error: Error, client: string | null, key: string | null): Rejection {
  if (error instanceof InvalidClient || error instanceof RefusedAccessKey) {
    const { refused } = error;
    const decidedBy = refused?.secret.owner ?? null;
    const generation = refused?.secret.generation ?? null;
    const reason = refused?.reason ?? (error instanceof InvalidClient ? error.detail : undefined);
    return {
      reason: reason ?? 'unknown_access_key',
      client: error instanceof InvalidClient ? decidedBy : client,
      decidedBy,
      generation,
    };
  }
  if (error instanceof RefusedByRule) {
    const decidedBy = error.rule === 'scope_not_of_access_key' ? key : client;
    return { reason: encodeRule(error), client, decidedBy, generation: null };
  }
  return { reason: error.message.slice(0, 200), client, decidedBy: null, generation: null };
}

/** Returns the error code, or undefined for a failure of the server, which is not the client's. */
function failureOf(error: unknown): string | undefined {
  if (error instanceof KeyturnError && error.status < 500) return codeOf(error);
  if (error instanceof errors.OIDCProviderError && error.statusCode < 500) return error.error;
  return undefined;
}
