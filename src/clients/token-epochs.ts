import { lowestTokenEpoch, tokenEpochs } from '../credentials/secret.ts';
import type { Transaction } from '../storage/database.ts';

/** An update of a client writes to every index of the table, so ten thousand took more than five seconds on a busy machine. */
const epochsPerStatement = 1_000;

/**
 * Ends the tokens of every client, or of every client of an organization. The caller announces that.
 * @returns the number of clients.
 */
export async function raiseEveryTokenEpoch(
  transaction: Transaction,
  at: Date,
  organizationId?: string,
): Promise<number> {
  const ofOrganization = organizationId === undefined ? '' : 'AND organization = $5';
  let clients = 0;
  // A statement for all clients could exceed its time limit.
  for (let after: string | null = '00000000-0000-0000-0000-000000000000'; after !== null; ) {
    const [batch]: { count: number; last: string | null }[] = await transaction.query(
      // One random epoch per client, in the range of newTokenEpoch.
      `WITH batch AS (
         SELECT id FROM clients WHERE id > $4::uuid ${ofOrganization} ORDER BY id LIMIT ${epochsPerStatement}
       ), raised AS (
         UPDATE clients SET token_epoch = $1::bigint + floor(random() * $2)::integer, tokens_not_before = $3
         WHERE id IN (SELECT id FROM batch) RETURNING 1
       ) SELECT (SELECT count(*) FROM raised) AS count, (SELECT id FROM batch ORDER BY id DESC LIMIT 1) AS last`,
      [lowestTokenEpoch, tokenEpochs, at, after, ...(organizationId === undefined ? [] : [organizationId])],
    );
    clients += batch?.count ?? 0;
    after = batch?.last ?? null;
  }
  return clients;
}
