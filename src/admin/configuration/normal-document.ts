import { normalScopes } from './client-kinds.ts';
import { isMembers, pick } from './compare-documents.ts';
import type { Kind, Members, World } from './configuration-kind.ts';
import { secretVariable } from './people-kinds.ts';

/**
 * Returns a document in the form in which `read` of its kind returns what the server has.
 * @param later members that are not looked at, because they may name something that is created later.
 * @throws {InvalidInput} if it names something that does not exist.
 */
export async function normalDocument(
  kind: Kind,
  document: Members,
  world: World,
  later: readonly string[],
): Promise<Members> {
  const { organization, owner, client, scopes, grants, portal, client_secret: _secret, ...same } = document;
  const hasOrganization = 'organization' in kind.schema.shape;
  const normal: Members = { ...same };
  if (hasOrganization) normal['organization'] = await world.organizationName(await world.organizationId(organization));
  if (owner !== undefined && owner !== null && !later.includes('owner')) {
    normal['owner'] = await world.contactName(await world.contactId(owner, organization));
  }
  if (client !== undefined) {
    normal['client'] = (await world.clientName(await world.clientId(client, organization))).client;
  }
  if (scopes !== undefined) normal['scopes'] = normalScopes(scopes);
  if (Array.isArray(grants)) normal['grants'] = await normalGrants(grants as Members[], world);
  if (isMembers(portal)) {
    const { accent_color: color } = portal;
    normal['portal'] = { ...portal, ...(typeof color === 'string' ? { accent_color: color.toLowerCase() } : {}) };
  }
  if (kind.name === 'identity_provider' && document['client_secret_env'] !== undefined) {
    normal['client_secret_env'] = secretVariable(document['name']);
  }
  return Object.fromEntries(Object.entries(normal).filter(([name]) => !later.includes(name)));
}

async function normalGrants(grants: readonly Members[], world: World): Promise<Members[]> {
  const normal: Members[] = [];
  for (const grant of grants) {
    const { organization } = grant;
    const named =
      organization === undefined ? undefined : await world.organizationName(await world.organizationId(organization));
    normal.push(pick({ ...grant, organization: named }, ['value', 'permissions', 'organization']));
  }
  return normal;
}
