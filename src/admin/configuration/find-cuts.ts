import type { Queryable } from '../../storage/database.ts';
import { nameOfSource } from './change-with-review.ts';
import { isMembers, scopesOf } from './compare-documents.ts';
import type { Cut, User } from './configuration-change.ts';
import type { FieldChange, Kind, Members, Thing, World } from './configuration-kind.ts';

/** Finds what is lost by a change, and who used it in the last 30 days. */

const usedWithinMs = 30 * 86_400_000;

/** Returns what a value has and the other has not. */
function lost(before: unknown, after: unknown): string[] {
  const list = (value: unknown) => (Array.isArray(value) ? value.map((each) => JSON.stringify(each)) : []);
  const kept = new Set(list(after));
  return list(before)
    .filter((each) => !kept.has(each))
    .map((each) => each.replace(/^"|"$/g, ''));
}

type Describe = (before: unknown, after: unknown) => string | undefined;

const becomes =
  (value: unknown, what: string): Describe =>
  (_, after) =>
    after === value ? what : undefined;
const changes =
  (what: string): Describe =>
  () =>
    what;
const loses =
  (what: string): Describe =>
  (before, after) => {
    const gone = lost(before, after);
    return gone.length > 0 ? `${what} ${gone.join(', ')}` : undefined;
  };

/** Descriptions of what is lost by a change of a member, by kind. Changes of other members take nothing away. */
const cutting: Readonly<Record<string, Readonly<Record<string, Describe>>>> = {
  resource_server: {
    status: becomes('disabled', 'it is disabled, and can introspect no tokens'),
    resource: changes('its identifier changes, and tokens for the previous one are not accepted'),
    token_format: changes('its access tokens have another format'),
    token_typ: changes('its access tokens have another `typ`'),
  },
  integration: {
    status: becomes('disabled', 'it is disabled, and its tokens are revoked'),
    scope: (before, after) => loses('it loses the scopes')(scopesOf(before), scopesOf(after)),
    default_scope: (before, after) =>
      typeof after === 'string' && (before === null || lost(scopesOf(before), scopesOf(after)).length > 0)
        ? 'token requests without `scope` get less'
        : undefined,
    access_key: becomes('required', 'each token request needs an access key'),
    resource: changes('token requests that name no resource are for another one'),
    organization: changes('it moves to another organization'),
    tls_client_certificate_bound_access_tokens: becomes(true, 'its tokens are bound to its certificate'),
    dpop_bound_access_tokens: becomes(true, 'each token request needs a DPoP proof'),
    self_rotation: becomes(false, 'it can no longer rotate its own credential'),
    dialects: loses('deviations are no longer accepted:'),
    allowed_networks: changes('it may be used from other networks'),
    network_mode: becomes('enforce', 'requests from outside its networks are rejected'),
  },
  contact: {
    permissions: loses('the contact loses the permissions'),
    organization: changes('the contact moves to another organization'),
  },
  trust: {
    enabled: becomes(false, 'its tokens are not accepted any more'),
    issuer: changes('it trusts another issuer'),
    audience: changes('its tokens need another audience'),
    conditions: changes('its tokens must meet other conditions'),
    max_lifetime: (before, after) => (Number(after) < Number(before) ? 'its tokens must end earlier' : undefined),
    jwks: changes('the keys of its issuer change'),
    jwks_uri: changes('the keys of its issuer are elsewhere'),
    in_cluster: changes('the keys of its issuer are elsewhere'),
  },
  webhook: {
    status: becomes('disabled', 'nothing is delivered to it'),
    url: changes('events are sent to another address'),
    kinds: (before, after) =>
      Array.isArray(after) && (before === null || lost(before, after).length > 0) ? 'it gets fewer events' : undefined,
  },
  identity_provider: {
    status: becomes('disabled', 'people can no longer sign in there'),
    issuer: changes('people sign in elsewhere'),
    client_id: changes('Keyturn has another Client ID there'),
    client_secret_env: becomes(null, 'Keyturn has no client secret there any more'),
    claim: changes('another claim decides on permissions'),
    grants: loses('people lose the grants'),
    acr_values: changes('other authentication contexts are required'),
  },
  organization: {
    status: becomes('disabled', 'it is disabled, and none of its credentials is accepted'),
    ceiling: (before, after) =>
      isMembers(before) && isMembers(after) && before['reveal'] !== false && after['reveal'] === false
        ? 'the stored copies of its secrets are deleted'
        : undefined,
  },
};

/** @param fields the members that differ, or `deleted`. */
export async function findCuts(
  world: World,
  kind: Kind,
  thing: Thing,
  fields: readonly FieldChange[] | 'deleted',
): Promise<Cut[]> {
  const described =
    fields === 'deleted'
      ? [{ what: 'it is deleted', field: undefined }]
      : fields.flatMap(({ field, before, after }) => {
          const what = cutting[kind.name]?.[field]?.(before, after);
          return what === undefined ? [] : [{ what, field: { field, before, after } }];
        });
  if (described.length === 0) return [];
  const users = await findUsers(world, kind, thing);
  const cuts: Cut[] = [];
  for (const { what, field } of described) {
    const isUnused = kind.name === 'integration' && field?.field === 'scope' && (await areUnused(world, thing, field));
    cuts.push({ what, used_by: isUnused ? [] : users });
  }
  return cuts;
}

/** Returns whether none of the scopes that an integration loses was granted. Only the use of declared names is counted. */
async function areUnused({ database, now, ...world }: World, { id }: Thing, { before, after }: FieldChange) {
  const gone = lost(scopesOf(before), scopesOf(after));
  const servers = await world.things(world.kindOf('resource_server'));
  const declared = new Set(
    servers.flatMap(({ document }) =>
      ((document['scopes'] ?? []) as Members[]).flatMap(({ name, aliases }) => [name, ...((aliases as []) ?? [])]),
    ),
  );
  if (!gone.every((scope) => declared.has(scope))) return false;
  const rows = await database.query(
    `SELECT 1 FROM client_scopes u JOIN client_ids i ON i.client = u.client
     WHERE i.client_id = $1 AND u.scope = ANY ($2::text[]) AND u.last_used_at >= $3 LIMIT 1`,
    [id, gone, new Date(now - usedWithinMs)],
  );
  return rows.length === 0;
}

const maxUsers = 20;

async function findUsers(world: World, kind: Kind, thing: Thing): Promise<User[]> {
  const users = await findAllUsers(world, kind, thing);
  const since = new Date(world.now - usedWithinMs).toISOString();
  return users
    .filter(({ last_used_at: at }) => at >= since)
    .sort((one, other) => (one.last_used_at < other.last_used_at ? 1 : -1))
    .slice(0, maxUsers);
}

async function findAllUsers(world: World, kind: Kind, { id, shown }: Thing): Promise<User[]> {
  switch (kind.name) {
    case 'resource_server':
    case 'integration':
      return await findSources(world, id, () => true);
    case 'trust':
      return await findSources(world, String(shown['client_id']), (thumbprint) => thumbprint === id);
    case 'contact':
      return await usersFrom(world.database, actsOfContact, [id]);
    case 'identity_provider':
      return await usersFrom(world.database, peopleOfProvider, [id]);
    case 'webhook':
      return used(String(shown['url']), shown['last_success_at']);
    case 'organization': {
      const clients = await world.things(world.kindOf('integration'));
      const own = clients.filter((client) => client.shown['organization_id'] === id);
      return own.flatMap((client) => used(String(client.shown['name']), client.shown['last_used_at']));
    }
    default:
      return [];
  }
}

function used(name: string, at: unknown): User[] {
  return typeof at === 'string' ? [{ name, last_used_at: at }] : [];
}

type ShownSource = { address: string; user_agent: string; last_used_at: string | null };
type ShownUsage = {
  without_secret: { sources: ShownSource[] };
  secrets: { sources: ShownSource[] }[];
  keys: { thumbprint: string; sources: ShownSource[] }[];
};

/** Finds where requests with the credentials of a client came from. @param isMeant selects keys by their thumbprint. */
async function findSources({ call }: World, clientId: string, isMeant: (thumbprint: string) => boolean) {
  const request = { params: { client_id: clientId }, query: { hours: '720' } };
  const { body } = await call<ShownUsage>('GET /clients/{client_id}/usage', request);
  const isWhole = isMeant('');
  const all = [
    ...(isWhole ? [body.without_secret, ...body.secrets] : []),
    ...body.keys.filter(({ thumbprint }) => isMeant(thumbprint)),
  ].flatMap(({ sources }) => sources);
  const latest = new Map<string, string>();
  for (const source of all) {
    const name = nameOfSource(source);
    const at = source.last_used_at;
    if (at !== null && at > (latest.get(name) ?? '')) latest.set(name, at);
  }
  return [...latest].map(([name, at]) => ({ name, last_used_at: at }));
}

const actsOfContact = `
  SELECT c.name, max(u.at) AS at FROM contacts c CROSS JOIN LATERAL (
    SELECT max(at) AS at FROM audit_events WHERE actor = c.id::text
    UNION ALL SELECT max(last_seen_at) FROM console_sessions WHERE contact = c.id
    UNION ALL SELECT max(last_used_at) FROM bounded_tokens WHERE contact = c.id
  ) u WHERE c.id = $1 GROUP BY c.name`;
const peopleOfProvider = `
  SELECT c.name, max(s.last_seen_at) AS at FROM console_sessions s JOIN contacts c ON c.id = s.contact
  WHERE s.provider = $1 GROUP BY c.name`;

async function usersFrom(database: Queryable, sql: string, parameters: readonly unknown[]): Promise<User[]> {
  const rows = await database.query<{ name: string; at: Date | null }>(sql, parameters);
  return rows.flatMap(({ name, at }) => used(name, at?.toISOString()));
}
