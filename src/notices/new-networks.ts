import { networkName } from '../http/allowed-networks.ts';
import type { Transaction } from '../storage/database.ts';
import type { NewSource } from '../usage/usage-store.ts';
import { nameThings, type ThingRef } from './name-things.ts';
import { insertNotices, type NewNotice } from './notice-store.ts';

/**
 * Stores notices about new sources whose network is new to the client or access key, in the transaction that writes the
 * sources. The first use of all is expected, and has no notice.
 */
export async function insertNewNetworks(transaction: Transaction, added: readonly NewSource[]): Promise<void> {
  const fresh = added.filter(({ address }) => networkName(address) !== undefined);
  if (fresh.length === 0) return;
  const owners = [...new Set(fresh.map(({ owner }) => owner))];
  const rows = await transaction.query<{ owner: string; address: string; is_known: boolean }>(
    `SELECT DISTINCT owner, address, (owner::text || address) <> ALL ($2::text[]) AS is_known FROM usage_sources
     WHERE owner = ANY ($1::uuid[]) AND last_used_at IS NOT NULL`,
    [owners, fresh.map(({ owner, address }) => owner + address)],
  );
  const known = Map.groupBy(
    rows.filter(({ is_known: isKnown }) => isKnown),
    ({ owner }) => owner,
  );
  const found = fresh.filter(({ owner, address }) => {
    const before = known.get(owner) ?? [];
    return before.length > 0 && !before.some((each) => networkName(each.address) === networkName(address));
  });
  const named = await nameThings(
    transaction,
    found.flatMap(({ owner: id }): ThingRef[] => [
      { type: 'client', id },
      { type: 'access_key', id },
    ]),
  );
  const notices = found.flatMap(({ owner, address, lastUsedAt }): NewNotice[] => {
    const of = named({ type: 'client', id: owner }) ?? named({ type: 'access_key', id: owner });
    const network = networkName(address);
    if (!of || network === undefined) return [];
    const { contactName, isEnabled: _, ...thing } = of;
    const data = { network, ...(contactName === undefined ? {} : { contact_name: contactName }) };
    return [{ ...thing, kind: 'new_network', at: lastUsedAt, moment: `network:${owner}:${network}`, data }];
  });
  await insertNotices(transaction, notices);
}
