import { z } from 'zod';
import { findEndedUse, findInState } from '../../attention/find-states.ts';
import { type Client, isSecretMethod } from '../../clients/client.ts';
import { keyDepsOf, registerKeys, weakensAuthentication } from '../../clients/client-rules.ts';
import { countClients, findKnownClient, listClients } from '../../clients/client-store.ts';
import {
  deleteClient,
  disableClient,
  enableClient,
  generateClient,
  registerClient,
  requireClient,
  revealClientSecret,
  revokeClientTokens,
  updateClient,
} from '../../clients/manage-clients.ts';
import { describePermission } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { isWellFormedClientId } from '../../credentials/credential-format.ts';
import { isForeignClientId } from '../../credentials/foreign-credential.ts';
import { Forbidden, NotFound } from '../../errors.ts';
import { findWarnings } from '../../policies/find-subjects.ts';
import { findSecrets } from '../../secrets/secret-store.ts';
import type { Queryable, Transaction } from '../../storage/database.ts';
import { findClientKeys } from '../../usage/client-key-store.ts';
import { findLastUsed } from '../../usage/usage-report.ts';
import { clientPatch, clientsQuery, fieldsOf, newClient } from '../client-input.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { type Answer, changeOnce } from '../idempotency.ts';
import { createRevealLimit, type Operator, organizationFor, requireOwnOrganization } from '../operator-auth.ts';
import { createSortedPager, pageSchema } from '../paging.ts';
import { clientSchema, clientWithSecretSchema, etagOf, presentClient } from '../presenters/present-client.ts';
import { nullableTimestamp } from '../text.ts';

export const clientParams = z.strictObject({
  client_id: z
    .string()
    .refine((value) => isWellFormedClientId(value) || isForeignClientId(value))
    .meta({ description: 'The Client ID.', example: 'kti_4fW1mZ8qYc0RkT7pLs2VnB' }),
});

const shownId = z.string().meta({ description: 'The Client ID.' });
const secretSchema = z.strictObject({
  client_id: shownId,
  client_secret: z.string().meta({ description: 'The current secret.' }),
});
const notBeforeSchema = z.strictObject({
  client_id: shownId,
  tokens_not_before: nullableTimestamp('Access tokens that were issued before this time are revoked.'),
});

export function clientEndpoints(core: Core): Endpoint[] {
  const pager = createSortedPager(core.keyRing, 'clients');
  const requireRevealAllowance = createRevealLimit();

  async function showClient(database: Queryable, client: Client): Promise<Answer> {
    const secrets = await findSecrets(database, { kind: 'client', id: client.id });
    const shown = presentClient(
      { client, secrets },
      core.clock(),
      await findLastUsed(database, [client.id]),
      (await findClientKeys(database, [client.id])).get(client.id) ?? [],
      (await findEndedUse(database, [client.id], core.clock())).get(client.id),
    );
    const warnings = await findWarnings(database, 'clients', client.id, core.clock());
    return { status: 200, headers: { ETag: etagOf(client) }, body: { ...shown, ...warnings } };
  }

  /** Registers a client, with a generated secret or with the keys or certificate that it authenticates with. */
  async function generate(transaction: Transaction, operator: Operator, body: z.output<typeof newClient>) {
    const { auth_method: authMethod = 'client_secret_basic' } = body;
    const input = { ...fieldsOf(body), organizationId: organizationFor(operator, body.organization_id) };
    const authentication = { authMethod, ...registerKeys(authMethod, input, keyDepsOf(core, input)) };
    if (isSecretMethod(authMethod)) {
      return await generateClient(transaction, core, operator, { ...input, authMethod });
    }
    const client = await registerClient(transaction, core, operator, input, authentication);
    return { client, secret: undefined, clientSecret: undefined };
  }

  return [
    endpoint({
      method: 'post',
      path: '/clients',
      operationId: 'createClient',
      permission: 'api_key:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Generate a Client ID and secret: register a client',
      body: newClient,
      example: { name: 'Order sync', kind: 'integration', scope: 'orders:read' },
      idempotent: true,
      answers: { 201: clientWithSecretSchema },
      problems: [409],
      handle: ({ operator, body, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const { client, secret, clientSecret } = await generate(transaction, operator, body);
          return {
            status: 201,
            ...(clientSecret === undefined ? {} : { secretOf: { targetType: 'client', target: client.clientId } }),
            headers: { ETag: etagOf(client), Location: `/admin/v1/clients/${encodeURIComponent(client.clientId)}` },
            body: {
              ...presentClient({ client, secrets: secret ? [secret] : [] }, core.clock(), new Map(), [], undefined),
              ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
              ...(await findWarnings(transaction, 'clients', client.id, core.clock())),
            },
          };
        }),
    }),
    endpoint({
      method: 'get',
      path: '/clients',
      operationId: 'listClients',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List clients, by default newest first',
      query: clientsQuery,
      answers: { 200: pageSchema(clientSchema) },
      handle: async ({ query: { q, status, kind, owner_contact_id: ownerContactId, label, state, ...query } }) => {
        const slice = pager.open(query);
        const filter = {
          q,
          kind,
          organizationId: query.organization_id,
          ownerContactId,
          label,
          among: state && (await findInState(core.database, 'clients', state, core.clock())),
          awaitsFirstUse: query.awaits_first_use === 'true',
          enabled: status && status === 'enabled',
        };
        const rows = await listClients(core.database, { ...filter, ...slice });
        const now = core.clock();
        const ids = rows.map(({ client }) => client.id);
        const lastUsed = await findLastUsed(core.database, ids);
        const keys = await findClientKeys(core.database, ids);
        const endedUse = await findEndedUse(core.database, ids, now);
        return pager.answer(
          rows,
          slice,
          (row) => presentClient(row, now, lastUsed, keys.get(row.client.id) ?? [], endedUse.get(row.client.id)),
          ({ client }) => client,
          query.count && (await countClients(core.database, filter)),
        );
      },
    }),
    endpoint({
      method: 'get',
      path: '/clients/{client_id}',
      operationId: 'getClient',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get a client',
      params: clientParams,
      answers: { 200: clientSchema },
      handle: async ({ params }) => {
        const known = await findKnownClient(core.database, params.client_id);
        if (!known) throw new NotFound('client');
        return await showClient(core.database, known.client);
      },
    }),
    endpoint({
      method: 'patch',
      path: '/clients/{client_id}',
      operationId: 'updateClient',
      permission: 'integrations:edit',
      reach: 'organization',
      asksProof: true,
      summary: 'Change a client. Only the fields that are sent change',
      params: clientParams,
      body: clientPatch,
      example: { scope: 'orders:read orders:create' },
      conditional: true,
      answers: { 200: clientSchema },
      problems: [409, 428],
      handle: async ({ operator, params, body, expectedRevisions }) => {
        const given = fieldsOf(body);
        requireOwnOrganization(operator, given.organizationId);
        const { authMethod, jwks, jwksUri, certificateSubject } = given;
        const hasKeys = authMethod ?? jwks ?? jwksUri ?? certificateSubject;
        // Whether a key is in use is decided by what is counted until now.
        if (hasKeys) await core.usage.flush();
        if (given.scopes) await core.grantedScopes.flush();
        return await core.change(async (transaction) => {
          if (!operator.permissions.includes('api_key:manage')) {
            // An operator who can replace a client's keys can act as the client.
            if (hasKeys)
              throw new Forbidden(
                `To replace keys or certificates, you need the permission ${describePermission('api_key:manage')}.`,
              );
            if (weakensAuthentication(await requireClient(transaction, params.client_id), given)) {
              throw new Forbidden(
                `To stop requiring DPoP, certificate binding or an access key, to accept weaker assertions or other networks, or to allow self-rotation, you need the permission ${describePermission('api_key:manage')}.`,
              );
            }
          }
          return await showClient(
            transaction,
            await updateClient(transaction, core, operator, params.client_id, given, expectedRevisions),
          );
        });
      },
    }),
    endpoint({
      method: 'delete',
      path: '/clients/{client_id}',
      operationId: 'deleteClient',
      permission: 'api_key:manage',
      reach: 'organization',
      approval: { act: 'delete', of: 'client' },
      summary: 'Delete a client. It must be disabled',
      params: clientParams,
      answers: { 204: null },
      problems: [409],
      handle: async ({ operator, params }) => {
        await core.change((transaction) => deleteClient(transaction, core, operator, params.client_id));
        return { status: 204 };
      },
    }),
    endpoint({
      method: 'post',
      path: '/clients/{client_id}/disable',
      operationId: 'disableClient',
      permission: 'integrations:edit',
      reach: 'organization',
      summary:
        'Disable a client. The tokens of an integration are revoked; a resource server can no longer introspect tokens',
      params: clientParams,
      answers: { 200: clientSchema },
      handle: ({ operator, params }) =>
        core.change(async (transaction) =>
          showClient(transaction, await disableClient(transaction, core, operator, params.client_id)),
        ),
    }),
    endpoint({
      method: 'post',
      path: '/clients/{client_id}/enable',
      operationId: 'enableClient',
      permission: 'integrations:edit',
      reach: 'organization',
      asksProof: true,
      summary: 'Enable a client. Tokens that were revoked when it was disabled stay revoked',
      params: clientParams,
      answers: { 200: clientSchema },
      problems: [409],
      handle: ({ operator, params }) =>
        core.change(async (transaction) =>
          showClient(transaction, await enableClient(transaction, core, operator, params.client_id)),
        ),
    }),
    endpoint({
      method: 'post',
      path: '/clients/{client_id}/secret/reveal',
      operationId: 'revealClientSecret',
      permission: 'api_key:manage',
      reach: 'organization',
      asksProof: true,
      approval: { act: 'reveal', of: 'client' },
      summary: 'Show the secret of a client again. The audit log records it',
      params: clientParams,
      answers: { 200: secretSchema },
      problems: [409],
      handle: async ({ operator, params }) => {
        await requireRevealAllowance(operator.id);
        const { client, clientSecret } = await core.change((transaction) =>
          revealClientSecret(transaction, core, operator, params.client_id),
        );
        return { status: 200, body: { client_id: client.clientId, client_secret: clientSecret } };
      },
    }),
    endpoint({
      method: 'post',
      path: '/clients/{client_id}/tokens/revoke',
      operationId: 'revokeClientTokens',
      permission: 'api_key:manage',
      reach: 'organization',
      approval: { act: 'revoke_all', of: 'client' },
      summary: 'Revoke all active tokens of a client',
      params: clientParams,
      answers: { 200: notBeforeSchema },
      handle: async ({ operator, params }) => {
        const client = await core.change((transaction) =>
          revokeClientTokens(transaction, core, operator, params.client_id),
        );
        return {
          status: 200,
          headers: { ETag: etagOf(client) },
          body: { client_id: client.clientId, tokens_not_before: client.tokensNotBefore?.toISOString() ?? null },
        };
      },
    }),
  ];
}
