import { importPart } from '../../clients/import-part.ts';
import type { Core } from '../../core.ts';
import type { Transaction } from '../../storage/database.ts';
import { deploymentOrganization } from '../../storage/organization-limit.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { type Answer, changeOnce } from '../idempotency.ts';
import { importRequest, importResult, presentImported, toForeignClient } from '../import-input.ts';
import { organizationFor } from '../operator-auth.ts';

/** Enough for the largest request that the command line sends. */
const maxBodyBytes = 4 * 1024 * 1024;

export function importEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/clients/import',
      operationId: 'importClients',
      permission: 'api_key:manage',
      reach: 'organization',
      asksProof: true,
      summary:
        'Import up to 500 clients of another server with their Client IDs and secrets, or check whether they can be',
      body: importRequest,
      maxBodyBytes,
      // What cannot be stored is a reason to reject one client, not the request.
      storesBody: false,
      example: {
        clients: [{ client_id: 'order-sync', client_secret: 'pV7dQz1xKf5mRb9TnC3gYw8hLs2JaE6u', name: 'Order sync' }],
        check: true,
      },
      idempotent: true,
      answers: { 200: importResult },
      problems: [409],
      handle: ({ operator, body, idempotent }) => {
        const work = async (transaction: Transaction): Promise<Answer> => {
          const { rows, missingScopes } = await importPart(transaction, core, operator, {
            rows: body.clients.map(toForeignClient),
            organizationId: organizationFor(operator, body.organization_id) ?? deploymentOrganization,
            isCheck: body.check,
            skipRefused: body.skip_refused,
            resume: body.resume,
            freshSecrets: body.fresh_secrets,
            acceptHashLike: body.accept_hash_like,
            dropUnknownScopes: body.drop_unknown_scopes,
            declareScopes: body.check ? body.declare_scopes : undefined,
            acceptedBefore: body.check ? body.accepted_before : 0,
          });
          const clients = rows.map((row, index) => presentImported(row, body.clients[index]?.client_id ?? ''));
          const fresh = clients.filter(({ client_secret: secret }) => secret !== undefined);
          return {
            status: 200,
            secretOf: fresh.map(({ client_id: target }) => ({ targetType: 'client', target: target ?? '' })),
            body: {
              clients,
              imported: clients.filter(({ outcome }) => outcome === 'imported').length,
              missing_scopes: missingScopes,
              at: new Date(core.clock()).toISOString(),
            },
          };
        };
        return body.check ? core.change(work) : changeOnce(core, idempotent, work);
      },
    }),
  ];
}
