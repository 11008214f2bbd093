import type { Visit } from '../../page.ts';
import type { Listed, ShownClient } from '../../shown.ts';

/** A resource server and the kinds of information that its scopes cover. */
export type Offer = { name: string; resource: string; information: readonly string[] };

/** Returns the first 200 resource servers, or undefined if the operator lacks `integrations:view`. */
export async function readOffers(visit: Visit): Promise<Offer[] | undefined> {
  if (!visit.can('integrations:view')) return undefined;
  const { body } = await visit.call<Listed<ShownClient>>('GET /clients', {
    query: { kind: 'resource_server', limit: '200' },
  });
  return body.data.map(({ name, resource, information }) => ({ name, resource: resource ?? '', information }));
}
