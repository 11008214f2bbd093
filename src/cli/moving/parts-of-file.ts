import type { z } from 'zod';
import type { importRequest } from '../../admin/import-input.ts';
import type { ForeignClient, RefusedClient } from '../../clients/foreign-client.ts';
import type { ForeignClients } from './clients-file.ts';

/** Divides a file of clients into requests of the admin API. */

type WireClient = z.input<typeof importRequest>['clients'][number];

/**
 * Maximum number of clients in one request, which is one transaction. Other changes wait while it is written, because
 * the audit log is locked.
 */
const maxRows = 500;
/** Maximum length of the clients of one request as JSON, in characters. */
const maxLength = 1_000_000;
export type Part = {
  /** The rows with their numbers, which are the same each time the file is read. */
  rows: { row: ForeignClient; wire: WireClient; number: number }[];
  refused: RefusedClient[];
  skipped: { place: string; clientId: string }[];
};

export function* partsOf(file: ForeignClients): Generator<Part> {
  const empty = (): Part => ({ rows: [], refused: [], skipped: [] });
  let part = empty();
  let number = 0;
  let length = 0;
  for (const read of file.rows()) {
    if (read.kind === 'row') {
      const wire = toWire(read.row);
      length += JSON.stringify(wire).length;
      part.rows.push({ row: read.row, wire, number });
    } else if (read.kind === 'refused') part.refused.push(read.refused);
    else part.skipped.push({ place: read.place, clientId: read.clientId });
    number += 1;
    if (part.rows.length < maxRows && part.refused.length < maxRows && length < maxLength) continue;
    yield part;
    part = empty();
    length = 0;
  }
  yield part;
}

/** Converts a client to the form of the admin API. Members that are undefined are left out of the JSON. */
function toWire(row: ForeignClient): WireClient {
  const { previousSecret, details } = row;
  return {
    place: row.place,
    client_id: row.clientId,
    client_secret: row.clientSecret,
    client_secret_hash: row.secretHash as WireClient['client_secret_hash'],
    client_secret_expires_at: row.secretExpiresAt?.toISOString(),
    previous_secret: previousSecret && {
      client_secret: previousSecret.secret,
      ends_at: previousSecret.endsAt.toISOString(),
    },
    name: row.name,
    enabled: row.enabled,
    scope: [...row.scope],
    default_scope: details?.defaultScope,
    access_key: row.accessKey,
    reveal: row.reveal,
    resource: row.resource,
    audience: row.audience,
    token_endpoint_auth_method: row.authMethod,
    token_endpoint_auth_signing_alg: row.signingAlgorithm,
    jwks: row.jwks as WireClient['jwks'],
    jwks_uri: row.jwksUri,
    certificate_subjects: [...row.certificateSubjects],
    tls_client_certificate_bound_access_tokens: row.certificateBoundTokens,
    dpop_bound_access_tokens: row.dpopBoundTokens,
    owners: [...(row.owners ?? [])],
    description: details?.description,
    labels: details?.labels,
    metadata: details?.metadata,
    contacts: details?.contacts && [...details.contacts],
    access_token_ttl: details?.tokenTtlSeconds,
    dialects: details?.dialects && [...details.dialects],
    claims: details?.claims,
    self_rotation: details?.selfRotation,
    allowed_networks: details?.allowedNetworks && [...details.allowedNetworks],
    network_mode: details?.networkMode,
    unmet: [...row.unmet],
    notes: [...row.notes],
  };
}
