import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import type { KnownClient } from '../clients/client.ts';
import { type KeyCredential, keyCredentialsOf, refusalOfClientSecret } from '../clients/key-credentials.ts';
import { type ClientCertificate, isInDate } from '../clients/registered-certificate.ts';
import type { Core } from '../core.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import { isForeignClientId, isForeignSecret } from '../credentials/foreign-credential.ts';
import { currentOf, isKeyCredential, type Secret } from '../credentials/secret.ts';
import { createMatcher, type Matcher, recallVerified, rememberVerified } from '../credentials/verifier.ts';
import { refusalOfNetwork } from '../http/allowed-networks.ts';
import { countHeaders } from '../http/normalize-request.ts';
import type { UsedKey } from '../usage/client-key-store.ts';
import type { PresentedSecret } from '../usage/usage-counter.ts';
import { type CertificateReader, examineCertificate, type PresentedCertificate } from './certificate-reader.ts';
import {
  createLeftKeys,
  type ExaminedAssertion,
  examineAssertion,
  type LeftKeys,
  leftKey,
  type PresentedAssertion,
  readAssertion,
  reusedAssertion,
} from './client-assertion.ts';
import { headStartOf, type Pair, type PresentedPair, readingsOf } from './fast-path/head-start.ts';
import type { FirstUses } from './first-use.ts';
import type { Form } from './form.ts';
import { InvalidClient } from './oauth-error.ts';
import { readCredentials } from './presented-secret.ts';
import { formOf } from './receive-form.ts';
import { examineIdentity, type PresentedIdentity } from './workload-identity.ts';

/** The authenticated client of a request. */
export type Caller = KnownClient & {
  /** The Client ID that was presented: the current one, or a previous one that is still valid. */
  clientId: string;
  /**
   * The credential that was presented; undefined for the keys or certificate that a client was first registered with.
   */
  secret: Secret | undefined;
  /** The key or certificate that authenticated the client; undefined if a secret did. */
  key?: UsedKey | undefined;
  /** The certificate to bind tokens to, or undefined if none was presented or the client's tokens are not bound. */
  certificate?: ClientCertificate | undefined;
};

type AddressReader = (request: IncomingMessage) => string;

/** Authenticates the client (RFC 6749 §2.3) and stores it in `ctx.state.caller`. */
export function authenticateClient(
  core: Core,
  firstUses: FirstUses,
  certificateOf: CertificateReader,
  addressOf: AddressReader,
) {
  const leftKeys = createLeftKeys(core);
  return async (ctx: Context, next: Next): Promise<void> => {
    const { authenticationError } = headStartOf(ctx.req) ?? {};
    if (authenticationError !== undefined) throw authenticationError;
    const presented = readAuthentication(ctx.req, formOf(ctx), certificateOf);
    const caller =
      'clientSecret' in presented
        ? (recallCaller(core, presented) ?? (await verifyCredentials(core, presented, firstUses, addressOf(ctx.req))))
        : 'identity' in presented
          ? await verifyIdentity(core, presented)
          : await verifyKeys(core, presented, leftKeys);
    await requireNetwork(core, caller, addressOf(ctx.req));
    const certificate = caller.client.certificateBoundTokens ? certificateOf(ctx.req) : undefined;
    if (certificate && certificate !== 'unreadable' && isInDate(certificate, core.clock()))
      caller.certificate = certificate;
    ctx.state['caller'] = caller;
    await next();
  };
}

/**
 * Requires that an authenticated client may call from an address. Only the owner of a valid credential gets as far as
 * this, and a rejection takes as long as that of a wrong secret: both read the client again.
 * @throws {InvalidClient} with the same answer as for a wrong credential.
 */
async function requireNetwork(core: Core, caller: Caller, address: string): Promise<void> {
  if (!refusalOfNetwork(caller.client, address)) return;
  const recent = await core.clients.findRecent(caller.clientId);
  const reason = refusalOfNetwork(recent?.client ?? caller.client, address);
  if (reason) admit(core, { reason, tried: presentedSecretOf(caller) });
}

export function callerOf(ctx: Context): Caller {
  return ctx.state['caller'] as Caller;
}

/** Returns the presented secret in the form in which its use is counted. */
export function presentedSecretOf({ client, secret, key }: Pick<Caller, 'client' | 'secret' | 'key'>): PresentedSecret {
  return { owner: client.id, generation: secret?.generation ?? 0, epoch: client.tokenEpoch, key, networks: client };
}

/**
 * Returns the caller if this process has verified the same credentials before and the client has not changed since. A
 * result of undefined does not mean that the credentials are invalid.
 */
export function recallCaller(core: Core, presented: PresentedPair): Caller | undefined {
  const [decoded, asWritten] = readingsOf(presented).map((reading) => recallReading(core, reading));
  return decoded ?? asWritten;
}

function recallReading({ clients, clock }: Core, { clientId, clientSecret }: Pair): Caller | undefined {
  const known = clients.peek(clientId);
  const secret = recallVerified(clientSecret, known?.secrets ?? []);
  if (!known || secret?.clientId !== clientId || refusalOfClientSecret(known.client, secret, clock())) return undefined;
  return { client: known.client, secrets: known.secrets, clientId, secret };
}

/** Returns whether `recallCaller` would return an equal caller now. */
export function isUnchanged({ clients, clock }: Core, { client, secrets, clientId, secret }: Caller): boolean {
  const known = clients.peek(clientId);
  // Compare by identity: the cache replaces its objects as soon as anything may have changed.
  return (
    known?.client === client &&
    known.secrets === secrets &&
    refusalOfClientSecret(client, secret, clock()) === undefined
  );
}

/** Verifies a Client ID and secret. @throws {InvalidClient} with the same answer for every reason. */
export async function verifyCredentials(
  core: Core,
  presented: PresentedPair,
  firstUses: FirstUses,
  address: string,
): Promise<Caller> {
  const readings = readingsOf(presented)
    .filter(isPossible)
    .map((pair) => ({ pair, match: createMatcher(core.keyRing, 'client-secret-pepper', pair.clientSecret) }));
  if (readings.length === 0) throw new InvalidClient('not a client secret');
  const since = performance.now();
  const judgeAll = async (find: (clientId: string) => Promise<KnownClient | undefined>) => {
    const judged: { pair: Pair; known: KnownClient | undefined; verdict: Caller | Refusal }[] = [];
    // Every reading is judged, so that the time does not show which one is right.
    for (const { pair, match } of readings) {
      const known = await find(pair.clientId);
      judged.push({ pair, known, verdict: judge(core, pair, match, known) });
    }
    const verdicts = judged.map(({ verdict }) => verdict);
    const best =
      verdicts.find((verdict) => 'client' in verdict) ?? verdicts.find((verdict) => 'tried' in verdict) ?? verdicts[0];
    return { judged, verdict: best ?? unknownClient };
  };
  const { verdict } = await judgeAll(core.clients.find);
  if ('client' in verdict) return verdict;
  // Read changes before rejecting: another process may just have rotated the secret or enabled the client. The statement
  // is made for known and unknown clients, so that the response time does not reveal which exist. It waits until all
  // other pending requests are handled, so that valid ones do not wait for rejections and many rejections share it.
  const { judged, verdict: last } = await judgeAll((clientId) => core.clients.findRecent(clientId, since));
  if ('client' in last) return last;
  const outcome = await firstUses.verify(judged, { address, since });
  if (outcome === 'stored') return admit(core, (await judgeAll((id) => core.clients.findRecent(id))).verdict);
  const refusal = outcome === 'secret_taken' ? { ...last, reason: outcome } : last;
  return admit(core, refusal, { isCounted: outcome !== 'impossible' });
}

/**
 * Returns whether the credentials have a valid format. Only imported clients may have a secret that Keyturn did not
 * generate.
 */
function isPossible({ clientId, clientSecret }: Pair): boolean {
  if (isWellFormedSecret(clientSecret, 'kts_')) return true;
  return isForeignClientId(clientId) && isForeignSecret(clientSecret);
}

/**
 * The reason why authentication failed. @property tried the secret to count the failure for, if the client is known.
 */
type Refusal = { reason: string; tried?: PresentedSecret };

const unknownClient: Refusal = { reason: 'unknown_client' };

/**
 * @param isCounted whether the limit of failures has counted a rejection already.
 * @throws {InvalidClient} with the same answer for every reason.
 */
function admit({ clockCheck }: Core, verdict: Caller | Refusal, { isCounted } = { isCounted: false }): Caller {
  if ('client' in verdict) return verdict;
  // Check the clock first if the client is known: with a wrong clock, a valid secret may look expired.
  if (verdict.tried) clockCheck.requireRight();
  const { reason, tried } = verdict;
  const error = new InvalidClient(reason, tried && { secret: tried, reason });
  error.isCounted = isCounted;
  throw error;
}

/** @throws {InvalidClient} with the same answer for every reason. */
async function verifyKeys(
  core: Core,
  presented: PresentedAssertion | PresentedCertificate,
  leftKeys: LeftKeys,
): Promise<Caller> {
  const since = performance.now();
  const known = await core.clients.find(presented.clientId);
  const verdict = await judgeKeys(core, presented, known);
  // Reject a reused assertion without re-reading the client, because no change of the client makes it valid.
  if ('client' in verdict || verdict.reason === reusedAssertion) return admit(core, verdict);
  // Re-read the client before rejecting: another process may just have replaced its keys or registered it.
  const recent = await core.clients.findRecent(presented.clientId, since);
  // An unchanged client would be rejected again, after as many checks of signatures.
  const last = recent === known ? verdict : await judgeKeys(core, presented, recent);
  if ('client' in last || !('assertion' in presented)) return admit(core, last);
  const key = await leftKeys.find(recent, presented);
  if (!key || !recent || last.reason !== 'assertion_signature') return admit(core, last);
  leftKeys.warn(presented.clientId, key);
  const { client, secrets } = recent;
  return admit(core, {
    reason: leftKey,
    tried: presentedSecretOf({ client, secret: currentOf(secrets), key }),
  });
}

/** @throws {InvalidClient} with the same answer for every reason. */
async function verifyIdentity(core: Core, presented: PresentedIdentity): Promise<Caller> {
  const { refusal, known, credential, key } = await examineIdentity(core, presented);
  if (!known) return admit(core, { reason: refusal ?? 'unknown_client' });
  const secret = credential?.secret;
  const { client } = known;
  if (refusal) return admit(core, { reason: refusal, tried: presentedSecretOf({ client, secret, key }) });
  return { ...known, clientId: presented.named ?? client.clientId, secret, key };
}

async function judgeKeys(
  core: Core,
  presented: PresentedAssertion | PresentedCertificate,
  known: KnownClient | undefined,
): Promise<Caller | Refusal> {
  if (!known) {
    if ('assertion' in presented) await examineAssertion(core, undefined, presented);
    return unknownClient;
  }
  const { refusal, credential, key } =
    'certificate' in presented
      ? examineCertificate(core, known, presented)
      : await examineAssertionOf(core, known, presented);
  const secret = credential?.secret;
  if (!refusal) return { ...known, clientId: presented.clientId, secret, key };
  return { reason: refusal, tried: presentedSecretOf({ client: known.client, secret, key }) };
}

async function examineAssertionOf(
  core: Core,
  known: KnownClient,
  presented: PresentedAssertion,
): Promise<ExaminedAssertion> {
  const { client } = known;
  const mayUseIt = client.enabled && keyCredentialsOf(known, core.clock()).some(isForAssertions);
  const examined = await examineAssertion(core, mayUseIt ? known : undefined, presented);
  return mayUseIt ? examined : { refusal: client.enabled ? 'wrong_method' : 'client_disabled' };
}

function isForAssertions({ registration }: KeyCredential): boolean {
  return registration.authMethod === 'private_key_jwt';
}

function judge(core: Core, presented: Pair, match: Matcher, known: KnownClient | undefined): Caller | Refusal {
  const { clientId, clientSecret } = presented;
  // Accept a secret only with the Client ID that it was issued with.
  const candidates = known?.secrets.filter((each) => each.clientId === clientId && !isKeyCredential(each)) ?? [];
  const secret = match(candidates);
  if (!known) return unknownClient;
  const reason = refusalOfClientSecret(known.client, secret, core.clock());
  if (!secret || reason)
    return { reason: reason ?? 'wrong_secret', tried: presentedSecretOf({ client: known.client, secret }) };
  rememberVerified(secret, clientSecret);
  return { ...known, clientId, secret };
}

/** @throws {KeyturnError} `invalid_request` if the client uses more than one way of authentication (RFC 6749 §2.3). */
function readAuthentication(
  request: IncomingMessage,
  form: Form,
  certificateOf: CertificateReader,
): PresentedPair | PresentedAssertion | PresentedIdentity | PresentedCertificate {
  const { values } = form;
  const assertion = values.get('client_assertion');
  if (countHeaders(request.rawHeaders, 'authorization') > 0 || values.has('client_secret')) {
    return readCredentials(request, form);
  }
  if (assertion === undefined) {
    const clientId = values.get('client_id');
    const certificate = clientId === undefined ? undefined : certificateOf(request);
    // With a certificate, `client_id` is the only parameter of client authentication (RFC 8705 §2).
    return clientId && certificate ? { clientId, certificate } : readCredentials(request, form);
  }
  return readAssertion(assertion, { type: values.get('client_assertion_type'), named: values.get('client_id') });
}
