import { z } from 'zod';
import { maxNetworks, type NetworkLimit, networkModes, networkProblem } from '../http/allowed-networks.ts';
import type { NetworkWatch } from '../usage/network-watches.ts';
import type { SeenNetworks } from '../usage/seen-networks.ts';
import { nullableTimestamp, timestamp } from './text.ts';

/** Schemas of the networks that clients, access keys and operator tokens are accepted from. */

const network = z
  .string()
  .max(50)
  .superRefine((text, context) => {
    const message = networkProblem(text);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

const mode = z.enum(networkModes).meta({
  description:
    'What happens outside the allowed networks. `watch`: nothing, but what would be rejected is counted. `enforce`: requests are rejected. The default is `enforce`.',
});

/** Members of a request body that creates or changes a credential. */
export const givenNetworks = {
  allowed_networks: z
    .array(network)
    .min(1)
    .max(maxNetworks)
    .nullable()
    .optional()
    .meta({
      description: 'The networks that it is accepted from, as CIDRs or addresses. Null: any.',
      example: ['203.0.113.0/24'],
    }),
  network_mode: mode.optional(),
};

/** Members of a credential in a response. */
export const shownNetworks = {
  allowed_networks: z
    .array(z.string())
    .nullable()
    .meta({ description: 'The networks that it is accepted from. Null: any.' }),
  network_mode: mode,
};

export function presentNetworks({ allowedNetworks, networkMode }: NetworkLimit) {
  return { allowed_networks: allowedNetworks && [...allowedNetworks], network_mode: networkMode };
}

export const networkReportSchema = z
  .strictObject({
    ...shownNetworks,
    outside: z
      .strictObject({
        requests: z.int().meta({ description: 'How many requests came from outside the allowed networks.' }),
        since: nullableTimestamp('When the first of them was counted. Null: there was none.'),
        last_at: nullableTimestamp('When the last of them was counted. Null: there was none.'),
        last_address: z.string().nullable().meta({ description: 'Where the last of them came from.' }),
      })
      .meta({ description: 'Accepted requests that `enforce` would have rejected, since these networks were set.' }),
    seen: z
      .array(
        z.strictObject({
          network: z.string().meta({ description: 'An IPv4 network of /24, or an IPv6 network of /64.' }),
          addresses: z.int().meta({ description: 'How many addresses of it were seen.' }),
          last_used_at: timestamp('When it was last used from there'),
        }),
      )
      .meta({ description: 'The networks that it was used from in the last 30 days, the last used first.' }),
    proposed: z
      .array(z.string())
      .meta({ description: 'The networks to allow, so that nothing of the last 30 days is rejected.' }),
    complete: z.boolean().meta({
      description: 'False if there were more networks than can be allowed, or sources without a known address.',
    }),
  })
  .meta({ id: 'NetworkReport', description: 'Allowed networks, what they would reject, and what was seen.' });

export function presentNetworkReport(
  limit: NetworkLimit,
  watch: NetworkWatch | undefined,
  { networks, isComplete }: SeenNetworks,
): z.input<typeof networkReportSchema> {
  return {
    ...presentNetworks(limit),
    outside: {
      requests: watch?.requests ?? 0,
      since: watch?.firstAt.toISOString() ?? null,
      last_at: watch?.lastAt.toISOString() ?? null,
      last_address: watch?.lastAddress ?? null,
    },
    seen: networks.map(({ network: name, addresses, lastUsedAt }) => ({
      network: name,
      addresses,
      last_used_at: lastUsedAt.toISOString(),
    })),
    proposed: networks.map(({ network: name }) => name),
    complete: isComplete,
  };
}
