import type { Actor } from '../audit/audit-log.ts';
import type { Transaction } from '../storage/database.ts';
import { type AuthMethod, isSecretMethod } from './client.ts';
import { holdResourceServers } from './client-store.ts';
import type { ForeignClient } from './foreign-client.ts';
import { holdOrganizations, roomFor } from './hold-organizations.ts';
import { importClients } from './import-clients.ts';
import { withOwners } from './import-details.ts';
import { hasHashedSecret, type ImportPolicy } from './imported-secret.ts';
import type { ManageDeps } from './manage-clients.ts';
import { withMissingScopes } from './missing-scopes.ts';
import { type AcceptedClient, reviewImport } from './review-import.ts';
import { createTranslation } from './translate-import.ts';

/** Imports a part of the clients of another server, for the admin API and the command line. */

export type ImportRequest = ImportPolicy & {
  rows: readonly ForeignClient[];
  /** The organization that the clients are to belong to. */
  organizationId: string;
  /** Whether nothing is imported. */
  isCheck: boolean;
  /** Whether accepted clients are imported even if others are rejected. */
  skipRefused: boolean;
  dropUnknownScopes: boolean;
  /** The Client ID of a resource server: unknown scopes count as declared there. */
  declareScopes: string | undefined;
  /** Number of clients of earlier parts that can be imported and are not imported yet. */
  acceptedBefore: number;
};

/** Whether the secret of the file is kept, known by its hash only, or replaced; null if the client has none. */
type SecretIs = 'kept' | 'hashed' | 'new' | null;

export type ImportedRow =
  | { outcome: 'acceptable' | 'imported'; notes: string[]; secretIs: SecretIs; secret: string | undefined }
  | { outcome: 'refused'; shownId: string | undefined; reasons: readonly string[] }
  /** It was imported before, unchanged. */
  | { outcome: 'present' };

/**
 * Reviews clients, and imports them unless it is a check or one is rejected.
 * @returns the result of each client in order, and the scopes of accepted ones that no resource server offers.
 * @throws {InvalidInput} if the organization or the resource server for unknown scopes does not exist.
 * @throws {Conflict} `client_id_taken` if a Client ID or secret was registered in the meantime.
 */
export async function importPart(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  request: ImportRequest,
): Promise<{ rows: ImportedRow[]; missingScopes: string[] }> {
  const { organizationId } = request;
  const organization = (await holdOrganizations(transaction, [organizationId]))(organizationId);
  const room = await roomFor(transaction, organization, 'integrations');
  const known = await holdResourceServers(transaction);
  const { servers, rows, missing } = await translate(transaction, deps, known, request);
  const review = await reviewImport(transaction, deps, servers, rows, request, {
    ...organization,
    room: room === null ? null : room - request.acceptedBefore,
  });
  const isImported = !request.isCheck && (request.skipRefused || review.refused.length === 0);
  const made = isImported
    ? await importClients(transaction, deps, actor, review.accepted, organizationId)
    : new Map<string, string>();

  const refused = new Map(review.refused.map((each) => [each.row, each]));
  const accepted = new Map(review.accepted.map((each) => [each.row, each]));
  const present = new Set(review.present);
  const needed = new Set(review.accepted.flatMap(({ row }) => row.scope.filter((scope) => missing.has(scope))));
  return {
    missingScopes: [...needed],
    rows: rows.map((row): ImportedRow => {
      if (present.has(row)) return { outcome: 'present' };
      const refusal = refused.get(row);
      if (refusal) return { outcome: 'refused', shownId: refusal.clientId, reasons: refusal.reasons };
      const secrets = accepted.get(row);
      return {
        outcome: isImported ? 'imported' : 'acceptable',
        notes: review.notes.filter((note) => note.row === row).map(({ note }) => note),
        secretIs: secrets ? natureOf(secrets) : null,
        secret: made.get(row.clientId),
      };
    }),
  };
}

function natureOf(accepted: AcceptedClient): SecretIs {
  if (!isSecretMethod(accepted.row.authMethod as AuthMethod)) return null;
  if (hasHashedSecret(accepted)) return 'hashed';
  return accepted.kept === undefined ? 'new' : 'kept';
}

async function translate(
  transaction: Transaction,
  { clock }: ManageDeps,
  known: Awaited<ReturnType<typeof holdResourceServers>>,
  { rows: given, declareScopes, dropUnknownScopes }: ImportRequest,
) {
  const rows = await withOwners(transaction, given.map(createTranslation(known, { dropUnknownScopes })), new Map());
  if (declareScopes === undefined) return { servers: known, rows, missing: new Set<string>() };
  return { rows, ...withMissingScopes(known, declareScopes, rows, clock()) };
}
