import { type AccessKey, type Permissions, toScope } from '../access-keys/access-key.ts';
import { findLatestEvents, type RecordedAuditEvent } from '../audit/read-events.ts';
import { type Client, parseScope } from '../clients/client.ts';
import { listClientIds } from '../clients/client-store.ts';
import { type Secret, shownHint } from '../credentials/secret.ts';
import { findRegenerationOf } from '../regeneration/regeneration-store.ts';
import type { Queryable } from '../storage/database.ts';
import { type Finding, finding, type Subject, timeText } from './explanation.ts';

/** @property mayViewAudit whether names from the audit log are shown. */
export type CauseDeps = { database: Queryable; mayViewAudit: boolean };

/** Returns a client as the subject of a finding. */
export function subjectOfClient({ clientId: id, name }: Client): Subject {
  return { type: 'client', id, name, contactId: null };
}

/** Returns an access key as the subject of a finding. */
export function subjectOfKey({ id, name, contactId }: AccessKey): Subject {
  return { type: 'access_key', id, name, contactId };
}

/** The facts of an audit event that a finding contains. */
type Cause = Pick<Finding, 'at' | 'by' | 'eventId'>;

/**
 * Finds the latest of these actions on a client or access key.
 * @param until ignores later events.
 * @param isCause ignores other events.
 */
export async function findCause(
  { database, mayViewAudit }: CauseDeps,
  targets: readonly string[],
  actions: readonly string[],
  until?: Date,
  isCause: (event: RecordedAuditEvent) => boolean = () => true,
): Promise<Cause | undefined> {
  const event = (await findLatestEvents(database, { targets, actions, until })).find(isCause);
  return (
    event && { at: event.at, by: mayViewAudit ? event.actor_name : null, eventId: mayViewAudit ? event.seq : null }
  );
}

/** Returns the names under which the audit log knows a client: all its Client IDs. */
async function targetsOf({ database }: CauseDeps, client: Client): Promise<readonly string[]> {
  return await listClientIds(database, client.id);
}

/** Explains that a scope, which a token was granted, is no longer allowed by its client or access key. */
export async function explainRemovedScope(deps: CauseDeps, scope: string, owner: Client | AccessKey): Promise<Finding> {
  const isClient = 'clientId' in owner;
  const targets = isClient ? await targetsOf(deps, owner) : [owner.id];
  const subject = isClient ? subjectOfClient(owner) : subjectOfKey(owner);
  const cause = await findCause(deps, targets, [`${subject.type}.update`], undefined, ({ before, after }) => {
    return scopeIn(before).includes(scope) && !scopeIn(after).includes(scope);
  });
  const noun = isClient ? 'client' : 'access key';
  const text = `The scope ${scope} was removed from the ${noun} “${owner.name}”${whenText(cause)}.`;
  return finding('scope_removed', 'rejected', text, { subject, ...cause });
}

/** Returns the scope in the state of a client or access key as the audit log has it. */
function scopeIn(state: unknown): readonly string[] {
  const { scope, permissions } = (state ?? {}) as { scope?: string | string[]; permissions?: Permissions };
  if (permissions) return [...toScope(permissions), ...(typeof scope === 'string' ? parseScope(scope) : [])];
  return typeof scope === 'string' ? parseScope(scope) : (scope ?? []);
}

/** Returns the end of a sentence: when something was done, and by whom. */
function whenText(cause: Pick<Cause, 'at' | 'by'> | undefined): string {
  const at = cause?.at ? ` at ${timeText(cause.at)}` : '';
  return `${at}${cause?.by ? ` by ${cause.by}` : ''}`;
}

/** Returns a sentence about the latest change. Its event may be archived. */
function changedText(cause: Pick<Cause, 'at' | 'by'> | undefined): string {
  return cause ? ` It was last changed${whenText(cause)}.` : '';
}

/** Explains that a client is disabled. */
export async function explainDisabledClient(deps: CauseDeps, client: Client, until?: Date): Promise<Finding> {
  const ofOrganization = await explainDisabledOrganization(
    deps,
    'SELECT organization FROM clients WHERE id = $1 AND enabled',
    client.id,
    subjectOfClient(client),
  );
  if (ofOrganization) return ofOrganization;
  const cause = await findCause(deps, await targetsOf(deps, client), ['client.disable'], until);
  const text = `The client “${client.name}” was disabled${whenText(cause)}. It is not accepted until it is enabled again.`;
  return finding('client_disabled', 'rejected', text, { subject: subjectOfClient(client), ...cause });
}

/** Explains that a client is accepted from other networks only. */
export async function explainNetworks(deps: CauseDeps, client: Client, until?: Date): Promise<Finding> {
  const cause = await findCause(
    deps,
    await targetsOf(deps, client),
    ['client.update', 'client.create', 'client.import'],
    until,
  );
  const networks = client.allowedNetworks?.join(', ') ?? 'any';
  const text = `The client “${client.name}” is accepted only from these networks: ${networks}.${changedText(cause)}`;
  return finding('other_network', 'rejected', text, { subject: subjectOfClient(client), ...cause });
}

/**
 * Explains that the organization of an enabled client or access key is disabled. Returns undefined if it is not.
 * @param query finds the organization by the id of the client or access key.
 */
async function explainDisabledOrganization(
  deps: CauseDeps,
  query: string,
  id: string,
  subject: Subject,
): Promise<Finding | undefined> {
  const [organization] = await deps.database.query<{ id: string; name: string }>(
    `SELECT id, name FROM organizations WHERE id = (${query}) AND NOT enabled`,
    [id],
  );
  if (!organization) return undefined;
  const cause = await findCause(deps, [organization.id], ['organization.disable']);
  const text = `The organization “${organization.name}”, to which “${subject.name}” belongs, was disabled${whenText(cause)}. Nothing of it is accepted until it is enabled again.`;
  return finding('organization_disabled', 'rejected', text, { subject, ...cause });
}

/** Explains that tokens of a client, issued at this time, were ended together. */
export async function explainRevokedTokens(deps: CauseDeps, client: Client, issuedAt: Date): Promise<Finding> {
  const actions = ['client.revoke_tokens', 'client.disable', 'client.regenerate'];
  const notBefore = client.tokensNotBefore;
  const cause = await findCause(deps, await targetsOf(deps, client), actions, notBefore ?? undefined);
  const text = notBefore
    ? `The token was issued at ${timeText(issuedAt)}. All tokens of the client “${client.name}” that were issued before ${timeText(notBefore)} (tokens_not_before) were revoked${cause?.by ? ` by ${cause.by}` : ''}.`
    : `All earlier tokens of the client “${client.name}” were revoked.`;
  const about = { subject: subjectOfClient(client), ...cause, at: notBefore };
  return finding('client_tokens_revoked', 'rejected', text, about);
}

/** Explains that an access key must not be used. @param rule the refusal by `refusalOfKey`. */
export async function explainKey(deps: CauseDeps, key: AccessKey, rule: string, until?: Date): Promise<Finding> {
  const subject = subjectOfKey(key);
  if (rule === 'access_key_expired') {
    const text = `The access key “${key.name}” expired${whenText({ at: key.expiresAt, by: null })}.`;
    return finding(rule, 'rejected', text, { subject, at: key.expiresAt });
  }
  if (rule === 'other_client') {
    const cause = await findCause(deps, [key.id], ['access_key.update', 'access_key.create'], until);
    const text = `The access key “${key.name}” is limited to other clients.${changedText(cause)}`;
    return finding(rule, 'rejected', text, { subject, ...cause });
  }
  if (rule === 'other_network' || rule === 'not_standalone') {
    const cause = await findCause(deps, [key.id], ['access_key.update', 'access_key.create'], until);
    const limit =
      rule === 'not_standalone'
        ? 'is not accepted alone: that needs `standalone` of the key and KEYTURN_STANDALONE_KEYS of the deployment'
        : `is accepted only from these networks: ${key.allowedNetworks?.join(', ')}`;
    const text = `The access key “${key.name}” ${limit}.${changedText(cause)}`;
    return finding(rule, 'rejected', text, { subject, ...cause });
  }
  if (rule === 'access_key_tokens_revoked') {
    const actions = ['access_key.regenerate', 'access_key.revoke_tokens'];
    const cause = await findCause(deps, [key.id], actions, until);
    const text = `The tokens that were obtained with the access key “${key.name}” were revoked${whenText(cause)}.`;
    return finding(rule, 'rejected', text, { subject, ...cause });
  }
  const ofOrganization = await explainDisabledOrganization(
    deps,
    'SELECT organization FROM access_keys WHERE id = $1 AND enabled',
    key.id,
    subject,
  );
  if (ofOrganization) return ofOrganization;
  const cause = await findCause(deps, [key.id], ['access_key.disable'], until);
  const text = `The access key “${key.name}” was disabled${whenText(cause)}.`;
  return finding(rule, 'rejected', text, { subject, ...cause });
}

/** Explains that a secret, key, certificate or value of an access key has ended, or that its rotation was undone. */
export async function explainEndedSecret(
  { database }: CauseDeps,
  secret: Pick<Secret, 'id' | 'hint' | 'registration' | 'retiresAt' | 'endedAs'>,
  subject: Subject,
): Promise<Finding> {
  const regeneration = await findRegenerationOf(database, secret.id);
  const isUndone = secret.endedAs === 'undone';
  const by = regeneration?.ended?.by ?? (isUndone ? null : (regeneration?.createdBy ?? null));
  const at = regeneration?.ended?.at ?? secret.retiresAt;
  const of = regeneration
    ? ` (regeneration ${regeneration.id}, started at ${timeText(regeneration.createdAt)} by ${regeneration.createdBy})`
    : '';
  const what = subject.type === 'client' ? 'credential' : 'value';
  const text = isUndone
    ? `The ${what} ${shownHint(secret)} of “${subject.name}” is not accepted: its rotation was undone${whenText({ at, by })}${of}.`
    : `The ${what} ${shownHint(secret)} of “${subject.name}” ended${whenText({ at, by: regeneration?.ended ? by : null })}${of}.`;
  const regenerationId = regeneration?.id ?? null;
  return finding(isUndone ? 'undone_secret' : 'retired_secret', 'rejected', text, { subject, at, by, regenerationId });
}
