import { recordChange, recordChanges } from './change.ts';
import type { Queryable, Transaction } from './database.ts';

/**
 * Rows that let somebody in or send something out, with the column of the id that is recorded. If the database loses
 * their removal, they are removed again.
 */
const removable = { console_sessions: 'name', passkeys: 'name_id', invitations: 'id', webhooks: 'id' } as const;
/** Those that go with their contact. */
const ofContacts = ['console_sessions', 'passkeys', 'invitations'] as const;
/** Rows that say whom to trust. If the database loses a change or their removal, they are disabled until somebody looks. */
const distrustable = ['trusts', 'identity_providers'] as const;

type Removable = keyof typeof removable;
type Distrustable = (typeof distrustable)[number];

/** Records that rows were removed, so that they can be removed again if the database loses it. */
export async function recordRemoved(
  transaction: Transaction,
  table: Removable,
  ids: readonly string[],
  at: Date,
): Promise<void> {
  const changes = ids.map((id) => ({ kind: 'removed_row' as const, target: `${table} ${id}` }));
  if (changes.length > 0) await recordChanges(transaction, changes, at);
}

/** Records that the rows of a contact are removed, before it is deleted. */
export async function recordRemovedWith(transaction: Transaction, contactId: string, at: Date): Promise<void> {
  for (const table of ofContacts) {
    const sql = `SELECT ${removable[table]} AS id FROM ${table} WHERE contact = $1`;
    const rows = await transaction.query<{ id: string }>(sql, [contactId]);
    const ids = rows.map(({ id }) => id);
    await recordRemoved(transaction, table, ids, at);
  }
}

/** Records that a row that says whom to trust was removed or trusts others now. */
export async function recordDistrusted(
  transaction: Transaction,
  table: Distrustable,
  id: string,
  at: Date,
): Promise<void> {
  await recordChange(transaction, { kind: 'distrusted_row', target: `${table} ${id}`, at });
}

/** Removes a row again. @param target as recorded. @returns whether there was one. */
export async function removeAgain(transaction: Queryable, target: string): Promise<boolean> {
  const [table = '', id] = target.split(' ');
  if (!Object.hasOwn(removable, table)) return false;
  const column = removable[table as Removable];
  const removed = await transaction.query(`DELETE FROM ${table} WHERE ${column} = $1 RETURNING 1`, [id]);
  return removed.length > 0;
}

/** Disables a row. @param target as recorded. @returns whether it was enabled. */
export async function disableAgain(transaction: Queryable, target: string, at: Date): Promise<boolean> {
  const [table, id] = target.split(' ');
  if (!distrustable.some((each) => each === table)) return false;
  const disabled = await transaction.query(
    `UPDATE ${table} SET enabled = false, updated_at = $2, revision = revision + 1 WHERE id = $1 AND enabled RETURNING 1`,
    [id, at],
  );
  return disabled.length > 0;
}
