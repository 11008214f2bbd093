import { setAccessKeyEnabled } from '../access-keys/manage-access-keys.ts';
import { type Actor, appendAuditEvent, auditedTransaction } from '../audit/audit-log.ts';
import { disableClient, type ManageDeps } from '../clients/manage-clients.ts';
import { raiseEveryTokenEpoch } from '../clients/token-epochs.ts';
import { isOfSecret } from '../credentials/registration.ts';
import { NotFound } from '../errors.ts';
import type { Log } from '../observability/log.ts';
import { setOrganizationEnabled } from '../organizations/manage-organizations.ts';
import { findOrganization } from '../organizations/organization-store.ts';
import { endSecret } from '../regeneration/regeneration-store.ts';
import { requireCurrent } from '../secrets/manage-secrets.ts';
import { findUnendedSecrets, insertSecret, type OwnerRef } from '../secrets/secret-store.ts';
import { type ChangeKind, type CommittedChange, recordChange, recordChanges } from '../storage/change.ts';
import type { Database, Transaction } from '../storage/database.ts';
import type { Loss } from '../storage/loss-check.ts';
import { type LimitDeps, type RepeatedLimits, repeatLostLimits } from './repeat-lost-limits.ts';
import { revokeSigningKey, type SigningKeyDeps } from './signing-keys.ts';

/** Numbers of repaired changes, for the audit log and the log. */
type Repaired = RepeatedLimits & {
  lost_changes: number;
  tokens: number;
  clients: number;
  access_keys: number;
  secrets: number;
  signing_keys: readonly string[];
  /** Whether every token was ended, because more may be lost than is known. */
  every_token: boolean;
};

type RepairDeps = ManageDeps & SigningKeyDeps & LimitDeps;

const keyturn: Actor = { id: 'keyturn', name: 'Keyturn', address: null };

/**
 * Returns a function that repairs a loss in one transaction, and logs it. It returns whether anything was changed.
 */
export function repairLosses(database: Database, log: Log, deps: RepairDeps): (loss: Loss) => Promise<boolean> {
  return async (loss) => {
    const repaired = await auditedTransaction(database, deps.keyRing, (transaction) =>
      repairLostChanges(transaction, deps, loss),
    );
    if (repaired) log.error(repaired, 'the database lost changes, repeated what they had ended');
    return repaired !== undefined;
  };
}

/**
 * Repeats what lost changes had revoked, disabled or ended, and ends the tokens of every client and access key that
 * they concern. What they had created or enabled stays lost, because that makes nothing valid. Several processes can
 * call this for the same changes; each change is repaired once.
 * @returns undefined if another process has repaired everything.
 */
async function repairLostChanges(
  transaction: Transaction,
  deps: RepairDeps,
  { changes, isUnbounded, timeline }: Loss,
): Promise<Repaired | undefined> {
  const at = new Date(deps.clock());
  const [checked] = await transaction.query<{ timeline: string | null }>(
    'SELECT timeline FROM database_check FOR UPDATE',
  );
  const isChecked = checked?.timeline === timeline;
  const lost = await recordLost(transaction, changes, at);
  const lostAt = isChecked && lost.length === 0 ? null : at;
  await transaction.query(
    'UPDATE database_check SET timeline = $1, assertions_lost_at = coalesce($2, assertions_lost_at)',
    [timeline, lostAt],
  );
  const endsAll = isUnbounded && (lost.length > 0 || !isChecked);
  if (lost.length === 0 && !endsAll) return undefined;

  lost.sort((left, right) => left.seq - right.seq);
  const targetsOf = (kind: ChangeKind) => lost.flatMap((change) => (change.kind === kind ? [change.target] : []));
  const tokens = lost.filter(({ kind }) => kind === 'token');
  await recordChanges(transaction, tokens, at);
  const kids = await revokeKeys(transaction, deps, targetsOf('revoked_signing_key'));
  if (endsAll) {
    await raiseEveryTokenEpoch(transaction, at);
    await recordChange(transaction, { kind: 'all_clients', target: 'all', at });
  }
  // Before secrets are ended, which would end the new secret of an undone rotation without its predecessor.
  const limits = await repeatLostLimits({ transaction, deps, actor: keyturn, at, targetsOf });
  const ended = [...targetsOf('ended_secret'), ...limits.withdrawn];
  await storeFirstCredentials(transaction, deps, ended);
  const secrets = await findUnendedSecrets(transaction, ended);
  for (const { id } of secrets) await endSecret(transaction, { id }, at, keyturn);
  const clients = await endTokensOf(
    transaction,
    deps,
    'client',
    await findClients(transaction, targetsOf('client')),
    at,
  );
  const keys = await endTokensOf(transaction, deps, 'access_key', targetsOf('access_key'), at);
  for (const id of lastDisabled(lost, 'client')) {
    const [row] = await transaction.query<{ client_id: string }>('SELECT client_id FROM clients WHERE id = $1', [id]);
    if (row) await disableClient(transaction, deps, keyturn, row.client_id);
  }
  for (const id of lastDisabled(lost, 'access_key')) {
    if (keys.includes(id)) await setAccessKeyEnabled(transaction, deps, keyturn, id, false);
  }
  for (const id of lastDisabled(lost, 'organization')) {
    if (await findOrganization(transaction, id)) await setOrganizationEnabled(transaction, deps, keyturn, id, false);
  }
  const repaired: Repaired = {
    ...limits.counts,
    lost_changes: lost.length,
    tokens: tokens.length,
    clients: clients.length,
    access_keys: keys.length,
    secrets: secrets.length,
    signing_keys: kids,
    every_token: endsAll,
  };
  await appendAuditEvent(transaction, {
    at,
    actor: keyturn,
    action: 'deployment.changes_lost',
    targetType: 'deployment',
    target: 'all',
    after: repaired,
  });
  return repaired;
}

/** Records lost changes. Returns those that no process had recorded before. */
async function recordLost(
  transaction: Transaction,
  changes: readonly CommittedChange[],
  at: Date,
): Promise<CommittedChange[]> {
  return await transaction.query<CommittedChange>(
    `INSERT INTO lost_changes (seq, kind, target, expires_at, found_at)
     SELECT l.*, $5 FROM unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[]) l
     ON CONFLICT DO NOTHING RETURNING seq, kind, target, expires_at AS "expiresAt"`,
    [
      changes.map(({ seq }) => seq),
      changes.map(({ kind }) => kind),
      changes.map(({ target }) => target),
      changes.map(({ expiresAt }) => expiresAt),
      at,
    ],
  );
}

/** Returns the keys that are still published and were revoked again. */
async function revokeKeys(transaction: Transaction, deps: SigningKeyDeps, kids: readonly string[]): Promise<string[]> {
  const revoked: string[] = [];
  for (const kid of kids) {
    try {
      await revokeSigningKey(transaction, deps, keyturn, kid);
      revoked.push(kid);
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
    }
  }
  return revoked;
}

/**
 * Stores the keys or the certificate that clients were first registered with, if a lost change had stored and ended
 * them. Their id is that of the client. Without a row they would be accepted.
 */
async function storeFirstCredentials(
  transaction: Transaction,
  { clock, lockOwner }: RepairDeps,
  ids: readonly string[],
): Promise<void> {
  const rows = await transaction.query<{ id: string }>(
    `SELECT id FROM clients c WHERE id = ANY ($1::uuid[]) AND NOT EXISTS (SELECT FROM secrets s WHERE s.client = c.id)`,
    [ids],
  );
  for (const { id } of rows) {
    const owner = await lockOwner(transaction, { kind: 'client', id });
    if (!owner?.registration || isOfSecret(owner.registration)) continue;
    const first = requireCurrent(owner, [], { isReplaced: true }, clock());
    await insertSecret(transaction, owner, { ...first, sealed: null });
  }
}

/** Maps Client IDs to the ids of existing clients. */
async function findClients(transaction: Transaction, clientIds: readonly string[]): Promise<string[]> {
  const rows = await transaction.query<{ client: string }>(
    'SELECT DISTINCT client FROM client_ids WHERE client_id = ANY ($1::text[])',
    [clientIds],
  );
  return rows.map(({ client }) => client);
}

/** Ends the tokens of these owners. Returns the ids of those that exist. */
async function endTokensOf(
  transaction: Transaction,
  { lockOwner }: RepairDeps,
  kind: OwnerRef['kind'],
  ids: readonly string[],
  at: Date,
): Promise<string[]> {
  const found: string[] = [];
  for (const id of new Set(ids)) {
    const owner = await lockOwner(transaction, { kind, id });
    if (!owner) continue;
    await owner.save(transaction, { tokens: 'revoke' }, at);
    await appendAuditEvent(transaction, {
      at,
      actor: keyturn,
      action: `${kind}.revoke_tokens`,
      targetType: kind,
      target: owner.target,
      after: { reason: 'changes_lost' },
    });
    found.push(id);
  }
  return found;
}

/** Returns the ids of owners, of changes in their order, whose last lost change of this sort disabled them. */
function lastDisabled(lost: readonly CommittedChange[], owner: OwnerRef['kind'] | 'organization'): string[] {
  const last = new Map<string, ChangeKind>();
  for (const { kind, target } of lost) {
    if (kind === `disabled_${owner}` || kind === `enabled_${owner}`) last.set(target, kind);
  }
  return [...last].flatMap(([id, kind]) => (kind === `disabled_${owner}` ? [id] : []));
}
