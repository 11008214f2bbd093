import { listAccessKeys } from '../access-keys/access-key-store.ts';
import { listClients } from '../clients/client-store.ts';
import { listContacts, nameContacts } from '../contacts/contact-store.ts';
import { listOrganizations } from '../organizations/organization-store.ts';
import type { Queryable, Row } from '../storage/database.ts';
import { createdKey, isLimited } from '../storage/organization-limit.ts';

/** Kinds of things that a search finds, in the order in which they are shown. */
export const foundKinds = ['integration', 'resource_server', 'contact', 'organization', 'access_key'] as const;

/** One thing that a search has found. */
export type Found = {
  kind: (typeof foundKinds)[number];
  /** The Client ID, or the id of the access key, contact or organization. */
  id: string;
  name: string;
  /** A detail that distinguishes things of one name, or the reason why the thing was found. */
  detail: string;
};

/** What a search has found. @property unfinished kinds of which only a part was compared, because the words are common. */
export type SearchResult = { found: Found[]; unfinished: ReadonlySet<Found['kind']> };

/** Longest list of one kind. */
export const maxFound = 50;

/**
 * Finds clients, access keys, contacts and organizations by the beginnings of words in a name or e-mail address, by an external id, by
 * the beginning or end of a Client ID in any case, by the last four characters of a secret or key, and by the address of
 * a source. Every query reads a bounded number of rows through an index.
 * @param limit maximum number of things of each kind, up to 50.
 * @returns one thing more than `limit` of a kind if there are more.
 */
export async function search(database: Queryable, text: string, now: Date, limit: number): Promise<SearchResult> {
  const q = text.trim();
  const found: Found[] = [];
  const unfinished = new Set<Found['kind']>();
  const page = (kind: Found['kind']) => ({ limit, onCut: () => void unfinished.add(kind) });
  for (const kind of ['integration', 'resource_server'] as const) {
    const clients = await listClients(database, { q, kind, ...page(kind) });
    found.push(
      ...clients.map(({ client }) => ({ kind, id: client.clientId, name: client.name, detail: client.clientId })),
    );
  }
  found.push(...(await findClientsByPart(database, q, limit)));
  const hinted = /^\w{4}$/.test(q) ? await listAccessKeys(database, { q: `…${q}`, now, limit }) : [];
  const named = await listAccessKeys(database, { q, now, ...page('access_key') });
  const all = [...hinted, ...named];
  const contactNames = await nameContacts(
    database,
    all.map(({ key }) => key.contactId),
  );
  found.push(
    ...all.map(({ key }) => ({
      kind: 'access_key' as const,
      id: key.id,
      name: key.name,
      detail: contactNames.get(key.contactId) ?? '',
    })),
  );
  const contacts = await listContacts(database, { q, ...page('contact') });
  found.push(...contacts.map(({ id, name, email }) => ({ kind: 'contact' as const, id, name, detail: email })));
  const organizations = await listOrganizations(database, { q, ...page('organization') });
  found.push(
    ...organizations.map(({ id, name, externalId }) => ({
      kind: 'organization' as const,
      id,
      name,
      detail: externalId ?? id,
    })),
  );
  if (/^[\d.:a-f]*[.:][\d.:a-f]*$/i.test(q)) {
    found.push(...(await findByAddress(database, q, limit)));
    for (const kind of await findUncompared(database)) unfinished.add(kind);
  }
  const first = foundKinds.flatMap((kind) => {
    const ofKind = found.filter((each) => each.kind === kind);
    return [...new Map(ofKind.map((each) => [each.id, each])).values()].slice(0, limit + 1);
  });
  return { found: first, unfinished };
}

/** Number of the newest clients or access keys of an organization of which everything is compared. */
const maxNewest = 2_000;

/**
 * Returns the newest rows of a limited operator's organization, in SQL; none for other operators. Row-level security
 * prevents the use of an index for parts of an address or of a previous Client ID.
 */
const newest = (table: 'clients' | 'access_keys') =>
  // Without a limit the rows are not read, but the index of the order keeps the plan of the whole statement fast.
  `(SELECT * FROM ${table} WHERE ${isLimited} ORDER BY ${createdKey()} DESC, id DESC LIMIT ${maxNewest})`;

/** Returns the kinds of which a limited operator's organization has more things than are compared. */
async function findUncompared(database: Queryable): Promise<Found['kind'][]> {
  const rows = await database.query<Row & { kind: Found['kind'] }>(
    `SELECT 'integration' AS kind WHERE ${isLimited} AND EXISTS (SELECT FROM clients OFFSET ${maxNewest})
     UNION ALL SELECT 'access_key' WHERE ${isLimited} AND EXISTS (SELECT FROM access_keys OFFSET ${maxNewest})`,
  );
  return rows.map(({ kind }) => kind);
}

type ClientRow = Row & { client_id: string; name: string; kind: 'integration' | 'resource_server'; detail: string };

/** Finds clients by the beginning or end of any of their Client IDs, or by the last four characters of a secret. */
async function findClientsByPart(database: Queryable, q: string, limit: number): Promise<Found[]> {
  if (!/^\S{3,100}$/.test(q)) return [];
  const part = q.replace(/^…/, '');
  const lower = part.toLowerCase();
  const rows = await database.query<ClientRow>(
    // The order makes the planner use the index, also if it expects that most rows match.
    `SELECT c.client_id, c.name, c.kind, f.detail FROM (
       (SELECT client AS id, client_id AS detail FROM client_ids WHERE NOT ${isLimited} AND lower(client_id) LIKE $1 ORDER BY lower(client_id) USING ~<~ LIMIT $5)
       UNION (SELECT client, client_id FROM client_ids WHERE NOT ${isLimited} AND lower(client_id) LIKE $2 ORDER BY lower(client_id) USING ~<~ LIMIT $5)
       UNION (SELECT client, client_id FROM client_ids WHERE NOT ${isLimited} AND reverse(lower(client_id)) LIKE $3 ORDER BY reverse(lower(client_id)) USING ~<~ LIMIT $5)
       UNION (SELECT * FROM own_client_ids($6, $5::integer) WHERE ${isLimited})
       UNION (SELECT c.id, i.client_id FROM ${newest('clients')} c
         CROSS JOIN LATERAL (SELECT client_id FROM client_ids WHERE client = c.id OFFSET 0) i
         WHERE lower(i.client_id) LIKE ANY (ARRAY[$1, $2]) OR reverse(lower(i.client_id)) LIKE $3 LIMIT $5)
       UNION (SELECT client, 'secret …' || hint FROM secrets WHERE client IS NOT NULL AND hint = $4 LIMIT $5)
     ) f CROSS JOIN LATERAL (SELECT * FROM clients WHERE id = f.id LIMIT 1) c`,
    [beginning(lower), beginning(`kti_${lower}`), beginning([...lower].reverse().join('')), part, limit + 1, lower],
  );
  return rows.map(({ kind, client_id: id, name, detail }) => ({ kind, id, name, detail }));
}

/** Returns a LIKE pattern for texts with this beginning. */
function beginning(text: string): string {
  return `${text.replace(/[\\%_]/g, '\\$&')}%`;
}

const maxSources = 200;

/** Finds clients and access keys with a source whose address begins with this text. */
async function findByAddress(database: Queryable, q: string, limit: number): Promise<Found[]> {
  const rows = await database.query<Row & { kind: Found['kind']; id: string; name: string; address: string }>(
    `SELECT o.kind, o.id, o.name, s.address FROM (
       SELECT DISTINCT owner, address FROM (
         SELECT owner, address FROM usage_sources WHERE NOT ${isLimited} AND address LIKE $1 LIMIT ${maxSources}
       ) a
       UNION (
         SELECT s.owner, s.address FROM (
           SELECT id FROM ${newest('clients')} c UNION ALL SELECT id FROM ${newest('access_keys')} k
         ) n CROSS JOIN LATERAL (SELECT owner, address FROM usage_sources WHERE owner = n.id AND address LIKE $1 LIMIT 1) s
         LIMIT ${maxSources}
       )
     ) s CROSS JOIN LATERAL (
       SELECT kind, client_id AS id, name FROM clients WHERE id = s.owner
       UNION ALL SELECT 'access_key', id::text, name FROM access_keys WHERE id = s.owner LIMIT 1
     ) o LIMIT $2`,
    [beginning(q.toLowerCase()), (limit + 1) * 3],
  );
  return rows.map(({ kind, id, name, address }) => ({ kind, id, name, detail: `source ${address}` }));
}
