import { compare, isMembers, scopesOf } from './compare-documents.ts';
import type { Members, Thing } from './configuration-kind.ts';
import { paramsOf, type Target, type Work, within } from './configuration-work.ts';

/**
 * Takes away what integrations and ceilings are to lose before resource servers and ceilings change, because neither can
 * lose a scope that is still granted.
 */
export async function narrowFirst(work: Work, targets: readonly Target[]): Promise<void> {
  const of = (name: string) => targets.filter(({ kind }) => kind.name === name);
  const renamed = new Set(
    of('resource_server').flatMap(({ document }) =>
      ((document['scopes'] ?? []) as Members[]).map((scope) => String(scope['renamed_from'])),
    ),
  );
  const isNarrower = await narrowsAny(work, [...of('resource_server'), ...of('organization')]);
  if (!isNarrower) return;
  for (const target of of('integration')) {
    const thing = await find(work, target);
    if (thing) await within(target.index, () => narrowIntegration(work, target, thing, renamed));
  }
  for (const target of of('organization')) {
    const thing = await find(work, target);
    if (thing) await within(target.index, () => narrowCeiling(work, target, thing, renamed));
  }
}

/** Returns whether a resource server or a ceiling may lose scopes. */
async function narrowsAny(work: Work, targets: readonly Target[]): Promise<boolean> {
  for (const target of targets) {
    const thing = await find(work, target);
    if (!thing) continue;
    const fields = compare(target.kind, thing.document, target.document).map(({ field }) => field);
    if (fields.some((field) => ['information', 'scopes', 'ceiling'].includes(field))) return true;
  }
  return false;
}

/** Finds the thing that a document means; undefined also if it cannot be found yet. */
export async function find({ world }: Work, { kind, document }: Target): Promise<Thing | undefined> {
  // A document may refer to something that does not exist yet. The step of that document reports it.
  const found = await kind.match(await world.things(kind), document, world).catch(() => []);
  return found.length === 1 ? found[0] : undefined;
}

async function save(work: Work, { kind }: Target, thing: Thing, body: Members): Promise<void> {
  const key = `${kind.name}/${thing.id}`;
  if (!work.originals.has(key)) work.originals.set(key, thing.document);
  const { body: shown } = await work.world.call(`PATCH ${kind.path}`, { params: paramsOf(kind, thing.id), body });
  work.world.note(kind, thing.id, await work.world.toThing(kind, shown));
}

async function narrowIntegration(work: Work, target: Target, thing: Thing, renamed: Set<string>): Promise<void> {
  const wanted = new Set(scopesOf(target.document['scope']));
  const stays = (scope: string) => wanted.has(scope) || renamed.has(scope);
  const scope = scopesOf(thing.document['scope']);
  const kept = scope.filter(stays);
  if (kept.length === scope.length) return;
  const byDefault = thing.document['default_scope'];
  const isLonger = typeof byDefault === 'string' && !scopesOf(byDefault).every(stays);
  const shorter = isLonger ? { default_scope: scopesOf(byDefault).filter(stays).join(' ') } : {};
  await save(work, target, thing, { scope: kept.join(' '), ...shorter });
}

async function narrowCeiling(work: Work, target: Target, thing: Thing, renamed: Set<string>): Promise<void> {
  const listOf = (document: Members) => {
    const { ceiling } = document;
    return isMembers(ceiling) && Array.isArray(ceiling['scopes']) ? (ceiling['scopes'] as Members[]) : null;
  };
  const [has, wants] = [listOf(thing.document), listOf(target.document)];
  if (has === null) return;
  if (wants === null) return await save(work, target, thing, { ceiling: { scopes: null } });
  const scopes = has.flatMap(({ resource, scope }) => {
    const allowed = wants.filter((each) => each['resource'] === resource).flatMap((each) => scopesOf(each['scope']));
    const kept = scopesOf(scope).filter((each) => allowed.includes(each) || renamed.has(each));
    return kept.length === 0 ? [] : [{ resource, scope: kept.join(' ') }];
  });
  const isShorter = scopes.map(({ scope }) => scope).join(' ') !== has.map((each) => each['scope']).join(' ');
  if (isShorter) await save(work, target, thing, { ceiling: { scopes } });
}
