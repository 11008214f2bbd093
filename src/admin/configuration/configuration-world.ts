import { InvalidInput, invalidField } from '../../errors.ts';
import { deploymentOrganization } from '../../storage/organization-limit.ts';
import { withoutDefaults } from './compare-documents.ts';
import type { Call, Kind, Members, Thing, World } from './configuration-kind.ts';

/** @param call calls an endpoint of the admin API in the transaction. */
export function createWorld(
  call: Call,
  kinds: readonly Kind[],
  given: Pick<World, 'database' | 'operator' | 'now'>,
): World {
  const lists = new Map<string, Members[]>();
  const built = new Map<string, Thing[]>();
  const home = given.operator.organizationId ?? deploymentOrganization;

  async function shown(name: string): Promise<Members[]> {
    const known = lists.get(name);
    if (known) return known;
    const read = await listAll(call, world.kindOf(name));
    lists.set(name, read);
    return read;
  }

  /** Returns the only one of several with a name. */
  function only(found: readonly Members[], field: string, noun: string, name: string): Members {
    const [first] = found;
    if (!first) throw invalidField(field, `there is no ${noun} “${name}”`);
    if (found.length > 1) throw invalidField(field, `${found.length} ${noun}s have the name “${name}”`);
    return first;
  }

  const named = (list: readonly Members[], name: string) => {
    const byId = list.filter((each) => each['external_id'] === name);
    return byId.length > 0 ? byId : list.filter((each) => each['name'] === name);
  };
  const nameOf = (each: Members | undefined) => each && String(each['external_id'] ?? each['name']);

  const world: World = {
    ...given,
    call,
    home,
    kindOf: (name) => {
      const kind = kinds.find((each) => each.name === name);
      if (!kind) throw new InvalidInput(`kind: ${name} is not known.`);
      return kind;
    },
    async things(kind) {
      const known = built.get(kind.name);
      if (known) return known;
      const things: Thing[] = [];
      for (const each of await shown(kind.name)) things.push(...[(await world.toThing(kind, each)) ?? []].flat());
      built.set(kind.name, things);
      return things;
    },
    async toThing(kind, each) {
      const id = kind.idOf(each);
      return id === undefined
        ? undefined
        : { id, shown: each, document: withoutDefaults(kind, await kind.read(each, world)) };
    },
    note(kind, id, thing) {
      const other = (one: Members) => kind.idOf(one) !== id;
      const list = lists.get(kind.name);
      if (list) lists.set(kind.name, [...list.filter(other), ...(thing ? [thing.shown] : [])]);
      const things = built.get(kind.name);
      if (things) built.set(kind.name, [...things.filter((each) => each.id !== id), ...(thing ? [thing] : [])]);
    },
    forget(...names) {
      for (const name of names) {
        lists.delete(name);
        built.delete(name);
      }
    },
    async organizationId(name) {
      if (name === undefined || name === null) return home;
      return String(
        only(named(await shown('organization'), String(name)), 'organization', 'organization', String(name))['id'],
      );
    },
    async organizationName(id) {
      if (id === deploymentOrganization) return undefined;
      return nameOf((await shown('organization')).find((each) => each['id'] === id));
    },
    async contactId(name, organization) {
      const own = await world.organizationId(organization);
      const contacts = await shown('contact');
      const found = [own, deploymentOrganization]
        .map((id) =>
          named(
            contacts.filter((each) => each['organization_id'] === id),
            String(name),
          ),
        )
        .find((list) => list.length > 0);
      return String(only(found ?? [], 'owner', 'contact', String(name))['id']);
    },
    contactName: async (id) => nameOf((await shown('contact')).find((each) => each['id'] === id)),
    async clientId(name, organization) {
      const own = await world.organizationId(organization);
      const ofOrganization = (await shown('integration')).filter((each) => each['organization_id'] === own);
      const byId = ofOrganization.filter((each) => each['client_id'] === name);
      const found = byId.length > 0 ? byId : ofOrganization.filter((each) => each['name'] === name);
      return String(only(found, 'client', 'integration', String(name))['client_id']);
    },
    async clientName(clientId) {
      const clients = await shown('integration');
      const client = clients.find((each) => each['client_id'] === clientId) ?? {};
      const { name, organization_id: id } = client;
      const isUnique = clients.filter((each) => each['name'] === name && each['organization_id'] === id).length === 1;
      return { client: String(isUnique ? name : clientId), organization: await world.organizationName(id) };
    },
  };
  return world;
}

async function listAll(call: Call, { list, query }: Kind): Promise<Members[]> {
  const all: Members[] = [];
  let cursor: string | undefined;
  do {
    const { body } = await call<{ data: Members[]; next_cursor?: string | null }>(list, {
      query: { ...query, cursor },
    });
    all.push(...body.data);
    cursor = body.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return all;
}
