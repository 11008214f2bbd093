import { z } from 'zod';
import { type Ceiling, noCeiling } from '../../clients/ceiling.ts';
import type { Client } from '../../clients/client.ts';
import { listResourceServers } from '../../clients/client-store.ts';
import { generatedScopes, isHeld, offeredScopes } from '../../clients/offered-scopes.ts';
import type { Core } from '../../core.ts';
import { findOrganization } from '../../organizations/organization-store.ts';
import { organizationFilter } from '../details-schemas.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { organizationFor } from '../operator-auth.ts';
import { presentScopes } from '../presenters/present-client.ts';
import { shownScopes } from '../scope-schemas.ts';
import { resourceUri } from '../text.ts';

export const offerSchema = z
  .strictObject({
    resource: resourceUri,
    name: z.string().meta({ description: 'The name of the API.' }),
    scope: z.string().meta({ description: 'The scopes that may be granted, separated by spaces.' }),
    information: z.array(z.string()).meta({ description: 'The kinds of information of these scopes.' }),
    scopes: shownScopes.meta({ description: 'Those of these scopes that the API names itself.' }),
  })
  .meta({ id: 'Offer', description: 'An API, and the scopes of it that may be granted.' });

export function offerEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/offers',
      operationId: 'listOffers',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List the APIs, and the scopes of them that integrations and access keys of an organization may have',
      query: z.strictObject({
        organization_id: organizationFilter.meta({
          description: 'The organization, whose ceiling limits what is listed. By default, that of the operator.',
        }),
      }),
      answers: {
        200: z.strictObject({ data: z.array(offerSchema).meta({ description: 'The APIs, oldest first.' }) }),
      },
      handle: async ({ operator, query }) => {
        const id = organizationFor(operator, query.organization_id);
        const organization = id === undefined ? undefined : await findOrganization(core.database, id);
        const servers = await listResourceServers(core.database);
        return { status: 200, body: { data: offersWithin(organization?.ceiling ?? noCeiling, servers) } };
      },
    }),
  ];
}

function offersWithin({ scopes: allowed }: Ceiling, servers: readonly Client[]): z.input<typeof offerSchema>[] {
  return servers.flatMap((server) => {
    const ofServer = allowed?.find(({ resource }) => resource === server.resource)?.scope ?? [];
    const mayHave = (scope: string) => !allowed || isHeld(server, ofServer, scope);
    const scope = offeredScopes(server).filter(mayHave);
    if (allowed && scope.length === 0) return [];
    return {
      resource: server.resource ?? '',
      name: server.name,
      scope: scope.join(' '),
      information: server.information.filter((kind) => generatedScopes([kind]).some(mayHave)),
      scopes: presentScopes(server.scopes.filter(({ name }) => mayHave(name))),
    };
  });
}
