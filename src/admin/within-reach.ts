import { findOwnActors } from '../audit/own-actors.ts';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import { findPortalSettings } from '../organizations/organization-store.ts';
import { withinOrganization } from '../storage/organization-limit.ts';
import type { Endpoint } from './endpoint.ts';
import { contactLimitOf, type Operator } from './operator-auth.ts';

/** What stands for an operator whom people of an organization must not know. */
export const hiddenActor = 'provider';

/**
 * Returns an endpoint whose handler sees the database limited to the reach of its operator, and whose answer does not name
 * operators outside it.
 */
export function withinReach(core: Core, endpoint: Endpoint): Endpoint {
  return {
    ...endpoint,
    async handle(request) {
      const { operator } = request;
      const { organizationId } = operator;
      if (organizationId === null) return await endpoint.handle(request);
      const within = <T>(work: () => Promise<T>) =>
        withinOrganization(organizationId, work, contactLimitOf(operator, endpoint));
      try {
        const answer = await within(() => endpoint.handle(request));
        return { ...answer, body: await within(() => hideOthers(core, operator, answer.body)) };
      } catch (error) {
        // The review in a refusal names operators too.
        if (!(error instanceof KeyturnError) || !error.extension) throw error;
        const { extension } = error;
        throw Object.assign(error, { extension: await within(() => hideOthers(core, operator, extension)) });
      }
    },
  };
}

/** Members that name an operator. */
const nameMembers = [
  'created_by',
  'ended_by',
  'marked_by',
  'issued_by',
  'invited_by',
  'requested_by',
  'decided_by',
  'by',
];

/** Members of a notice that are sentences about `data.by`. */
const sentenceMembers = ['title', 'message', 'next_step'];

type Members = Record<string, unknown>;

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Calls `visit` for each object in a JSON value. */
function walk(value: unknown, visit: (members: Members) => void): void {
  if (Array.isArray(value)) for (const each of value) walk(each, visit);
  if (!isMembers(value)) return;
  visit(value);
  for (const each of Object.values(value)) walk(each, visit);
}

/** Returns a copy of a JSON value, of which `change` replaces each object. */
function copy(value: unknown, change: (members: Members) => Members): unknown {
  if (Array.isArray(value)) return value.map((each) => copy(each, change));
  if (!isMembers(value)) return value;
  return Object.fromEntries(Object.entries(change(value)).map(([name, each]) => [name, copy(each, change)]));
}

/**
 * Returns an answer without the names, ids and addresses of operators outside the organization, which is limited to now,
 * and without states in which something belonged to another organization.
 */
async function hideOthers(core: Core, { organizationId }: Operator, body: unknown): Promise<unknown> {
  const [ids, names] = [new Set<string>(), new Set<string>()];
  walk(body, (members) => {
    if (typeof members['actor'] === 'string' && 'actor_name' in members) ids.add(members['actor']);
    for (const member of nameMembers) if (typeof members[member] === 'string') names.add(members[member]);
  });
  if (ids.size + names.size === 0) return body;
  const own = await findOwnActors(core.database, { ids: [...ids], names: [...names] });
  const provider = (await findPortalSettings(core.unlimitedDatabase, organizationId ?? undefined)).name ?? '';
  const isOthers = (state: unknown) =>
    isMembers(state) && 'organization_id' in state && state['organization_id'] !== organizationId;
  return copy(body, (members) => {
    const shown = { ...members };
    for (const member of nameMembers) {
      if (typeof shown[member] === 'string' && !own.names.has(shown[member])) shown[member] = provider;
    }
    const by = isMembers(shown['data']) ? shown['data']['by'] : undefined;
    if (typeof by === 'string' && by !== '' && !own.names.has(by)) {
      for (const member of sentenceMembers) {
        if (typeof shown[member] === 'string') shown[member] = shown[member].replaceAll(by, provider);
      }
    }
    if (typeof shown['actor'] !== 'string' || !('actor_name' in shown)) return shown;
    if (!own.ids.has(shown['actor'])) Object.assign(shown, { actor: hiddenActor, actor_name: provider, address: null });
    for (const state of ['before', 'after']) if (isOthers(shown[state])) shown[state] = null;
    return shown;
  });
}
