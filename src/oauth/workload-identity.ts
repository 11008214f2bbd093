import type { KnownClient } from '../clients/client.ts';
import { type KeyCredential, keyCredentialsOf, refusalOfCredential } from '../clients/key-credentials.ts';
import type { Core } from '../core.ts';
import { issuersOf, type Trust, workloadIdentity } from '../trusts/trust.ts';
import { type JudgedTrust, judgeTrusts, problemOfHeader, type WorkloadToken } from '../trusts/verify-token.ts';
import type { UsedKey } from '../usage/client-key-store.ts';

/** A token of a workload, presented as a client assertion. @property named the optional parameter `client_id`. */
export type PresentedIdentity = { identity: WorkloadToken; named: string | undefined };

/** The result of examining the token of a workload. */
export type ExaminedIdentity = {
  /** The reason for the rejection, or undefined if the token is accepted. */
  refusal: string | undefined;
  /** The client of the trust, if the token belongs to one. */
  known?: KnownClient | undefined;
  credential?: KeyCredential | undefined;
  key?: UsedKey | undefined;
};

/**
 * Authenticates a client with a token of a trusted issuer (RFC 7523 §3). The client is the one that the request names, or
 * that the only trust belongs to which accepts the token. The signature is verified before any trust is compared, so that
 * the response time does not reveal which clients have one.
 * @throws {StoreUnavailable} @throws {IssuerUnavailable} if that cannot be determined.
 */
export async function examineIdentity(core: Core, { identity, named }: PresentedIdentity): Promise<ExaminedIdentity> {
  const since = performance.now();
  const problem = problemOfHeader(identity.header);
  if (problem) return { refusal: `identity_${problem}` };
  const judge = async (trustsOf: (issuer: string) => Promise<readonly Trust[]>, isRecent: boolean) => {
    const trusts = (await Promise.all(issuersOf(identity.claims).map(trustsOf))).flat();
    const judged = await judgeTrusts(core.trustKeyring, trusts, identity, core.clock() / 1_000);
    return await findClient(core, trusts, judged, named, isRecent ? since : undefined);
  };
  const examined = await judge(core.trusts.of, false);
  if (!examined.refusal) return examined;
  // Read changes before rejecting: another process may just have created or changed the trust or the client.
  return await judge((issuer) => core.trusts.recentOf(issuer, since), true);
}

async function findClient(
  core: Core,
  trusts: readonly Trust[],
  judged: readonly JudgedTrust[],
  named: string | undefined,
  since: number | undefined,
): Promise<ExaminedIdentity> {
  const find = (clientId: string) =>
    since === undefined ? core.clients.find(clientId) : core.clients.findRecent(clientId, since);
  const namedClient = named === undefined ? undefined : await find(named);
  if (trusts.length === 0) return { refusal: 'identity_issuer' };
  if (judged.length === 0) return { refusal: 'identity_signature' };
  const meant = named === undefined ? judged : judged.filter(({ trust }) => trust.client === namedClient?.client.id);
  const accepting = meant.filter(({ isMet }) => isMet);
  const [first] = accepting;
  if (!first) return { refusal: refusalOf(meant), ...(meant.length > 0 && namedClient ? { known: namedClient } : {}) };
  if (accepting.some(({ trust }) => trust.client !== first.trust.client)) return { refusal: 'identity_ambiguous' };
  const known = namedClient ?? (await find(first.trust.clientId));
  if (!known) return { refusal: 'unknown_client' };
  const key: UsedKey = { kind: 'trust', kid: first.trust.name, thumbprint: first.trust.id };
  const now = core.clock();
  const credentials = keyCredentialsOf(known, now).filter(isOfIdentity);
  const clientId = named ?? known.client.clientId;
  const usable = credentials.find((credential) => !refusalOfCredential(credential, clientId, now));
  const credential = usable ?? credentials[0];
  if (!known.client.enabled) return { refusal: 'client_disabled', known, credential, key };
  if (!credential) return { refusal: 'wrong_method', known, key };
  return { refusal: refusalOfCredential(credential, clientId, now), known, credential, key };
}

function isOfIdentity({ registration }: KeyCredential): boolean {
  return registration.authMethod === workloadIdentity;
}

/** Returns the first rule that is not met: that of the only trust, or that no trust of several accepts the token. */
function refusalOf(judged: readonly JudgedTrust[]): string {
  const [first, ...others] = judged;
  const failed = first?.checks.find(({ isMet }) => !isMet);
  return failed && others.length === 0 ? `identity_${failed.check}` : 'identity_condition';
}
