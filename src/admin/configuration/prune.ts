import { labelOf } from './configuration-change.ts';
import { type Kind, maySee, type Thing } from './configuration-kind.ts';
import { paramsOf, type Work } from './configuration-work.ts';
import { findCuts } from './find-cuts.ts';

/** Deletes what the server has and no document means. */

/** Deletes integrations first, so that they hold no scopes that resource servers and ceilings are to lose. */
export async function pruneFirst(work: Work): Promise<void> {
  await prune(work, ['integration']);
  work.world.forget('trust');
}

/** Deletes the rest, in an order in which nothing refers to what is deleted. */
export async function pruneLast(work: Work): Promise<void> {
  await prune(work, ['trust', 'webhook', 'identity_provider', 'contact']);
  work.world.forget('integration', 'contact');
  await prune(work, ['organization', 'resource_server']);
}

async function prune(work: Work, names: readonly string[]): Promise<void> {
  for (const name of names) {
    if (!maySee(work.world.operator, name)) continue;
    const kind = work.world.kindOf(name);
    for (const thing of await work.world.things(kind)) {
      if (!work.meant.has(`${name}/${thing.id}`) && mayGo(work, kind, thing)) await remove(work, kind, thing);
    }
  }
}

/** Nothing deletes the deployment, the operator who applies the configuration, or the organization of that operator. */
function mayGo({ world: { operator } }: Work, kind: Kind, { id, shown }: Thing): boolean {
  if (kind.name === 'organization') return shown['is_deployment'] !== true && operator.organizationId === null;
  return kind.name !== 'resource_server' || operator.organizationId === null ? id !== operator.id : false;
}

async function remove(work: Work, kind: Kind, thing: Thing): Promise<void> {
  const { world } = work;
  const label = labelOf(kind, thing.document, thing);
  const cuts = await findCuts(world, kind, thing, 'deleted');
  const params = paramsOf(kind, thing.id);
  try {
    if (kind.path === '/clients/{client_id}' || kind.name === 'organization') {
      await world.call(`POST ${kind.path}/disable`, { params });
    }
    await world.call(`DELETE ${kind.path}`, { params });
  } catch (error) {
    // No document can be named.
    if (error instanceof Error) error.message = `${kind.name} “${label.name}” cannot be deleted: ${error.message}`;
    throw error;
  }
  world.note(kind, thing.id, undefined);
  work.changes.add({ ...label, action: 'delete', fields: [], cuts, ...work.takeLacks(), document: null });
}
