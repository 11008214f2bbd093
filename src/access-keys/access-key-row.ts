import type { ScopeHistory } from '../clients/client.ts';
import type { Labels } from '../clients/client-details.ts';
import { type Claims, readClaims } from '../clients/custom-claims.ts';
import type { NetworkMode } from '../http/allowed-networks.ts';
import { parseSecrets } from '../secrets/secret-store.ts';
import type { Row } from '../storage/database.ts';
import type { AccessKey, KnownAccessKey } from './access-key.ts';

/** A row of the table `access_keys`. */
export type KeyRow = Row & {
  id: string;
  contact: string;
  organization: string;
  name: string;
  scope: string[];
  scope_version: number;
  scope_history: ScopeHistory;
  clients: string[] | null;
  standalone: boolean;
  allowed_networks: string[] | null;
  network_mode: NetworkMode;
  requests_per_minute: number | null;
  claims: Claims;
  description: string | null;
  labels: Labels;
  enabled: boolean;
  reveal: boolean;
  expires_at: Date | null;
  used_at: Date | null;
  last_used_at: Date | null;
  token_epoch: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
};

/** Returns the values of the columns description, labels and claims. */
export function storedNotes({ notes, claims }: AccessKey): [string | null, string, string] {
  // Saving such a key would delete its notes.
  if (!notes) throw new Error('an access key from the cache cannot be stored');
  return [notes.description, JSON.stringify(notes.labels), JSON.stringify(claims)];
}

/** Returns the values of the columns standalone, allowed_networks, requests_per_minute and network_mode. */
export function storedLimits(key: AccessKey): [boolean, readonly string[] | null, number | null, NetworkMode] {
  return [key.standalone, key.allowedNetworks, key.requestsPerMinute, key.networkMode];
}

export function toKnown(row: KeyRow & { secrets: string }): KnownAccessKey {
  return { key: toAccessKey(row), secrets: parseSecrets(row.secrets) };
}

export function toAccessKey(row: KeyRow): AccessKey {
  return {
    id: row.id,
    contactId: row.contact,
    name: row.name,
    scope: row.scope,
    scopeVersion: row.scope_version,
    scopeHistory: row.scope_history,
    clients: row.clients,
    standalone: row.standalone,
    allowedNetworks: row.allowed_networks,
    networkMode: row.network_mode,
    requestsPerMinute: row.requests_per_minute,
    claims: readClaims(row.claims),
    notes: { description: row.description, labels: row.labels },
    organizationId: null,
    enabled: row.enabled,
    reveal: row.reveal,
    expiresAt: row.expires_at,
    usedAt: row.used_at,
    lastUsedAt: row.last_used_at,
    tokenEpoch: row.token_epoch,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
