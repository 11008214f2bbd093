import { Conflict, InvalidInput } from '../../errors.ts';
import { changeClient, presentCreated } from './change-with-review.ts';
import { authenticationFields } from './client-kinds.ts';
import { bodyOf, compare, isSame, withoutDefaults } from './compare-documents.ts';
import { type Change, collectChanges, labelOf, type NewSecret } from './configuration-change.ts';
import type { FieldChange, Kind, Members, Thing } from './configuration-kind.ts';
import { paramsOf, type Target, type Work, within } from './configuration-work.ts';
import { findCuts } from './find-cuts.ts';
import { find, narrowFirst } from './narrow-first.ts';
import { normalDocument } from './normal-document.ts';
import { tightening } from './policy-kind.ts';
import { pruneFirst, pruneLast } from './prune.ts';

/** Kinds that each organization has exactly one of. */
const settingKinds = ['notice_settings', 'policies'];

/** The order in which things depend on each other. */
export const kindOrder = [
  'resource_server',
  'organization',
  'contact',
  'identity_provider',
  'integration',
  'trust',
  'webhook',
  ...settingKinds,
];

/**
 * Makes what the documents say of the server, by endpoints of the admin API in the transaction of `world`.
 * @throws {KeyturnError} of the first document that is rejected, with paths that begin with its position.
 */
export async function carryOut(
  given: Pick<Work, 'world' | 'isPlan' | 'takeLacks'>,
  targets: readonly Target[],
  prunes: boolean,
): Promise<{ changes: Change[]; secrets: NewSecret[] }> {
  const work: Work = { ...given, changes: collectChanges(), secrets: [], originals: new Map(), meant: new Map() };
  const of = (name: string) => targets.filter(({ kind }) => kind.name === name);
  if (prunes) {
    for (const target of targets) await within(target.index, () => noteMeant(work, target, true));
    await pruneFirst(work);
    work.meant.clear();
  }
  for (const target of of('policies')) {
    // A new organization has no policies that could stand in the way of the other documents.
    if (await find(work, target)) await within(target.index, () => apply(work, target, tightening(target.document)));
  }
  await narrowFirst(work, targets);
  for (const target of of('resource_server')) await within(target.index, () => apply(work, target, ['owner']));
  for (const target of [...of('organization'), ...of('contact'), ...of('resource_server')]) {
    await within(target.index, () => apply(work, target, []));
  }
  for (const name of kindOrder.slice(3)) {
    for (const target of of(name)) await within(target.index, () => apply(work, target, waitingFor(target)));
    // A client can authenticate with a trust only when that exists.
    if (name !== 'trust') continue;
    for (const target of of('integration')) {
      if (waitingFor(target).length > 0) await within(target.index, () => apply(work, target, []));
    }
  }
  if (prunes) await pruneLast(work);
  return { changes: work.changes.list(), secrets: work.secrets };
}

/** Returns the members of an integration that change only after its trusts. */
function waitingFor({ kind, document }: Target): readonly string[] {
  return kind.name === 'integration' && document['auth_method'] === 'workload_identity' ? authenticationFields : [];
}

/** Finds the thing that a document means. @throws {InvalidInput} if it is several, or that of another document. */
async function noteMeant(work: Work, { index, kind, document }: Target, isEarly = false): Promise<Thing | undefined> {
  const { world, meant } = work;
  const found = await kind.match(await world.things(kind), document, world).catch((error: unknown) => {
    // Another document may create the thing that this one refers to.
    if (isEarly && error instanceof InvalidInput) return [];
    throw error;
  });
  const [thing] = found;
  if (found.length > 1) {
    throw new InvalidInput(
      `name: ${found.length} things of the kind ${kind.name} have this name. Rename one, or give its ID.`,
    );
  }
  if (!thing) {
    if (kind.name !== 'identity_provider' && document['client_id'] !== undefined && !isEarly) {
      throw new InvalidInput('client_id: there is no client with this Client ID.');
    }
    return undefined;
  }
  const key = `${kind.name}/${thing.id}`;
  if ((meant.get(key) ?? index) !== index)
    throw new InvalidInput('name: another document already means the same thing.');
  meant.set(key, index);
  return thing;
}

/** Creates or changes what a document means. @param later members that another step sets. */
async function apply(work: Work, target: Target, later: readonly string[]): Promise<void> {
  const { kind, index } = target;
  const { world } = work;
  const thing = await noteMeant(work, target);
  const document = await normalDocument(kind, target.document, world, later);
  // A new client needs its authentication at once.
  if (!thing) await create(work, target, { ...document, ...kept(target.document, authenticationFields) });
  else
    await change(
      work,
      { index, kind, document: { ...document, ...kept(thing.document, later) } },
      thing,
      target.document,
    );
}

function kept(document: Members, names: readonly string[]): Members {
  return Object.fromEntries(names.map((name) => [name, document[name]]));
}

async function create(work: Work, { kind, index, document: given }: Target, document: Members): Promise<void> {
  const { world } = work;
  if (!kind.create || given['is_deployment'] === true) throw new InvalidInput('organization: not found.');
  const wanted = withoutDefaults(kind, document);
  const secret = given['client_secret'] ?? (work.isPlan && document['client_secret_env'] ? 'planned' : undefined);
  if (document['client_secret_env'] !== undefined && secret === undefined) throw secretMissing();
  const body = await kind.write(
    { ...wanted, ...(secret === undefined ? {} : { client_secret: secret }) },
    world,
    document,
  );
  const { body: answer } = await world.call(kind.create, { body });
  const id = String(kind.idOf(answer));
  const label = labelOf(kind, document);
  work.secrets.push(...presentCreated(answer, label, id));
  const status = document['status'];
  await finish(work, kind, id, document, kind.hasActs && status === 'disabled' ? status : undefined);
  work.meant.set(`${kind.name}/${id}`, index);
  const fields = Object.entries(wanted)
    .filter(([field]) => !['kind', 'name', 'organization', 'client'].includes(field))
    .map(([field, after]) => ({ field, before: null, after }));
  work.changes.add({ ...label, action: 'create', fields, cuts: [], ...work.takeLacks(), document: index });
}

async function change(work: Work, { kind, index, document }: Target, thing: Thing, given: Members): Promise<void> {
  const { world } = work;
  const original = work.originals.get(`${kind.name}/${thing.id}`) ?? thing.document;
  const fields = compare(kind, thing.document, document);
  const shown = compare(kind, original, document);
  if (fields.length === 0 && shown.length === 0) return;
  const cuts = await findCuts(world, kind, thing, shown);
  if (fields.length > 0) {
    const { body: fresh, revision } = kind.setting
      ? { body: thing.shown, revision: '' }
      : await world.call(`GET ${kind.path}`, { params: paramsOf(kind, thing.id) });
    const now = await world.toThing(kind, fresh);
    if (!isSame(now?.document, thing.document)) throw changed();
    const rest = fields.filter(({ field }) => field !== 'status' || !kind.hasActs);
    cuts.push(...(await patch(work, kind, thing, rest, document, given, revision)));
    const status = fields.find(({ field }) => field === 'status')?.after;
    await finish(work, kind, thing.id, document, kind.hasActs ? status : undefined);
  }
  const label = labelOf(kind, document, thing);
  work.changes.add({ ...label, action: 'update', fields: shown, cuts, ...work.takeLacks(), document: index });
}

async function patch(
  work: Work,
  kind: Kind,
  thing: Thing,
  fields: readonly FieldChange[],
  document: Members,
  given: Members,
  revision: string,
) {
  const { world } = work;
  if (fields.length === 0) return [];
  const members = bodyOf(kind, fields);
  if (fields.some(({ field, after }) => field === 'client_secret_env' && after !== null)) {
    members['client_secret'] = given['client_secret'] ?? (work.isPlan ? 'planned' : undefined);
    if (members['client_secret'] === undefined) throw secretMissing();
  }
  if (members['scopes'] !== undefined) members['scopes'] = withRenames(given['scopes'], thing);
  if (kind.path === '/clients/{client_id}') return await changeClient(work, kind, thing, members, document, revision);
  const body = await kind.write(members, world, document);
  if (kind.setting) await kind.setting.change(body, thing, world);
  else await world.call(`PATCH ${kind.path}`, { params: paramsOf(kind, thing.id), body }, revision);
  return [];
}

/** Returns scopes with those of their earlier names that the resource server still has. */
function withRenames(scopes: unknown, { document }: Thing): unknown {
  const names = new Set(((document['scopes'] ?? []) as Members[]).map(({ name }) => name));
  return ((scopes ?? []) as Members[]).map(({ renamed_from: from, ...scope }) => ({
    ...scope,
    ...(names.has(from) && from !== scope['name'] ? { renamed_from: from } : {}),
  }));
}

/** Sets the status, and checks that the server now has what the document says, so that a second time changes nothing. */
async function finish(work: Work, kind: Kind, id: string, document: Members, status: unknown): Promise<void> {
  const { world } = work;
  const params = paramsOf(kind, id);
  if (status !== undefined) {
    await world.call(`POST ${kind.path}/${status === 'disabled' ? 'disable' : 'enable'}`, { params });
  }
  // The scopes of others follow those of a resource server that are renamed.
  if (kind.name === 'resource_server') world.forget('integration', 'organization', ...settingKinds);
  // Documents name organizations and contacts.
  if (kind.name === 'organization')
    world.forget('contact', 'integration', 'identity_provider', 'webhook', ...settingKinds);
  if (kind.name === 'contact') world.forget('resource_server', 'integration');
  const { body } = await world.call(`GET ${kind.path}`, { params });
  const thing = await world.toThing(kind, body);
  world.note(kind, id, thing);
  const [different] = compare(kind, thing?.document ?? {}, document);
  if (different) throw new InvalidInput(`${different.field}: the server cannot change it to this value.`);
}

function changed(): Conflict {
  return new Conflict('configuration_changed', 'Changed by someone else in the meantime. Run it again.');
}

function secretMissing(): InvalidInput {
  return new InvalidInput('client_secret_env: the environment variable with the client secret is not set.');
}
