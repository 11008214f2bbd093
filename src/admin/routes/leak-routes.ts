import { z } from 'zod';
import type { Core } from '../../core.ts';
import { endLeak } from '../../leaks/end-leak.ts';
import { findLeaks, isLeakLive } from '../../leaks/find-leaks.ts';
import { reportLeaks } from '../../notices/report-leaks.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { hint } from '../text.ts';

const leakSchema = z
  .strictObject({
    value_index: z.int().meta({ description: 'The index of the text that contains it, from 0.' }),
    kind: z
      .enum(['client_secret', 'access_key', 'access_token', 'operator_token'])
      .meta({ description: 'The kind of credential.' }),
    hint,
    status: z.enum(['live', 'ended', 'unknown']).meta({
      description:
        'Whether it worked when it was found. `unknown`: it has the form of a Keyturn credential, but this server does not know it.',
    }),
    owner: z
      .strictObject({
        type: z.enum(['client', 'access_key', 'contact']).meta({ description: 'The kind of owner.' }),
        id: z.string().meta({ description: 'The ID of the owner.' }),
        name: z.string().meta({ description: 'The name of the owner.' }),
      })
      .nullable()
      .meta({ description: 'Who it belongs to. Null: unknown.' }),
    disabled: z.boolean().meta({ description: 'Whether this request revoked it.' }),
  })
  .meta({ id: 'Leak', description: 'A credential that was found in a text.' });

export function leakEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/leaks',
      operationId: 'findLeaks',
      permission: 'api_key:manage',
      summary: 'Find secrets, access keys and tokens of this server in texts, and revoke them with `disable`',
      body: z.strictObject({
        values: z.array(z.string().max(60_000)).min(1).max(1_000).meta({ description: 'The texts to search.' }),
        disable: z.boolean().optional().meta({ description: 'Whether to revoke every credential that still works.' }),
      }),
      example: { values: ['text'], disable: false },
      storesBody: false,
      answers: {
        200: z.strictObject({ data: z.array(leakSchema).meta({ description: 'The credentials that were found.' }) }),
      },
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
        if (!body.disable) {
          await reportLeaks(
            core,
            operator,
            leaks.filter((leak) => isLeakLive(leak, core.clock())),
          );
        }
        return { status: 200, body: { data } };
      },
    }),
  ];
}
