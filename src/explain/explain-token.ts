import type { Client } from '../clients/client.ts';
import { findKnownClient } from '../clients/client-store.ts';
import { isOffered } from '../clients/offered-scopes.ts';
import { findSecrets } from '../secrets/secret-store.ts';
import { judgeToken } from '../tokens/examine-access-token.ts';
import { type FoundToken, grantedScope, lackOf, type RefusedToken, seenBy } from '../tokens/seen-token.ts';
import type { TokenRecord } from '../tokens/token-record.ts';
import type { TokenDeps } from '../tokens/token-rules.ts';
import { tokenId } from '../tokens/token-store.ts';
import { type Explanation, explanationOf, type Finding, finding, timeText } from './explanation.ts';
import {
  type CauseDeps,
  explainDisabledClient,
  explainEndedSecret,
  explainKey,
  explainRemovedScope,
  explainRevokedTokens,
  findCause,
  subjectOfClient,
  subjectOfKey,
} from './find-cause.ts';

type Deps = TokenDeps & CauseDeps;

/** Maximum number of resource servers for which a token is explained. */
const maxServers = 20;

/**
 * Explains an access token by the rules of introspection.
 * @param resource of the resource server that would ask, or undefined for those that the token is for.
 */
export async function explainToken(deps: Deps, token: string, resource: string | undefined): Promise<Explanation> {
  const found = await judgeToken(deps, token);
  if ('refusal' in found) {
    // The store deletes the record of a revoked token, but the revocation is kept until the token would have expired.
    const isRevoked = !found.record && deps.revocations.has(tokenId(token));
    const refused = isRevoked ? { ...found, refusal: 'revoked_token' as const } : found;
    return explanationOf('access_token', [await explainRefusedToken(deps, refused)]);
  }
  const findings = [await explainLife(found)];
  const servers = serversFor(found, await deps.clients.resourceServers(), resource);
  if (servers.length === 0) {
    findings.push(finding('no_resource_server', 'rejected', 'No resource server has this resource.'));
  }
  for (const server of servers) findings.push(...(await explainAt(deps, found, server)));
  // Without a named resource server, one that accepts the token is enough.
  const isAccepted = findings.some(({ rule, verdict }) => rule === 'introspection' && verdict === 'accepted');
  return { kind: 'access_token', verdict: isAccepted ? 'accepted' : 'rejected', findings };
}

function serversFor(found: FoundToken, servers: readonly Client[], resource: string | undefined): readonly Client[] {
  const named = resource ?? found.record.resource;
  if (named !== undefined) return servers.filter((server) => server.resource === named);
  const meant = servers.filter((server) => grantedScope(server, found).some((item) => isOffered(server, item)));
  return (meant.length > 0 ? meant : servers).slice(0, maxServers);
}

function lifeOf({ issuedAt, expiresAt }: TokenRecord): string {
  return `It was issued at ${timeText(new Date(issuedAt))} and expires at ${timeText(new Date(expiresAt * 1_000))}.`;
}

async function explainLife({ record, client, key }: FoundToken): Promise<Finding> {
  const at = new Date(record.issuedAt);
  if (!client) {
    const text = `The token was exchanged for the stand-alone access key “${key?.name}”. ${lifeOf(record)}`;
    return finding('live_token', 'accepted', text, { subject: key ? subjectOfKey(key) : null, at });
  }
  const of = key ? ` with the access key “${key.name}”` : '';
  const text = `The token belongs to the client “${client.name}”${of}. ${lifeOf(record)}`;
  return finding('live_token', 'accepted', text, { subject: subjectOfClient(client), at });
}

/** Explains what a resource server is told about a token: its scope, and which scopes it has lost. */
async function explainAt(deps: Deps, found: FoundToken, server: Client): Promise<Finding[]> {
  const subject = subjectOfClient(server);
  const named = `the resource server “${server.name}” (${server.resource})`;
  if (!server.enabled) return [await explainDisabledClient(deps, server)];
  const seen = seenBy(server, found);
  const lost = await explainLostScopes(deps, found, server);
  if (!('refusal' in seen)) {
    const allows = seen.scope === '' ? 'no scope' : seen.scope;
    const text = `For ${named}, the token is active and allows: ${allows}.`;
    return [finding('introspection', 'accepted', text, { subject }), ...lost];
  }
  if (seen.refusal === 'other_resource') {
    const text = `For ${named}, the token is not active: it is meant for another resource, ${found.record.resource}.`;
    return [finding('other_resource', 'rejected', text, { subject })];
  }
  const text = `For ${named}, the token is not active: it has no scope left that this resource server offers.`;
  return [finding(seen.refusal, 'rejected', text, { subject }), ...lost];
}

/** Explains each scope that was granted, that this resource server offers or offered, and that is not allowed now. */
async function explainLostScopes(deps: Deps, found: FoundToken, server: Client): Promise<Finding[]> {
  const { client, key } = found;
  const findings: Finding[] = [];
  for (const item of grantedScope(server, found)) {
    const lack = lackOf(item, server, found);
    if (lack === 'client' && client && isOffered(server, item)) {
      findings.push(await explainRemovedScope(deps, item, client));
    } else if (lack === 'access_key' && key && isOffered(server, item)) {
      findings.push(await explainRemovedScope(deps, item, key));
    }
  }
  return findings;
}

/** Explains why a token is live at no resource server. */
async function explainRefusedToken(deps: Deps, refused: RefusedToken): Promise<Finding> {
  const { refusal, record, client, key } = refused;
  if (refusal === 'revoked_token') {
    const life = record ? ` ${lifeOf(record)}` : '';
    const text = `The token was revoked: by its client, as an API authorization token, or as leaked.${life}`;
    return finding(refusal, 'rejected', text, client ? { subject: subjectOfClient(client) } : {});
  }
  if (!record) {
    const text =
      'The token is not known. It was never issued here, it expired and was deleted, or it was signed with a key that is not published.';
    return finding(refusal, 'rejected', text);
  }
  const { clientId } = record;
  const known = client || clientId === undefined ? { client } : await findKnownClient(deps.database, clientId);
  const subject = known?.client ? subjectOfClient(known.client) : key ? subjectOfKey(key) : null;
  const issued = new Date(record.issuedAt);
  if (refusal === 'expired_token') {
    const at = new Date(record.expiresAt * 1_000);
    return finding(refusal, 'rejected', `The token expired at ${timeText(at)}. ${lifeOf(record)}`, { subject, at });
  }
  if (clientId !== undefined && (refusal === 'deleted_client' || !client)) {
    const cause = await findCause(deps, [clientId], ['client.delete']);
    const at = cause?.at ? ` at ${timeText(cause.at)}` : '';
    return finding(refusal, 'rejected', `The client ${clientId} was deleted${at}.`, cause ?? {});
  }
  return client
    ? await explainByClient(deps, { ...refused, record, client, key }, issued)
    : await explainByKey(deps, { ...refused, record, key });
}

async function explainByClient(
  deps: Deps,
  refused: RefusedToken & FoundToken & { client: Client },
  issued: Date,
): Promise<Finding> {
  const { refusal, record, client } = refused;
  const subject = subjectOfClient(client);
  if (refusal === 'client_disabled') return await explainDisabledClient(deps, client);
  if (refusal === 'client_tokens_revoked') return await explainRevokedTokens(deps, client, issued);
  if (refusal === 'undone_secret') {
    return await explainUndone(deps, 'client', client.id, record.generation, subject, refusal);
  }
  if (refusal === 'not_bound') {
    const text = `The token is not bound to a key or certificate, but the client “${client.name}” requires that.`;
    return finding(refusal, 'rejected', text, { subject });
  }
  return await explainByKey(deps, refused);
}

async function explainByKey(deps: Deps, { refusal, record, key }: RefusedToken & FoundToken): Promise<Finding> {
  if (!key) {
    const id = record.accessKey?.id ?? '';
    const cause = await findCause(deps, [id], ['access_key.remove']);
    const at = cause?.at ? ` at ${timeText(cause.at)}` : '';
    return finding(refusal, 'rejected', `The access key ${id} was removed${at}.`, cause ?? {});
  }
  if (refusal === 'undone_access_key_value' && record.accessKey) {
    const { generation } = record.accessKey;
    return await explainUndone(deps, 'access_key', key.id, generation, subjectOfKey(key), refusal);
  }
  return await explainKey(deps, key, refusal);
}

async function explainUndone(
  deps: Deps,
  kind: 'client' | 'access_key',
  id: string,
  generation: number,
  subject: NonNullable<Finding['subject']>,
  rule: string,
): Promise<Finding> {
  const secret = (await findSecrets(deps.database, { kind, id })).find((each) => each.generation === generation);
  if (!secret)
    return finding(rule, 'rejected', 'The credential that the token was obtained with is gone.', { subject });
  return { ...(await explainEndedSecret(deps, secret, subject)), rule };
}
