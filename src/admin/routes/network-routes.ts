import { findKnownAccessKey } from '../../access-keys/access-key-store.ts';
import { findKnownClient } from '../../clients/client-store.ts';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import type { NetworkLimit } from '../../http/allowed-networks.ts';
import { requireShownToken } from '../../operator-tokens/manage-bounded-tokens.ts';
import { findNetworkWatch } from '../../usage/network-watches.ts';
import { findSeenNetworks } from '../../usage/seen-networks.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import type { Answer } from '../idempotency.ts';
import { networkReportSchema, presentNetworkReport } from '../network-schemas.ts';
import { accessKeyParams } from './access-key-routes.ts';
import { clientParams } from './client-routes.ts';
import { operatorTokenParams } from './operator-token-routes.ts';

/** Endpoints that report where credentials are used from, to set their allowed networks. */
export function networkEndpoints(core: Core): Endpoint[] {
  async function report(owner: string, limit: NetworkLimit): Promise<Answer> {
    // Without this, the requests of the last seconds would be missing.
    await core.usage.flush();
    const watch = await findNetworkWatch(core.database, owner, limit);
    const seen = await findSeenNetworks(core.database, owner, core.clock());
    return { status: 200, body: presentNetworkReport(limit, watch, seen) };
  }

  return [
    endpoint({
      method: 'get',
      path: '/clients/{client_id}/allowed-networks',
      operationId: 'getNetworksOfClient',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get the allowed networks of a client, what they would reject, and a proposal',
      params: clientParams,
      answers: { 200: networkReportSchema },
      handle: async ({ params }) => {
        const known = await findKnownClient(core.database, params.client_id);
        if (!known) throw new NotFound('client');
        return await report(known.client.id, known.client);
      },
    }),
    endpoint({
      method: 'get',
      path: '/access-keys/{id}/allowed-networks',
      operationId: 'getNetworksOfAccessKey',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get the allowed networks of an access key, what they would reject, and a proposal',
      params: accessKeyParams,
      answers: { 200: networkReportSchema },
      handle: async ({ params }) => {
        const known = await findKnownAccessKey(core.database, params.id);
        if (!known) throw new NotFound('access key');
        return await report(known.key.id, known.key);
      },
    }),
    endpoint({
      method: 'get',
      path: '/operator-tokens/{id}/allowed-networks',
      operationId: 'getNetworksOfOperatorToken',
      permission: null,
      reach: 'organization',
      summary: 'Get the allowed networks of an operator token, what they would reject, and a proposal',
      params: operatorTokenParams,
      answers: { 200: networkReportSchema },
      handle: async ({ operator, params }) => {
        const token = await requireShownToken(core.database, operator, params.id, new Date(core.clock()));
        return await report(token.id, token);
      },
    }),
  ];
}
