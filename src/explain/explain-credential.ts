import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { refusalOfPresentedKey } from '../access-keys/require-access-key.ts';
import type { KnownClient } from '../clients/client.ts';
import { asServed } from '../clients/client-cache.ts';
import { findClientById, findKnownClient } from '../clients/client-store.ts';
import { keyCredentialsOf, refusalOfClientSecret, refusalOfCredential } from '../clients/key-credentials.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { currentOf, isKeyCredential, type Secret, shownHint } from '../credentials/secret.ts';
import { verifiersOf } from '../credentials/verifier.ts';
import { findSecretOwner } from '../secrets/secret-store.ts';
import { listRejectedRequests } from '../usage/rejected-requests.ts';
import { describeRequest } from './explain-request.ts';
import { type Explanation, explanationOf, type Finding, finding, timeText } from './explanation.ts';
import {
  type CauseDeps,
  explainDisabledClient,
  explainEndedSecret,
  explainKey,
  findCause,
  subjectOfClient,
  subjectOfKey,
} from './find-cause.ts';

export type CredentialDeps = CauseDeps & { keyRing: KeyRing; clock: () => number };

/** Number of credentials and of rejected requests that are listed. */
const listed = 5;

/**
 * Explains a value of an access key by the rules of a token request.
 * @param clientId the client that would present it, or undefined for any that may.
 */
export async function explainAccessKey(
  deps: CredentialDeps,
  presented: PresentedAccessKey | undefined,
  clientId: string | undefined,
): Promise<Explanation> {
  if (!presented) {
    return explanationOf('access_key', [
      finding('unknown_access_key', 'rejected', 'No access key has this value. It was removed, or never created here.'),
    ]);
  }
  const { key, secret } = presented;
  const known = clientId === undefined ? undefined : await findKnownClient(deps.database, clientId);
  if (clientId !== undefined && !known) {
    return explanationOf('access_key', [finding('unknown_client', 'rejected', 'No client has this Client ID.')]);
  }
  const subject = subjectOfKey(key);
  const client = known?.client.id ?? key.clients?.[0] ?? '';
  const refusal = refusalOfPresentedKey(presented, client, deps.clock());
  if (refusal === 'retired_secret' || refusal === 'undone_secret') {
    return explanationOf('access_key', [await explainEndedSecret(deps, secret, subject)]);
  }
  if (refusal) return explanationOf('access_key', [await explainKey(deps, key, refusal)]);
  const end = key.expiresAt ? ` It expires at ${timeText(key.expiresAt)}.` : '';
  const text = `The access key “${key.name}” is accepted with its value ${shownHint(secret)}.${endText(secret)}${end}`;
  return explanationOf('access_key', [
    finding('access_key', 'accepted', text, { subject, at: secret.createdAt }),
    ...(known && !asServed(known).client.enabled ? [await explainDisabledClient(deps, known.client)] : []),
  ]);
}

/** Explains a client secret by the rules of client authentication. */
export async function explainClientSecret(deps: CredentialDeps, value: string): Promise<Explanation> {
  const found = await findSecretOwner(deps.database, verifiersOf(deps.keyRing, 'client-secret-pepper', value));
  const owner = found?.owner.kind === 'client' ? await findClientById(deps.database, found.owner.id) : undefined;
  const known = owner && (await findKnownClient(deps.database, owner.clientId));
  if (!found || !known) {
    return explanationOf('client_secret', [
      finding(
        'wrong_secret',
        'rejected',
        'No client has this secret. Its client was deleted, or it was never issued here.',
      ),
    ]);
  }
  const secret = known.secrets.find(({ id }) => id === found.secretId);
  return explanationOf('client_secret', await explainSecret(deps, asServed(known), secret));
}

/** Explains a client: which of its credentials are accepted, and which of its requests were rejected lately. */
export async function explainClient(deps: CredentialDeps, known: KnownClient, clientId: string): Promise<Explanation> {
  const { client, secrets } = known;
  const findings: Finding[] = [];
  if (client.clientId !== clientId) {
    const newest = secrets.find((secret) => secret.clientId === clientId && secret.endedAs !== 'undone');
    const text = `${clientId} is a previous Client ID of “${client.name}”. The current one is ${client.clientId}.`;
    const verdict = newest && !refusalOfClientSecret(client, newest, deps.clock()) ? 'accepted' : 'rejected';
    findings.push(finding('previous_client_id', verdict, text, { subject: subjectOfClient(client) }));
  }
  const now = deps.clock();
  const current = currentOf(secrets);
  const ofSecret = secrets.filter((secret) => !isKeyCredential(secret)).slice(0, listed);
  const credentials = keyCredentialsOf(known, now).slice(0, listed);
  if (!client.enabled) findings.push(await explainDisabledClient(deps, client));
  for (const secret of client.enabled ? ofSecret : []) {
    // Ended secrets are listed for information: they do not decide what the client may do with its current one.
    const all = await explainSecret(deps, known, secret);
    findings.push(...(secret === current ? all : all.map((each) => ({ ...each, verdict: 'unknown' as const }))));
  }
  for (const { registration, secret } of client.enabled ? credentials : []) {
    const refusal = refusalOfCredential({ secret }, secret?.clientId ?? client.clientId, now);
    if (refusal && secret) {
      findings.push({ ...(await explainEndedSecret(deps, secret, subjectOfClient(client))), verdict: 'unknown' });
    } else {
      const text = `“${client.name}” is accepted with ${registration.authMethod}.${secret ? endText(secret) : ''}`;
      findings.push(finding('credential', 'accepted', text, { subject: subjectOfClient(client) }));
    }
  }
  for (const request of await listRejectedRequests(deps.database, client.id, listed, new Date(now))) {
    findings.push(...(await describeRequest(deps, request)).map((each) => ({ ...each, verdict: 'unknown' as const })));
  }
  return explanationOf('client', findings);
}

/** Explains that no client has a Client ID. */
export async function explainMissingClient(deps: CauseDeps, clientId: string): Promise<Explanation> {
  const cause = await findCause(deps, [clientId], ['client.delete']);
  const text = cause?.at
    ? `The client ${clientId} was deleted at ${timeText(cause.at)}${cause.by ? ` by ${cause.by}` : ''}.`
    : 'No client has this Client ID.';
  return explanationOf('client', [finding('unknown_client', 'rejected', text, cause ?? {})]);
}

async function explainSecret(
  deps: CredentialDeps,
  { client }: KnownClient,
  secret: Secret | undefined,
): Promise<Finding[]> {
  const subject = subjectOfClient(client);
  const refusal = refusalOfClientSecret(client, secret, deps.clock());
  if (secret && (refusal === 'retired_secret' || refusal === 'undone_secret')) {
    return [await explainEndedSecret(deps, secret, subject)];
  }
  if (refusal === 'client_disabled') return [await explainDisabledClient(deps, client)];
  if (refusal || !secret) {
    return [finding(refusal ?? 'wrong_secret', 'rejected', `The secret is not one of “${client.name}”.`, { subject })];
  }
  const text = `The secret ${shownHint(secret)} of “${client.name}” is accepted with the Client ID ${secret.clientId}.${endText(secret)}`;
  return [finding('client_secret', 'accepted', text, { subject, at: secret.createdAt })];
}

function endText({ retiresAt }: Secret): string {
  return retiresAt ? ` It is the previous one, and ends at ${timeText(retiresAt)}.` : '';
}
