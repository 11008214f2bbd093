import { maxNetworks, networkName } from '../http/allowed-networks.ts';
import type { Queryable } from '../storage/database.ts';

/** A network from which a credential was used. */
type SeenNetwork = { network: string; addresses: number; lastUsedAt: Date };

export type SeenNetworks = {
  /** At most as many as a credential can have, the last used first. */
  networks: SeenNetwork[];
  /** Whether these are all: no source was merged with others or has no readable address. */
  isComplete: boolean;
};

const withinMs = 30 * 86_400_000;
const maxAddresses = 1_000;

/** Finds the networks from which a client, access key or operator token was used in the last 30 days. */
export async function findSeenNetworks(database: Queryable, owner: string, now: number): Promise<SeenNetworks> {
  const rows = await database.query<{ address: string; last_used_at: Date }>(
    `SELECT address, max(last_used_at) AS last_used_at FROM usage_sources WHERE owner = $1 AND last_used_at > $2
     GROUP BY address ORDER BY last_used_at DESC LIMIT ${maxAddresses + 1}`,
    [owner, new Date(now - withinMs)],
  );
  const networks = new Map<string, SeenNetwork>();
  let isComplete = rows.length <= maxAddresses;
  for (const { address, last_used_at: lastUsedAt } of rows) {
    const network = networkName(address);
    if (network === undefined) {
      isComplete = false;
      continue;
    }
    const known = networks.get(network) ?? { network, addresses: 0, lastUsedAt };
    networks.set(network, { ...known, addresses: known.addresses + 1 });
  }
  return {
    networks: [...networks.values()].slice(0, maxNetworks),
    isComplete: isComplete && networks.size <= maxNetworks,
  };
}
