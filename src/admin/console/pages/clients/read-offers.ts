import type { Visit } from '../../page.ts';
import type { Listed, ShownClient } from '../../shown.ts';

/** A resource server, and the kinds of information that it offers. */
export type Offer = { name: string; resource: string; information: readonly string[] };

/** What can be granted. Undefined for somebody who may not look at resource servers. */
export async function readOffers(visit: Visit): Promise<Offer[] | undefined> {
  if (!visit.can('integrations:view')) return undefined;
  const { body } = await visit.call<Listed<ShownClient>>('GET /clients', {
    query: { kind: 'resource_server', limit: '200' },
  });
  return body.data.map(({ name, resource, information }) => ({ name, resource: resource ?? '', information }));
}
