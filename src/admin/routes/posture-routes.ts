import { z } from 'zod';
import type { Core } from '../../core.ts';
import { policyNames, policyStages } from '../../policies/policy.ts';
import { describeFinding } from '../../posture/describe-finding.ts';
import { findingKinds, findPosture, type PostureItem } from '../../posture/find-posture.ts';
import { organizationFilter, shownOrganization } from '../details-schemas.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { requireOwnOrganization } from '../operator-auth.ts';
import { createPager, pageQuery, pageSchema } from '../paging.ts';
import { nullableTimestamp, timestamp } from '../text.ts';

const findingSchema = z.strictObject({
  kind: z.enum(findingKinds).meta({
    description:
      '`old_secret`: older than 90 days; `idle`: neither used nor created in 90 days; `unused_scope`: scopes not used in 30 days; `many_networks`: used from more than 3 networks in 30 days, without allowed networks.',
  }),
  policy: z.enum(policyNames).nullable().meta({ description: 'The violated policy. Null: it is not about one.' }),
  stage: z.enum(policyStages).nullable().meta({ description: 'The stage of that policy. Null: it is not about one.' }),
  count: z.int().nullable().meta({ description: 'The number of days, scopes or networks. Null: it has none.' }),
  score: z.int().meta({ description: 'What it adds to the score.' }),
  message: z.string().meta({ description: 'The finding as an English sentence.' }),
});

const itemSchema = z
  .strictObject({
    kind: z.enum(['integration', 'resource_server', 'access_key']).meta({ description: 'What it is.' }),
    client_id: z.string().nullable().meta({ description: 'The Client ID. Null: it is an access key.' }),
    access_key_id: z.uuid().nullable().meta({ description: 'The ID of the access key. Null: it is a client.' }),
    name: z.string().meta({ description: 'The name of the client or access key.' }),
    contact_id: z.uuid().nullable().meta({ description: 'The ID of the contact of an access key. Null: a client.' }),
    contact_name: z.string().nullable().meta({ description: 'The name of that contact. Null: a client.' }),
    organization_id: shownOrganization,
    auth_method: z.string().nullable().meta({ description: 'How a client authenticates. Null: an access key.' }),
    secret_since: nullableTimestamp('When the current secret or value was created. Null: it has none.'),
    last_used_at: nullableTimestamp('When it was last used. Null: never.'),
    score: z.int().meta({ description: 'The sum of the scores of its findings. The highest is the worst.' }),
    findings: z.array(findingSchema).meta({ description: 'What was found.' }),
  })
  .meta({ id: 'PostureItem', description: 'A client or an access key with its findings.' });

export const postureSchema = z
  .strictObject({
    checked_at: timestamp('When this was determined'),
    ...pageSchema(itemSchema).shape,
    total: z.int().meta({ description: 'The number of clients and access keys with findings that were examined.' }),
    complete: z.boolean().meta({
      description: 'False if only the worst 500 of each kind of finding were examined, because there are more.',
    }),
    warnings: z.int().meta({ description: 'How many of them violate a policy that is in the stage warn or enforce.' }),
  })
  .meta({ id: 'Posture', description: 'Clients and access keys, ranked by the risk of their credentials.' });

const position = z.strictObject({ place: z.int().min(0).max(100_000) });

/** The endpoint that ranks clients and access keys. */
export function postureEndpoints(core: Core): Endpoint[] {
  const pager = createPager(core.keyRing, 'posture', position);
  return [
    endpoint({
      method: 'get',
      path: '/posture',
      operationId: 'getPosture',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Rank clients and access keys by the risk of their credentials, the worst first',
      query: z.strictObject({ ...pageQuery, organization_id: organizationFilter }),
      answers: { 200: postureSchema },
      handle: async ({ operator, query }) => {
        requireOwnOrganization(operator, query.organization_id);
        const organizationId = operator.organizationId ?? query.organization_id;
        const { after } = pager.open(query.cursor);
        const start = after ? after.place + 1 : 0;
        const now = core.clock();
        const { items, isCut } = await findPosture(core.database, now, organizationId ?? undefined);
        const rows = items.slice(start, start + query.limit + 1).map((item, index) => ({ item, place: start + index }));
        const page = pager.answer(
          rows,
          query,
          ({ item }) => present(item),
          ({ place }) => ({ place }),
        );
        return {
          ...page,
          body: {
            ...(page.body as object),
            checked_at: new Date(now).toISOString(),
            total: items.length,
            complete: !isCut,
            warnings: items.filter(isWarned).length,
          },
        };
      },
    }),
  ];
}

function isWarned({ findings }: PostureItem): boolean {
  return findings.some(({ policy }) => policy !== null && policy.stage !== 'report');
}

function present({ subject, score, findings }: PostureItem): z.input<typeof itemSchema> {
  const isKey = subject.kind === 'access_key';
  return {
    kind: subject.kind,
    client_id: isKey ? null : subject.publicId,
    access_key_id: isKey ? subject.publicId : null,
    name: subject.name,
    contact_id: subject.contact?.id ?? null,
    contact_name: subject.contact?.name ?? null,
    organization_id: subject.organizationId,
    auth_method: subject.authMethod,
    secret_since: subject.secretSince?.toISOString() ?? null,
    last_used_at: subject.lastUsedAt?.toISOString() ?? null,
    score,
    findings: findings.map((finding) => ({
      kind: finding.kind,
      policy: finding.policy?.name ?? null,
      stage: finding.policy?.stage ?? null,
      count: finding.count,
      score: finding.score,
      message: describeFinding(finding),
    })),
  };
}
