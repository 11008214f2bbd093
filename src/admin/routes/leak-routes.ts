import { z } from 'zod';
import type { Core } from '../../core.ts';
import { endLeak } from '../../leaks/end-leak.ts';
import { findLeaks, isLeakLive } from '../../leaks/find-leaks.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';

const leakSchema = z
  .strictObject({
    value_index: z.int().meta({ description: 'In which of the values it stood, from 0' }),
    kind: z.enum(['client_secret', 'access_key', 'access_token', 'operator_token']),
    hint: z.string().meta({ description: 'The last four characters', example: '…x7Qz' }),
    status: z
      .enum(['live', 'ended', 'unknown'])
      .meta({ description: 'As it was found. Unknown: in our form, but none of this deployment, or long gone' }),
    owner: z
      .strictObject({ type: z.enum(['client', 'access_key', 'contact']), id: z.string(), name: z.string() })
      .nullable(),
    disabled: z.boolean().meta({ description: 'Whether this request has ended it' }),
  })
  .meta({ id: 'Leak' });

export function leakEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/leaks',
      permission: 'api_key:manage',
      summary: 'Find our secrets, keys and tokens in texts; with `disable`, end those that are live',
      body: z.strictObject({
        values: z
          .array(z.string().max(60_000))
          .min(1)
          .max(1_000)
          .meta({ description: 'Values, or any texts that they may stand in' }),
        disable: z.boolean().optional(),
      }),
      storesBody: false,
      answers: { 200: z.strictObject({ data: z.array(leakSchema) }) },
      handle: async ({ operator, body }) => {
        const leaks = await findLeaks(core, body.values);
        const data: z.input<typeof leakSchema>[] = [];
        for (const leak of leaks) {
          const live = isLeakLive(leak, core.clock());
          data.push({
            value_index: leak.text,
            kind: leak.kind,
            hint: `…${leak.hint}`,
            status: live ? 'live' : leak.found ? 'ended' : 'unknown',
            owner: leak.found?.shown ?? null,
            disabled: body.disable === true && live && (await endLeak(core, operator, leak)),
          });
        }
        return { status: 200, body: { data } };
      },
    }),
  ];
}
