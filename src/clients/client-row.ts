import type { Dialect } from '../configuration/dialects.ts';
import type { NetworkMode } from '../http/allowed-networks.ts';
import type { Row } from '../storage/database.ts';
import type { CertificateSubject } from './certificate-subject.ts';
import type { AuthMethod, Client, ClientKind, ScopeHistory, TokenFormat, TokenTyp } from './client.ts';
import type { Labels } from './client-details.ts';
import { type Claims, readClaims } from './custom-claims.ts';
import type { DeclaredScope } from './declared-scopes.ts';
import type { ClientJwks } from './verification-key.ts';

/** A row of the table `clients`. */
export type ClientRow = Row & {
  id: string;
  client_id: string;
  kind: ClientKind;
  organization: string;
  name: string;
  enabled: boolean;
  scope: string[];
  scope_version: number;
  scope_history: ScopeHistory;
  access_key: 'optional' | 'required';
  reveal: boolean;
  auth_method: AuthMethod;
  jwks: ClientJwks | null;
  jwks_uri: string | null;
  certificate_subject: CertificateSubject | null;
  certificate_bound_tokens: boolean;
  dpop_bound_tokens: boolean;
  self_rotation: boolean;
  allowed_networks: string[] | null;
  network_mode: NetworkMode;
  resource: string | null;
  information: string[] | null;
  scopes: readonly DeclaredScope[];
  token_format: TokenFormat | null;
  token_typ: TokenTyp;
  access_token_ttl: number | null;
  default_scope: string[] | null;
  dialects: Dialect[];
  claims: Claims;
  owner_contact: string | null;
  description: string | null;
  labels: Labels;
  metadata: Readonly<Record<string, unknown>>;
  contacts: string[];
  token_epoch: number;
  tokens_not_before: Date | null;
  revision: number;
  created_at: Date;
  updated_at: Date;
};

export function toRow(client: Client): ClientRow {
  const { details } = client;
  // Its details would be lost.
  if (!details) throw new Error('a client from the cache cannot be stored');
  return {
    id: client.id,
    client_id: client.clientId,
    kind: client.kind,
    organization: client.organizationId,
    name: client.name,
    enabled: client.enabled,
    scope: [...client.scope],
    scope_version: client.scopeVersion,
    scope_history: client.scopeHistory,
    access_key: client.accessKey,
    reveal: client.reveal,
    auth_method: client.authMethod,
    jwks: client.jwks,
    jwks_uri: client.jwksUri,
    certificate_subject: client.certificateSubject,
    certificate_bound_tokens: client.certificateBoundTokens,
    dpop_bound_tokens: client.dpopBoundTokens,
    self_rotation: client.selfRotation,
    allowed_networks: client.allowedNetworks && [...client.allowedNetworks],
    network_mode: client.networkMode,
    resource: client.resource,
    information: client.kind === 'resource_server' ? [...client.information] : null,
    scopes: client.scopes,
    token_format: client.tokenFormat,
    // The column always has a value, so that clients that an earlier version registers get the default.
    token_typ: client.tokenTyp ?? 'at+jwt',
    access_token_ttl: client.tokenTtlSeconds,
    default_scope: client.defaultScope && [...client.defaultScope],
    dialects: [...client.dialects],
    claims: client.claims,
    owner_contact: details.ownerContactId,
    description: details.description,
    labels: details.labels,
    metadata: details.metadata,
    contacts: [...details.contacts],
    token_epoch: client.tokenEpoch,
    tokens_not_before: client.tokensNotBefore,
    revision: client.revision,
    created_at: client.createdAt,
    updated_at: client.updatedAt,
  };
}

export function toClient(row: ClientRow): Client {
  return {
    id: row.id,
    clientId: row.client_id,
    kind: row.kind,
    organizationId: row.organization,
    name: row.name,
    enabled: row.enabled,
    scope: row.scope,
    scopeVersion: row.scope_version,
    scopeHistory: row.scope_history,
    accessKey: row.access_key,
    reveal: row.reveal,
    authMethod: row.auth_method,
    jwks: row.jwks,
    jwksUri: row.jwks_uri,
    certificateSubject: row.certificate_subject,
    certificateBoundTokens: row.certificate_bound_tokens,
    dpopBoundTokens: row.dpop_bound_tokens,
    selfRotation: row.self_rotation,
    allowedNetworks: row.allowed_networks,
    networkMode: row.network_mode,
    resource: row.resource,
    information: row.information ?? [],
    scopes: row.scopes,
    tokenFormat: row.token_format,
    tokenTyp: row.token_format === 'jwt' ? row.token_typ : null,
    tokenTtlSeconds: row.access_token_ttl,
    defaultScope: row.default_scope,
    dialects: row.dialects,
    claims: readClaims(row.claims),
    details: {
      ownerContactId: row.owner_contact,
      description: row.description,
      labels: row.labels,
      metadata: row.metadata,
      contacts: row.contacts,
    },
    tokenEpoch: row.token_epoch,
    tokensNotBefore: row.tokens_not_before,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Returns a client as the audit log records it. */
export function auditView(client: Client): Record<string, unknown> {
  const {
    id: _id,
    created_at: _createdAt,
    updated_at: _updatedAt,
    owner_contact,
    organization,
    ...recorded
  } = toRow(client);
  return {
    ...recorded,
    owner_contact_id: owner_contact,
    organization_id: organization,
    scope: client.scope.join(' '),
    default_scope: client.defaultScope?.join(' ') ?? null,
    information: client.information,
    scopes: client.scopes.map(({ id: _permission, since: _since, united: _united, ...declared }) => declared),
    token_typ: client.tokenTyp,
  };
}
