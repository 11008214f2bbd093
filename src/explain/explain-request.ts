import { findKnownAccessKey } from '../access-keys/access-key-store.ts';
import { findClientById } from '../clients/client-store.ts';
import { findSecrets } from '../secrets/secret-store.ts';
import { decodeRule, findRejectedRequest, type RejectedRequest } from '../usage/rejected-requests.ts';
import { type Explanation, explanationOf, type Finding, finding, type Subject, timeText } from './explanation.ts';
import {
  type CauseDeps,
  explainDisabledClient,
  explainEndedSecret,
  explainKey,
  explainNetworks,
  subjectOfClient,
  subjectOfKey,
} from './find-cause.ts';

/** Explains a request by its ID, if it was rejected in the last day. */
export async function explainRequest(deps: CauseDeps, id: string, now: Date): Promise<Explanation> {
  const request = await findRejectedRequest(deps.database, id, now);
  if (request) return explanationOf('request', await describeRequest(deps, request));
  const text =
    'Nothing is known of a request with this ID. It was accepted, it was rejected more than a day ago, or so many requests were rejected that it was not kept. The access log has a line for each request; explain the Client ID in that line.';
  return explanationOf('unknown', [finding('unknown_request', 'unknown', text)]);
}

/** Explains a rejected request: the request itself, and the rule that decided if it has a subject. */
export async function describeRequest(deps: CauseDeps, request: RejectedRequest): Promise<Finding[]> {
  const { at, path, status, code } = request;
  const { rule: reason, text: why } = readReason(request.reason);
  const sender = request.client === null ? undefined : await findClientById(deps.database, request.client);
  const from = sender ? ` of “${sender.name}”` : '';
  const answer = status === 200 ? 'active: false' : `${status} ${code ?? ''}`.trim();
  const text = `The request${from} to ${path} at ${timeText(at)} was answered with ${answer}: ${why}`;
  const subject = sender ? subjectOfClient(sender) : null;
  const cause = await findDecider(deps, request);
  return [finding(reason, 'rejected', text, { subject, at }), ...(cause ? [cause] : [])];
}

/** Explains the state that decided, if it is that of a client, an access key or a secret. */
async function findDecider(deps: CauseDeps, request: RejectedRequest): Promise<Finding | undefined> {
  const { decidedBy, reason, at } = request;
  if (decidedBy === null) return undefined;
  const client = await findClientById(deps.database, decidedBy);
  if (client) {
    if (reason === 'other_network') return await explainNetworks(deps, client, at);
    if (reason === 'client_disabled') return await explainDisabledClient(deps, client, at);
    return await explainEnded(deps, request, 'client', subjectOfClient(client));
  }
  const known = await findKnownAccessKey(deps.database, decidedBy);
  if (!known) return undefined;
  if (decodeRule(reason).rule === 'scope_not_of_access_key') {
    const text = `The access key “${known.key.name}” does not allow the scope.`;
    return finding('scope_not_of_access_key', 'rejected', text, { subject: subjectOfKey(known.key) });
  }
  const ended = await explainEnded(deps, request, 'access_key', subjectOfKey(known.key));
  if (ended || !/^access_key_|^other_(client|network)$|^not_standalone$/.test(reason)) return ended;
  return await explainKey(deps, known.key, reason, at);
}

async function explainEnded(
  deps: CauseDeps,
  { decidedBy, generation, reason }: RejectedRequest,
  kind: 'client' | 'access_key',
  subject: Subject,
): Promise<Finding | undefined> {
  if (decidedBy === null || generation === null || !/^(retired|undone)_/.test(reason)) return undefined;
  const secrets = await findSecrets(deps.database, { kind, id: decidedBy });
  const secret = secrets.find((each) => each.generation === generation);
  return secret && (await explainEndedSecret(deps, secret, subject));
}

/** Sentences for the names of rules. A rejection by another rule is stored as the sentence of its answer. */
const meanings: Readonly<Record<string, string>> = {
  unknown_client: 'No client has the Client ID that the request named.',
  wrong_secret: 'The secret is not one of the client.',
  wrong_method: 'The client is registered with another way of authentication.',
  wrong_client_id: 'The credential belongs to another Client ID of the client.',
  retired_secret: 'The credential had ended.',
  undone_secret: 'The rotation that created the credential was undone.',
  client_disabled: 'The client was disabled.',
  key_left_set: 'The key is no longer published at the jwks_uri of the client.',
  identity_issuer: 'No enabled trust has the issuer of the token.',
  identity_signature: 'No key of the issuer has signed the token.',
  identity_header: 'The header of the token has an extension that is not accepted.',
  identity_type: 'The type of the token is not that of a workload identity.',
  identity_algorithm: 'The signature algorithm of the token is not accepted.',
  identity_audience: 'The token is for another audience than the trust names.',
  identity_expiry: 'The token had expired.',
  identity_issued_at: 'The token is from the future.',
  identity_not_before: 'The token is not valid yet.',
  identity_lifetime: 'The token lives for longer than its trust allows.',
  identity_condition:
    'The token does not meet the conditions of a trust of the client. Try it with `keyturn trusts test`.',
  identity_ambiguous: 'Trusts of several clients accept the token. The request must name one with client_id.',
  assertion_signature: 'No registered key of the client verifies the signature of the assertion.',
  unknown_access_key: 'No access key has the value that the request contained.',
  access_key_disabled: 'The access key was disabled.',
  access_key_expired: 'The access key had expired.',
  other_client: 'The access key is limited to other clients.',
  other_network: 'The credential is limited to other networks, or the address of its user is not known.',
  not_standalone: 'The access key must be used together with a client.',
  unknown_token: 'The token is not known: it was never issued here, or it expired or was revoked and was deleted.',
  actor_disabled: 'An API that exchanged the token is disabled or was deleted.',
  expired_token: 'The token had expired.',
  revoked_token: 'The token was revoked.',
  deleted_client: 'The client of the token was deleted.',
  client_tokens_revoked: 'All earlier tokens of the client were revoked (tokens_not_before).',
  not_bound: 'The token was not bound to a key or certificate, which its client requires.',
  removed_access_key: 'The access key that the token was obtained with was removed.',
  access_key_tokens_revoked: 'All earlier tokens of the access key were revoked.',
  undone_access_key_value: 'The rotation that created the value of the access key was undone.',
  presented_access_key: 'The access key in the introspection request is not accepted.',
  other_resource: 'The token is meant for another resource.',
  no_scope_left: 'The token has no scope left that the resource server offers.',
  changed_meanwhile: 'The client was changed while the request was processed.',
};

/** Sentences for rules that refuse a scope or a resource of a request. */
const refusals: Readonly<Record<string, (value: string) => string>> = {
  unknown_scope: (scope) => `no resource server offers ${scope}.`,
  scope_not_granted: (scope) => `${scope} is not granted to the client.`,
  scope_not_of_access_key: (scope) => `${scope} is granted to the client, but the access key does not allow it.`,
  scope_of_other_resource: (scope) =>
    `${scope} is granted to the client, but not offered by the resource that the request named.`,
  unknown_resource: (resource) => `no resource server has the identifier ${resource}.`,
  resource_disabled: (resource) => `the resource server ${resource} is disabled.`,
  several_resources: (resources) => `the scopes belong to several resources (${resources}). Select one with resource.`,
};

/** Returns the rule of a stored reason, and what it means. */
function readReason(reason: string): { rule: string; text: string } {
  const { rule, value } = decodeRule(reason);
  const refusal = Object.hasOwn(refusals, rule) ? refusals[rule] : undefined;
  if (refusal) {
    const noun = rule.includes('scope') ? 'the requested scope' : 'the requested resource';
    return { rule, text: refusal(value === undefined ? noun : `“${value}”`) };
  }
  const text = meanings[reason] ?? `${reason.replaceAll('_', ' ')}${/[.!?]$/.test(reason) ? '' : '.'}`;
  return { rule: reason, text };
}
