import type { IncomingMessage } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import type { Context, Next } from 'koa';
import { type Client, isSecretMethod, type KnownClient } from '../clients/client.ts';
import { type ClientCertificate, isInDate, refusalOfCertificate } from '../clients/client-certificate.ts';
import type { Core } from '../core.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import { isForeignClientId, isForeignSecret } from '../credentials/foreign-credential.ts';
import { isLive, type Secret } from '../credentials/secret.ts';
import { recallVerified, rememberVerified } from '../credentials/verified-secrets.ts';
import { createMatcher, type Matcher } from '../credentials/verifier.ts';
import { KeyturnError } from '../errors.ts';
import { countHeaders } from '../http/count-headers.ts';
import type { PresentedSecret } from '../usage/usage-counter.ts';
import { type PresentedAssertion, readAssertion, refusalOfAssertion, reusedAssertion } from './client-assertion.ts';
import type { CertificateReader } from './client-certificate.ts';
import { headStartOf } from './fast-path/head-start.ts';
import { InvalidClient } from './oauth-error.ts';
import { type Form, formOf } from './read-form.ts';

/** Who makes this request, proven. */
export type Caller = KnownClient & {
  /** The Client ID that was presented: the current one, or an earlier one that still answers. */
  clientId: string;
  /** The secret that was presented; undefined: it was proven without one. */
  secret: Secret | undefined;
  /** What its tokens are to be bound to; undefined: nothing was shown, or nothing is bound. */
  certificate?: ClientCertificate | undefined;
};

export type Presented = { clientId: string; clientSecret: string };

type PresentedCertificate = { clientId: string; certificate: ClientCertificate | 'unreadable' };

/** Authenticates the client (RFC 6749 §2.3) into `ctx.state.caller`. */
export function authenticateClient(core: Core, certificateOf: CertificateReader) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const unknown = headStartOf(ctx.req)?.presented;
    const presented = unknown ?? readAuthentication(ctx.req, formOf(ctx), certificateOf);
    const caller =
      'clientSecret' in presented
        ? (!unknown && recallCaller(core, presented)) || (await verifyCredentials(core, presented))
        : await verifyKeys(core, presented);
    const certificate = caller.client.certificateBoundTokens ? certificateOf(ctx.req) : undefined;
    if (certificate && certificate !== 'unreadable' && isInDate(certificate, core.clock()))
      caller.certificate = certificate;
    ctx.state['caller'] = caller;
    await next();
  };
}

export function callerOf(ctx: Context): Caller {
  return ctx.state['caller'] as Caller;
}

/** The secret that was presented, as its use is counted. */
export function presentedSecretOf({ client, secret }: Pick<Caller, 'client' | 'secret'>): PresentedSecret {
  return { owner: client.id, generation: secret?.generation ?? 0, epoch: client.tokenEpoch };
}

/**
 * The caller, if this process has verified the same credentials before and nothing of the client has changed since; undefined says
 * nothing about them.
 */
export function recallCaller({ clients, clock }: Core, { clientId, clientSecret }: Presented): Caller | undefined {
  const known = clients.peek(clientId);
  const secret = recallVerified(clientSecret, known?.secrets ?? []);
  if (!known || secret?.clientId !== clientId || refusalOf(known.client, secret, clock())) return undefined;
  return { client: known.client, secrets: known.secrets, clientId, secret };
}

/** Whether a caller that was recalled would be recalled again, as the same. */
export function isUnchanged({ clients, clock }: Core, { client, secrets, clientId, secret }: Caller): boolean {
  const known = clients.peek(clientId);
  // The cache holds other objects as soon as anything may have changed.
  return known?.client === client && known.secrets === secrets && refusalOf(client, secret, clock()) === undefined;
}

/** @throws {InvalidClient} always the same, whatever is wrong. */
async function verifyCredentials(core: Core, presented: Presented): Promise<Caller> {
  const { clientId } = presented;
  if (!isPossible(presented)) throw new InvalidClient('not a client secret');
  const since = performance.now();
  const match = createMatcher(core.keyRing, 'client-secret-pepper', presented.clientSecret);
  const verdict = judge(core, presented, match, await core.clients.find(clientId));
  if ('client' in verdict) return verdict;
  // Before anybody is refused, this is looked at anew: another process may have made the secret, or enabled the client, just now.
  // And a first attempt costs the same look-up whether or not the client is one that is known here. All else that has arrived with it
  // comes first: so many refusals leave at once, and nobody who has the right secret waits for them.
  await setImmediate();
  return admit(core, judge(core, presented, match, await core.clients.findRecent(clientId, since)));
}

/** An imported client may keep the secret that it came with. To a Client ID of ours, only a secret of ours belongs. */
function isPossible({ clientId, clientSecret }: Presented): boolean {
  if (isWellFormedSecret(clientSecret, 'kts_')) return true;
  return isForeignClientId(clientId) && isForeignSecret(clientSecret);
}

/** Why nobody is let in. @property tried where the client is known. */
type Refusal = { reason: string; tried?: PresentedSecret };

const unknownClient: Refusal = { reason: 'unknown_client' };

/** @throws {InvalidClient} always the same, whatever is wrong. */
function admit({ clockCheck }: Core, verdict: Caller | Refusal): Caller {
  if ('client' in verdict) return verdict;
  // Of a known client, a secret may seem to have ended only because the clock is wrong.
  if (verdict.tried) clockCheck.requireRight();
  const { reason, tried } = verdict;
  throw new InvalidClient(reason, tried && { secret: tried, reason });
}

/** @throws {InvalidClient} always the same, whatever is wrong. */
async function verifyKeys(core: Core, presented: PresentedAssertion | PresentedCertificate): Promise<Caller> {
  const since = performance.now();
  const verdict = await judgeKeys(core, presented, await core.clients.find(presented.clientId));
  // Whatever else may have changed, a reused assertion has not.
  if ('client' in verdict || verdict.reason === reusedAssertion) return admit(core, verdict);
  // As with secrets: another process may have replaced the keys, or registered the client, just now.
  return admit(core, await judgeKeys(core, presented, await core.clients.findRecent(presented.clientId, since)));
}

async function judgeKeys(
  core: Core,
  presented: PresentedAssertion | PresentedCertificate,
  known: KnownClient | undefined,
): Promise<Caller | Refusal> {
  if (!known) {
    if ('assertion' in presented) await refusalOfAssertion(core, undefined, presented);
    return unknownClient;
  }
  const { client } = known;
  const reason = await refusalOfKeyClient(core, client, presented);
  if (!reason) return { ...known, clientId: presented.clientId, secret: undefined };
  return { reason, tried: presentedSecretOf({ client, secret: undefined }) };
}

async function refusalOfKeyClient(
  core: Core,
  client: Client,
  presented: PresentedAssertion | PresentedCertificate,
): Promise<string | undefined> {
  if ('certificate' in presented) {
    const { certificate } = presented;
    if (!client.enabled) return 'client_disabled';
    return certificate === 'unreadable'
      ? 'certificate_unreadable'
      : refusalOfCertificate(client, certificate, core.clock());
  }
  const mayUseIt = client.enabled && client.authMethod === 'private_key_jwt';
  const refusal = await refusalOfAssertion(core, mayUseIt ? client : undefined, presented);
  if (mayUseIt) return refusal;
  return client.enabled ? 'wrong_method' : 'client_disabled';
}

function judge(core: Core, presented: Presented, match: Matcher, known: KnownClient | undefined): Caller | Refusal {
  const { clientId, clientSecret } = presented;
  // Pairs are not mixed: a secret is good with the Client ID that it was issued with.
  const candidates = known?.secrets.filter((secret) => secret.clientId === clientId) ?? [];
  const secret = match(candidates);
  if (!known) return unknownClient;
  const reason = refusalOf(known.client, secret, core.clock());
  if (!secret || reason)
    return { reason: reason ?? 'wrong_secret', tried: presentedSecretOf({ client: known.client, secret }) };
  rememberVerified(secret, clientSecret);
  return { ...known, clientId, secret };
}

/** Why a known client is not let in; undefined: it is. */
function refusalOf(client: Client, secret: Secret | undefined, now: number): string | undefined {
  if (!isSecretMethod(client.authMethod)) return 'wrong_method';
  if (!secret) return 'wrong_secret';
  if (secret.endedAs === 'undone') return 'undone_secret';
  if (!isLive(secret, now)) return 'retired_secret';
  return client.enabled ? undefined : 'client_disabled';
}

/** @throws {KeyturnError} `invalid_request` when there is more than one way of authentication (RFC 6749 §2.3). */
function readAuthentication(
  request: IncomingMessage,
  form: Form,
  certificateOf: CertificateReader,
): Presented | PresentedAssertion | PresentedCertificate {
  const { values } = form;
  const assertion = values.get('client_assertion');
  if (countHeaders(request.rawHeaders, 'authorization') > 0 || values.has('client_secret')) {
    return readCredentials(request, form);
  }
  if (assertion === undefined) {
    const clientId = values.get('client_id');
    const certificate = clientId === undefined ? undefined : certificateOf(request);
    // RFC 8705 §2: `client_id` is all that such a client says of itself.
    return clientId && certificate ? { clientId, certificate } : readCredentials(request, form);
  }
  return readAssertion(assertion, { type: values.get('client_assertion_type'), named: values.get('client_id') });
}

/**
 * The one pair of credentials of a request.
 * @throws {KeyturnError} `invalid_request` when there is more than one way of authentication (RFC 6749 §2.3).
 */
export function readCredentials(request: IncomingMessage, { values }: Form): Presented {
  const headers = countHeaders(request.rawHeaders, 'authorization');
  if (waysOf(headers, values) > 1) {
    throw new KeyturnError('invalid_request', 400, 'Client authentication must be done in one way only.');
  }
  if (headers === 0) {
    const clientId = values.get('client_id');
    const clientSecret = values.get('client_secret');
    if (!clientId || !clientSecret) throw new InvalidClient('no client authentication');
    return { clientId, clientSecret };
  }
  const presented = readBasic(request.headers.authorization ?? '');
  const named = values.get('client_id');
  if (named !== undefined && named !== presented.clientId) {
    throw new KeyturnError('invalid_request', 400, 'client_id in the body is not the authenticated one.');
  }
  return presented;
}

/** Whether the client of a request is authenticated by one Authorization header and nothing else. */
export function usesHeaderAlone(request: IncomingMessage, { values }: Form): boolean {
  const headers = countHeaders(request.rawHeaders, 'authorization');
  return headers === 1 && waysOf(headers, values) === 1;
}

/** In how many ways a request with so many Authorization headers authenticates its client. */
function waysOf(headers: number, values: Form['values']): number {
  return headers + (values.has('client_secret') ? 1 : 0) + (values.has('client_assertion') ? 1 : 0);
}

/** HTTP Basic with both parts form-encoded, decoded once (RFC 6749 §2.3.1 and Appendix B). */
function readBasic(header: string): Presented {
  if (header.slice(0, 6).toLowerCase() !== 'basic ') throw new InvalidClient('not HTTP Basic');
  let start = 6;
  while (header[start] === ' ') start += 1;
  const encoded = header.slice(start);
  const bytes = Buffer.from(encoded, 'base64');
  // What was skipped in reading is missing when it is written again; only the padding may be left out.
  const written = bytes.toString('base64');
  if (encoded !== written && encoded !== written.replace(/=+$/, '')) throw new InvalidClient('not base64');
  const text = bytes.toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) throw new InvalidClient('an empty id or secret');
  return { clientId: formDecode(text.slice(0, colon)), clientSecret: formDecode(text.slice(colon + 1)) };
}

function formDecode(value: string): string {
  if (!value.includes('%') && !value.includes('+')) return value;
  try {
    return decodeURIComponent(value.replaceAll('+', ' '));
  } catch {
    throw new InvalidClient('not form-encoded');
  }
}
