import { z } from 'zod';
import type { Core } from '../../core.ts';
import { foundKinds, maxFound, search } from '../../search/search.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { queryNumber, text } from '../text.ts';

const searchQuery = z.strictObject({
  q: text(200).meta({
    description:
      'The text: beginnings of words in a name or e-mail address, an external ID, the beginning or end of a Client ID in any case, the last four characters of a secret or access key, or the beginning of the address of a source.',
    example: 'kti_4fW1',
  }),
  limit: queryNumber(maxFound, 10, 'The maximum number of things of each kind.'),
});

const kind = z.enum(foundKinds);

export const foundSchema = z
  .strictObject({
    data: z
      .array(
        z.strictObject({
          kind: kind.meta({ description: 'What kind of thing it is.' }),
          id: z.string().meta({ description: 'The Client ID, or the ID of the access key, contact or organization.' }),
          name: z.string().meta({ description: 'The name.' }),
          detail: z.string().meta({ description: 'What tells things of one name apart, or why it was found.' }),
        }),
      )
      .meta({ description: 'What was found, by kind.' }),
    counts: z
      .array(
        z.strictObject({
          kind: kind.meta({ description: 'The kind.' }),
          count: z.int().meta({ description: 'How many things of this kind are listed.' }),
          has_more: z.boolean().meta({
            description:
              'Whether there are more, or may be more because the words are so common that only the newest things were compared.',
          }),
        }),
      )
      .meta({ description: 'The number of things of each kind, without kinds that certainly have none.' }),
  })
  .meta({ id: 'Found', description: 'What a search has found.' });

export function searchEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/search',
      operationId: 'search',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Find clients, access keys, contacts and organizations by what is known of them',
      query: searchQuery,
      answers: { 200: foundSchema },
      handle: async ({ query: { q, limit } }) => {
        const { found, unfinished } = await search(core.database, q, new Date(core.clock()), limit);
        const groups = foundKinds.map((each) => ({ kind: each, group: found.filter((one) => one.kind === each) }));
        const body: z.input<typeof foundSchema> = {
          data: groups.flatMap(({ group }) => group.slice(0, limit)),
          counts: groups
            .map(({ kind: each, group }) => ({
              kind: each,
              count: Math.min(group.length, limit),
              has_more: group.length > limit || unfinished.has(each),
            }))
            .filter(({ count, has_more: hasMore }) => count > 0 || hasMore),
        };
        return { status: 200, body };
      },
    }),
  ];
}
