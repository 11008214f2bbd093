import { auditView as auditViewOfKey } from '../access-keys/access-key-limits.ts';
import { lockAccessKey, saveAccessKey } from '../access-keys/access-key-store.ts';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { idOfLimits, limitAgain, recordLimits } from '../clients/client-limits.ts';
import { auditView } from '../clients/client-row.ts';
import { asSecretOwner, lockClientById, saveClient } from '../clients/client-store.ts';
import { saveCurrentKeys } from '../clients/manage-clients.ts';
import { deleteOperatorToken, lockContact, saveContact } from '../contacts/contact-store.ts';
import { currentOf } from '../credentials/secret.ts';
import { Conflict } from '../errors.ts';
import { deleteBoundedToken, lockBoundedToken, setNetworks } from '../operator-tokens/bounded-token-store.ts';
import { undoRegeneration } from '../regeneration/end-regeneration.ts';
import type { SecretDeps } from '../secrets/manage-secrets.ts';
import { findSecrets, type OwnerRef, type SecretOwner } from '../secrets/secret-store.ts';
import type { ChangeKind } from '../storage/change.ts';
import { recordChange, recordNarrowed } from '../storage/change.ts';
import type { Transaction } from '../storage/database.ts';
import { disableAgain, removeAgain } from '../storage/lost-rows.ts';

export type LimitDeps = SecretDeps & {
  /** Locks the owner. Returns undefined if it was deleted. */
  lockOwner(transaction: Transaction, owner: OwnerRef): Promise<SecretOwner | undefined>;
};

type Repeat = {
  transaction: Transaction;
  deps: LimitDeps;
  actor: Actor;
  at: Date;
  /** Returns the targets of the lost changes of a kind, oldest first. */
  targetsOf(kind: ChangeKind): string[];
};

/** Numbers of limits that were set again. */
export type RepeatedLimits = {
  undone: number;
  narrowed: number;
  operator_tokens: number;
  removed: number;
  distrusted: number;
};

/**
 * Sets again what lost changes had limited: undone rotations, removed permissions, keys, scopes that an API offered, added
 * requirements, narrowed networks, removed operator tokens, sessions, passkeys, invitations and webhooks. Trusts and identity
 * providers that were changed or removed are disabled.
 * @returns `withdrawn`: ids of credentials whose keys, certificate, URL or subject a lost change had replaced. They must be
 * ended, because what replaced them is not known.
 */
export async function repeatLostLimits(repeat: Repeat): Promise<{ counts: RepeatedLimits; withdrawn: string[] }> {
  const { targetsOf } = repeat;
  const counts: RepeatedLimits = { undone: 0, narrowed: 0, operator_tokens: 0, removed: 0, distrusted: 0 };
  const count = async (kind: ChangeKind, counter: keyof RepeatedLimits, set: (target: string) => Promise<boolean>) => {
    for (const target of targetsOf(kind)) if (await set(target)) counts[counter] += 1;
  };
  await count('undone_secret', 'undone', (id) => undoAgain(repeat, id));
  await count('narrowed_client', 'narrowed', (target) => narrowClient(repeat, target));
  const withdrawn: string[] = [];
  await count('limited_client', 'narrowed', (target) => limitClient(repeat, target, withdrawn));
  await count('narrowed_access_key', 'narrowed', (target) => narrowAccessKey(repeat, target));
  await count('limited_access_key', 'narrowed', (target) => limitAccessKey(repeat, target));
  await count('narrowed_contact', 'narrowed', (target) => narrowContact(repeat, target));
  await count('removed_operator_token', 'operator_tokens', (id) => removeOperatorToken(repeat, id));
  await count('removed_bounded_token', 'operator_tokens', (id) => removeBoundedToken(repeat, id));
  await count('limited_bounded_token', 'narrowed', (target) => limitBoundedToken(repeat, target));
  await count('removed_row', 'removed', (target) => removeAgain(repeat.transaction, target));
  await count('distrusted_row', 'distrusted', (target) => disableAgain(repeat.transaction, target, repeat.at));
  // Every process reads the trusts again.
  if (counts.distrusted > 0) await recordChange(repeat.transaction, { kind: 'trusts', target: 'all', at: repeat.at });
  return { counts, withdrawn };
}

/** Undoes the rotation that created a secret. Does nothing if its grace period has ended, after which it cannot be undone. */
async function undoAgain({ transaction, deps, actor }: Repeat, secretId: string): Promise<boolean> {
  const [row] = await transaction.query<{ id: string; client: string | null; access_key: string | null }>(
    'SELECT id, client, access_key FROM regenerations WHERE new_secret = $1 AND ended_as IS NULL',
    [secretId],
  );
  if (!row) return false;
  const kind = row.client === null ? 'access_key' : 'client';
  const owner = await deps.lockOwner(transaction, { kind, id: (row.client ?? row.access_key) as string });
  if (!owner) return false;
  try {
    await undoRegeneration(transaction, deps, actor, owner, row.id);
    return true;
  } catch (error) {
    if (!(error instanceof Conflict)) throw error;
    return false;
  }
}

/** Splits the target of a narrowing into the id and what is left of the permissions. */
function split(target: string): { id: string; left: (permissions: readonly string[]) => string[] } {
  const [id = '', ...removed] = target.split(' ');
  return { id, left: (permissions) => permissions.filter((each) => !removed.includes(each)) };
}

async function narrowClient(repeat: Repeat, target: string): Promise<boolean> {
  const { transaction, at } = repeat;
  const { id, left } = split(target);
  const client = await lockClientById(transaction, id);
  const scope = left(client?.scope ?? []);
  if (!client || scope.length === client.scope.length) return false;
  await saveClient(transaction, { ...client, scope }, at);
  await recordNarrowed(transaction, { kind: 'narrowed_client', id, at }, client.scope, scope);
  await audit(repeat, 'client.update', client.clientId, { scope: client.scope }, { scope });
  return true;
}

async function limitClient(repeat: Repeat, target: string, withdrawn: string[]): Promise<boolean> {
  const { transaction, at } = repeat;
  const client = await lockClientById(transaction, idOfLimits(target));
  if (!client) return false;
  const { client: limited, isWithdrawn } = limitAgain(client, target);
  // The row of a first credential, which is stored when it ends, has the id of its client.
  if (isWithdrawn) withdrawn.push(currentOf(await findSecrets(transaction, asSecretOwner(client)))?.id ?? client.id);
  if (limited === client) return isWithdrawn;
  const saved = await saveClient(transaction, limited, at);
  await recordLimits(transaction, client, saved, at);
  await saveCurrentKeys(transaction, saved);
  await audit(repeat, 'client.update', client.clientId, auditView(client), auditView(saved));
  return true;
}

async function narrowAccessKey(repeat: Repeat, target: string): Promise<boolean> {
  const { transaction, at } = repeat;
  const { id, left } = split(target);
  const key = await lockAccessKey(transaction, id);
  const scope = left(key?.scope ?? []);
  if (!key || scope.length === key.scope.length) return false;
  await saveAccessKey(transaction, { ...key, scope }, at);
  await recordNarrowed(transaction, { kind: 'narrowed_access_key', id, at }, key.scope, scope);
  await audit(repeat, 'access_key.update', id, { scope: key.scope.join(' ') }, { scope: scope.join(' ') });
  return true;
}

async function limitAccessKey(repeat: Repeat, target: string): Promise<boolean> {
  const { transaction, at } = repeat;
  type Limits = [string, string[] | null, string | null, boolean | undefined, string[] | null | undefined];
  // The last two are missing in changes that the previous version recorded.
  const [id, allowed, end, standalone = true, networks = null] = JSON.parse(target) as Limits;
  const key = await lockAccessKey(transaction, id);
  if (!key) return false;
  const clients = allowed && (key.clients ? key.clients.filter((each) => allowed.includes(each)) : allowed);
  const until = [key.expiresAt, end && new Date(end)].filter((each) => each instanceof Date);
  const expiresAt = until.length > 0 ? new Date(Math.min(...until.map((each) => each.getTime()))) : null;
  const limited = {
    ...key,
    clients: clients ?? key.clients,
    expiresAt,
    standalone: key.standalone && standalone,
    ...(networks ? { allowedNetworks: networks, networkMode: 'enforce' as const } : {}),
  };
  if (!limited.standalone) limited.requestsPerMinute = null;
  await saveAccessKey(transaction, limited, at);
  await audit(repeat, 'access_key.update', id, auditViewOfKey(key), auditViewOfKey(limited));
  return true;
}

async function narrowContact(repeat: Repeat, target: string): Promise<boolean> {
  const { transaction, at } = repeat;
  const { id, left } = split(target);
  const contact = await lockContact(transaction, id);
  const permissions = contact?.permissions.filter((each) => left([each]).length > 0) ?? [];
  if (!contact || permissions.length === contact.permissions.length) return false;
  await saveContact(transaction, { ...contact, permissions }, at);
  await recordNarrowed(transaction, { kind: 'narrowed_contact', id, at }, contact.permissions, permissions);
  await audit(repeat, 'contact.update', id, { permissions: contact.permissions }, { permissions });
  return true;
}

async function removeOperatorToken(repeat: Repeat, id: string): Promise<boolean> {
  const { transaction, at } = repeat;
  const contact = await lockContact(transaction, id);
  if (!contact || !(await deleteOperatorToken(transaction, id, at))) return false;
  await audit(repeat, 'operator_token.revoke', id, { hint: contact.operatorTokenHint }, {});
  return true;
}

async function removeBoundedToken(repeat: Repeat, id: string): Promise<boolean> {
  const { transaction, at } = repeat;
  const token = await lockBoundedToken(transaction, id, at);
  if (!token) return false;
  await deleteBoundedToken(transaction, id, at);
  const { name, hint } = token;
  await audit(repeat, 'operator_token.revoke_bounded', token.contactId, { id, name, hint }, {});
  return true;
}

async function limitBoundedToken(repeat: Repeat, target: string): Promise<boolean> {
  const { transaction, at } = repeat;
  const [id, allowedNetworks] = JSON.parse(target) as [string, string[]];
  const token = await lockBoundedToken(transaction, id, at);
  if (!token) return false;
  await setNetworks(transaction, id, { allowedNetworks, networkMode: 'enforce' }, at);
  const { name, hint } = token;
  const limited = { allowed_networks: allowedNetworks, network_mode: 'enforce' };
  await audit(repeat, 'operator_token.update_bounded', token.contactId, { id, name, hint }, limited);
  return true;
}

type Limited = 'client' | 'access_key' | 'contact' | 'operator_token';

/** Records that a limit was set again. @param action the audited action, which begins with the type of its target. */
async function audit(
  { transaction, actor, at }: Repeat,
  action: `${Limited}.${string}`,
  target: string,
  before: Record<string, unknown>,
  after: Record<string, unknown>,
): Promise<void> {
  const targetType = action.split('.')[0] as Limited;
  await appendAuditEvent(transaction, {
    at,
    actor,
    action,
    targetType,
    target,
    before,
    after: { ...after, reason: 'changes_lost' },
  });
}
