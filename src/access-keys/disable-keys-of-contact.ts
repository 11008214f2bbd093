import type { Actor } from '../audit/audit-log.ts';
import type { ManageDeps } from '../clients/manage-clients.ts';
import { requireContact } from '../contacts/manage-contacts.ts';
import type { Queryable, Transaction } from '../storage/database.ts';
import { otherSources } from '../usage/usage-source.ts';
import { setAccessKeyEnabled } from './manage-access-keys.ts';

const dayMs = 86_400_000;
/** Longest list of keys in a review, and of integrations of one key. */
const maxListed = 200;
const maxIntegrations = 10;

/** An enabled access key, and what fails if it is disabled. */
export type KeyInUse = {
  id: string;
  name: string;
  lastUsedAt: Date | null;
  /** Tokens that were issued with it in the last 24 hours, and the number of sources that got them. */
  tokens24h: number;
  sourceCount: number;
  /** Integrations that may use the key and were used from the same sources in that time. */
  integrations: { client_id: string; name: string }[];
};

/**
 * Finds the enabled access keys of a contact, with their use in the last 24 hours.
 * @returns up to 200 of them, the last used first, and their total number.
 */
export async function reviewKeysOfContact(
  database: Queryable,
  contactId: string,
  now: number,
): Promise<{ total: number; keys: KeyInUse[] }> {
  const [row] = await database.query<{ total: number }>(
    'SELECT count(*) AS total FROM access_keys WHERE contact = $1 AND enabled',
    [contactId],
  );
  const keys = await database.query<KeyInUse>(
    `SELECT k.id, k.name, k.last_used_at AS "lastUsedAt", used.tokens AS "tokens24h", used.sources AS "sourceCount",
       ARRAY(
         SELECT DISTINCT jsonb_build_object('client_id', c.client_id, 'name', c.name)
         FROM (
           SELECT DISTINCT address, user_agent FROM usage_source_hours
           WHERE owner = k.id AND starts_at > $2 AND address <> '${otherSources}'
         ) place
         JOIN usage_sources u ON u.address = place.address AND u.user_agent = place.user_agent AND u.last_used_at > $2
         JOIN clients c ON c.id = u.owner AND c.kind = 'integration' AND (k.clients IS NULL OR c.id = ANY (k.clients))
         LIMIT ${maxIntegrations}
       ) AS integrations
     FROM (
       SELECT * FROM access_keys WHERE contact = $1 AND enabled ORDER BY last_used_at DESC NULLS LAST, id LIMIT ${maxListed}
     ) k CROSS JOIN LATERAL (
       SELECT coalesce(sum(issued), 0)::bigint AS tokens, count(DISTINCT (address, user_agent)) AS sources
       FROM usage_source_hours WHERE owner = k.id AND starts_at > $2
     ) used
     ORDER BY k.last_used_at DESC NULLS LAST, k.id`,
    [contactId, new Date(now - dayMs)],
  );
  return { total: row?.total ?? 0, keys };
}

/**
 * Disables every enabled access key of a contact, each with its own audit event. No key that is created at the same
 * time is missed, because creating one locks the contact too.
 * @returns the keys that were enabled before.
 * @throws {NotFound}
 */
export async function disableKeysOfContact(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  contactId: string,
): Promise<{ id: string; name: string }[]> {
  await requireContact(transaction, contactId);
  const keys = await transaction.query<{ id: string; name: string }>(
    'SELECT id, name FROM access_keys WHERE contact = $1 AND enabled ORDER BY id FOR UPDATE',
    [contactId],
  );
  // All events of the act have the same time, by which it can be undone.
  const now = deps.clock();
  const sameTime = { ...deps, clock: () => now };
  for (const { id } of keys) await setAccessKeyEnabled(transaction, sameTime, actor, id, false);
  return keys;
}

/** Finds the access keys of a contact that an operator's latest act has disabled, and that still are. */
export async function findDisabledTogether(
  database: Queryable,
  contactId: string,
  operatorId: string,
): Promise<{ id: string }[]> {
  return await database.query<{ id: string }>(
    `WITH ended AS (
       SELECT k.id, e.at FROM access_keys k CROSS JOIN LATERAL (
         SELECT at, actor FROM audit_events WHERE target = k.id::text AND action = 'access_key.disable' ORDER BY at DESC LIMIT 1
       ) e WHERE k.contact = $1 AND NOT k.enabled AND e.actor = $2
     )
     SELECT id FROM ended WHERE at = (SELECT max(at) FROM ended) ORDER BY id`,
    [contactId, operatorId],
  );
}
