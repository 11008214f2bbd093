import { isOutside, type NetworkLimit } from '../http/allowed-networks.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';

/** Counts uses from outside the allowed networks of credentials whose networks are only watched. */

/** Uses of one credential since the last batch, as a row with the names of the columns. */
export type OutsideUse = {
  owner: string;
  networks: readonly string[];
  requests: number;
  first_at: Date;
  last_at: Date;
  last_address: string;
  expires_at: Date;
};

/** Maximum number of credentials between two batches; the uses of further ones are not counted. */
const maxOwners = 2_000;
const keepMs = 90 * 86_400_000;
/** Stands for an address that is not known. */
const unknownAddress = 'unknown';

/** Counts in memory the uses from outside the watched networks. */
export function createNetworkWatches() {
  let uses = new Map<string, OutsideUse>();
  return {
    /** Counts a use if the limit is watched and does not allow the address. */
    count(owner: string, limit: NetworkLimit | undefined, address: string | undefined, now: number): void {
      const networks = limit?.allowedNetworks;
      if (!networks || limit.networkMode !== 'watch' || !isOutside(limit, address)) return;
      const known = uses.get(owner);
      if (!known && uses.size >= maxOwners) return;
      const at = new Date(now);
      const isSame = known?.networks === networks;
      uses.set(owner, {
        owner,
        networks,
        requests: (isSame ? known.requests : 0) + 1,
        first_at: isSame ? known.first_at : at,
        last_at: at,
        last_address: address ?? unknownAddress,
        expires_at: new Date(now + keepMs),
      });
    },
    /** Returns and clears what was counted. */
    take(): OutsideUse[] {
      const taken = [...uses.values()];
      uses = new Map();
      return taken;
    },
  };
}

/** Adds uses to the stored ones. The counts of other networks than the current ones are dropped. */
export async function saveOutsideUses(transaction: Transaction, uses: readonly OutsideUse[]): Promise<void> {
  if (uses.length === 0) return;
  await transaction.query(
    `INSERT INTO network_watches AS w (owner, networks, requests, first_at, last_at, last_address, expires_at)
     SELECT owner, networks, requests, first_at, last_at, last_address, expires_at
     FROM jsonb_populate_recordset(NULL::network_watches, $1::jsonb) ORDER BY owner
     ON CONFLICT (owner) DO UPDATE SET
       requests = CASE WHEN w.networks = excluded.networks THEN w.requests ELSE 0 END + excluded.requests,
       first_at = CASE WHEN w.networks = excluded.networks THEN LEAST(w.first_at, excluded.first_at) ELSE excluded.first_at END,
       networks = excluded.networks, last_at = GREATEST(w.last_at, excluded.last_at), last_address = excluded.last_address,
       expires_at = excluded.expires_at`,
    [JSON.stringify(uses)],
  );
}

/** The uses of a credential from outside its watched networks. */
export type NetworkWatch = { requests: number; firstAt: Date; lastAt: Date; lastAddress: string };

/** Finds what was counted outside the current networks of a credential; undefined if nothing was. */
export async function findNetworkWatch(
  database: Queryable,
  owner: string,
  { allowedNetworks }: NetworkLimit,
): Promise<NetworkWatch | undefined> {
  if (allowedNetworks === null) return undefined;
  const [row] = await database.query<Row & NetworkWatch>(
    `SELECT requests, first_at AS "firstAt", last_at AS "lastAt", last_address AS "lastAddress" FROM network_watches
     WHERE owner = $1 AND networks = $2::text[]`,
    [owner, allowedNetworks],
  );
  return row;
}
