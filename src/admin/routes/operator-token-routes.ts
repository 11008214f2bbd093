import { z } from 'zod';
import { permissions } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { InvalidInput } from '../../errors.ts';
import type { BoundedToken } from '../../operator-tokens/bounded-token.ts';
import { listBoundedTokens } from '../../operator-tokens/bounded-token-store.ts';
import {
  acknowledgeUse,
  changeNetworks,
  issueBoundedToken,
  revokeBoundedToken,
  rotateBoundedToken,
} from '../../operator-tokens/manage-bounded-tokens.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { givenNetworks, presentNetworks, shownNetworks } from '../network-schemas.ts';
import { checkPermission, organizationFor, requireOwnOrganization } from '../operator-auth.ts';
import { moment, nullableTimestamp, text, timestamp } from '../text.ts';

export const operatorTokenParams = z.strictObject({
  id: z.uuid().meta({ description: 'The ID of the operator token.' }),
});
const contactId = z.uuid().meta({ description: 'The ID of the contact that the token acts as.' });
const name = text(100).meta({ description: 'What the token is for.', example: 'Deployment pipeline' });
const granted = z.array(z.enum(permissions)).meta({ description: 'What the token may do at most.' });

const newToken = z.strictObject({
  contact_id: contactId.optional().meta({
    description: 'The ID of the contact that the token acts as. The default is you; others need `contacts:manage`.',
  }),
  name,
  permissions: granted.optional().meta({
    description: 'What the token may do at most. The default is what the contact and you may do.',
  }),
  organization_id: z.uuid().nullable().optional().meta({
    description: 'The organization that the token is limited to. Null: it reaches as far as its contact.',
  }),
  ...givenNetworks,
  expires_at: moment
    .nullable()
    .optional()
    .meta({
      description:
        'When the token expires (RFC 3339). The default is in 90 days. Null, never, needs `KEYTURN_OPERATOR_TOKEN_DAYS=0`.',
      override: { type: ['string', 'null'], format: 'date-time' },
    }),
  break_glass: z.boolean().optional().meta({
    description: 'Whether the token is for emergencies: each use is recorded and shown on the home page.',
  }),
});

const rotation = z.strictObject({
  overlap_seconds: z.int().min(0).max(2_592_000).optional().meta({
    description: 'How long the previous token works. The default is a day.',
  }),
});
const daySeconds = 86_400;

/** Endpoints for operator tokens with a name and an end. Everyone manages their own; others’ need `contacts:manage`. */
export function boundedTokenEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/operator-tokens',
      operationId: 'createOperatorToken',
      permission: null,
      reach: 'organization',
      asksProof: true,
      summary: 'Issue an operator token with a name and an end',
      body: newToken,
      example: { name: 'Deployment pipeline', permissions: ['integrations:view'] },
      idempotent: true,
      answers: { 201: issuedSchema },
      problems: [404],
      handle: ({ operator, body, idempotent }) => {
        const contact = body.contact_id ?? operator.id;
        if (contact !== operator.id) checkPermission(operator, 'contacts:manage');
        if (!z.uuid().safeParse(contact).success) {
          throw new InvalidInput('contact_id: is required, because you are no contact.', [
            { path: 'contact_id', message: 'is required' },
          ]);
        }
        requireOwnOrganization(operator, body.organization_id ?? undefined);
        const limit = organizationFor(operator, body.organization_id ?? undefined);
        return changeOnce(core, idempotent, async (transaction) => {
          const { token, plaintext } = await issueBoundedToken(transaction, core, operator, {
            contactId: contact,
            name: body.name,
            permissions: body.permissions,
            organizationId: limit,
            allowedNetworks: body.allowed_networks,
            networkMode: body.network_mode,
            expiresAt: body.expires_at,
            breakGlass: body.break_glass,
          });
          return {
            status: 201,
            secretOf: { targetType: 'operator_token', target: token.contactId },
            body: { ...presentToken(token), operator_token: plaintext },
          };
        });
      },
    }),
    endpoint({
      method: 'get',
      path: '/operator-tokens',
      operationId: 'listOperatorTokens',
      permission: null,
      reach: 'organization',
      summary: 'List operator tokens that have not expired: your own, or those of others with `contacts:manage`',
      query: z.strictObject({ contact_id: contactId.optional().meta({ description: 'Only those of this contact.' }) }),
      answers: { 200: tokensSchema },
      handle: async ({ operator, query: { contact_id: asked } }) => {
        const mayManage = operator.permissions.includes('contacts:manage');
        if (asked !== undefined && asked !== operator.id) checkPermission(operator, 'contacts:manage');
        const whose = asked ?? (mayManage ? undefined : operator.id);
        const tokens = await listBoundedTokens(core.database, whose, new Date(core.clock()));
        return { status: 200, body: { data: tokens.map(presentToken) } };
      },
    }),
    endpoint({
      method: 'patch',
      path: '/operator-tokens/{id}',
      operationId: 'updateOperatorToken',
      permission: null,
      reach: 'organization',
      asksProof: true,
      summary: 'Change the networks that an operator token is accepted from. Only the fields that are sent change',
      params: operatorTokenParams,
      body: z.strictObject(givenNetworks),
      answers: { 200: tokenSchema },
      handle: async ({ operator, params: { id }, body }) => {
        const given = { allowedNetworks: body.allowed_networks, networkMode: body.network_mode };
        const token = await core.change((transaction) => changeNetworks(transaction, core, operator, id, given));
        return { status: 200, body: presentToken(token) };
      },
    }),
    endpoint({
      method: 'post',
      path: '/operator-tokens/{id}/rotate',
      operationId: 'rotateOperatorToken',
      permission: null,
      reach: 'organization',
      asksProof: true,
      summary: 'Replace an operator token. The previous one works until its grace period ends',
      params: operatorTokenParams,
      body: rotation,
      idempotent: true,
      answers: { 201: rotatedSchema },
      handle: ({ operator, params: { id }, body, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const seconds = body.overlap_seconds ?? daySeconds;
          const rotated = await rotateBoundedToken(transaction, core, operator, id, seconds);
          return {
            status: 201,
            secretOf: { targetType: 'operator_token', target: rotated.token.contactId },
            body: {
              ...presentToken(rotated.token),
              operator_token: rotated.plaintext,
              previous: { id, ends_at: rotated.previousEndsAt.toISOString() },
            },
          };
        }),
    }),
    endpoint({
      method: 'post',
      path: '/operator-tokens/{id}/acknowledge',
      operationId: 'acknowledgeOperatorTokenUse',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'Acknowledge the use of an operator token for emergencies, which then needs no attention',
      params: operatorTokenParams,
      answers: { 204: null },
      handle: async ({ operator, params: { id } }) => {
        await core.change((transaction) => acknowledgeUse(transaction, core, operator, id));
        return { status: 204 };
      },
    }),
    endpoint({
      method: 'delete',
      path: '/operator-tokens/{id}',
      operationId: 'revokeNamedOperatorToken',
      permission: null,
      reach: 'organization',
      summary: 'End an operator token at once',
      params: operatorTokenParams,
      answers: { 204: null },
      handle: async ({ operator, params: { id } }) => {
        await core.change((transaction) => revokeBoundedToken(transaction, core, operator, id));
        return { status: 204 };
      },
    }),
  ];
}

const fields = {
  id: z.uuid().meta({ description: 'The ID of the operator token.' }),
  contact_id: contactId,
  contact_name: z.string().meta({ description: 'The name of that contact.' }),
  name,
  hint: z.string().meta({ description: '`…` and the last four characters of the token.', example: '…x7Qz' }),
  permissions: granted.meta({ description: 'What the token may do at most, and only while its contact may too.' }),
  organization_id: z.uuid().nullable().meta({
    description: 'The organization that the token is limited to. Null: it reaches as far as its contact.',
  }),
  ...shownNetworks,
  break_glass: z.boolean().meta({ description: 'Whether the token is for emergencies.' }),
  created_at: timestamp('When the token was issued'),
  expires_at: nullableTimestamp('When the token expires. Null: never.'),
  last_used_at: nullableTimestamp('When the token was last used, to the minute. Null: never.'),
};

export const tokenSchema = z
  .strictObject(fields)
  .meta({ id: 'OperatorToken', description: 'An operator token with a name and an end.' });

const tokensSchema = z
  .strictObject({ data: z.array(tokenSchema).meta({ description: 'The operator tokens.' }) })
  .meta({ id: 'OperatorTokens', description: 'Operator tokens that have not expired.' });

const operatorToken = z.string().meta({ description: 'The new operator token, shown once.' });

const issuedSchema = z
  .strictObject({ ...fields, operator_token: operatorToken })
  .meta({ id: 'IssuedOperatorToken', description: 'A new operator token.' });

const rotatedSchema = z
  .strictObject({
    ...fields,
    operator_token: operatorToken,
    previous: z
      .strictObject({
        id: z.uuid().meta({ description: 'The ID of the previous token.' }),
        ends_at: timestamp('When it ends'),
      })
      .meta({ description: 'The previous token.' }),
  })
  .meta({ id: 'RotatedOperatorToken', description: 'A new operator token, and the end of the previous one.' });

function presentToken(token: BoundedToken): z.input<typeof tokenSchema> {
  return {
    id: token.id,
    contact_id: token.contactId,
    contact_name: token.contactName,
    name: token.name,
    hint: `…${token.hint}`,
    permissions: [...token.permissions],
    organization_id: token.organizationId,
    ...presentNetworks(token),
    break_glass: token.breakGlass,
    created_at: token.createdAt.toISOString(),
    expires_at: token.expiresAt?.toISOString() ?? null,
    last_used_at: token.lastUsedAt?.toISOString() ?? null,
  };
}
