import { invalidField } from '../errors.ts';
import { anyNetwork, type GivenNetworks, narrowsNetworks, networkLimitOf } from '../http/allowed-networks.ts';
import { type AccessKey, otherScopes, toPermissions } from './access-key.ts';

/** Where an access key is accepted: alone or with a client, from which networks, and how often. */

type Limits = Pick<AccessKey, 'standalone' | 'allowedNetworks' | 'networkMode' | 'requestsPerMinute'>;

export type GivenLimits = GivenNetworks & {
  standalone?: boolean | undefined;
  requestsPerMinute?: number | null | undefined;
};

export const unlimited: Limits = { standalone: false, ...anyNetwork, requestsPerMinute: null };

/** Returns the limits of a key after a change. A key that no longer stands alone loses its limit of requests. */
export function limitsOf(given: GivenLimits, before: Limits): Limits {
  const standalone = given.standalone ?? before.standalone;
  const kept = standalone || given.requestsPerMinute !== undefined ? before.requestsPerMinute : null;
  return {
    standalone,
    ...networkLimitOf(given, before),
    requestsPerMinute: given.requestsPerMinute === undefined ? kept : given.requestsPerMinute,
  };
}

/** @throws {InvalidInput} if the members of a key contradict each other, or the deployment has no stand-alone keys. */
export function requireConsistent(
  key: AccessKey,
  { wasStandalone }: { wasStandalone: boolean },
  { standaloneKeys }: { standaloneKeys: boolean },
): void {
  if (key.standalone && !wasStandalone && !standaloneKeys) {
    throw invalidField('standalone', 'this deployment accepts no stand-alone keys; set KEYTURN_STANDALONE_KEYS=on');
  }
  if (key.standalone && key.clients !== null) {
    throw invalidField('standalone', 'a key that is limited to clients cannot stand alone');
  }
  if (key.requestsPerMinute !== null && !key.standalone) {
    throw invalidField('requests_per_minute', 'only a stand-alone key can have this limit');
  }
}

/** Returns whether a change can end uses of a key: fewer clients, other networks, not alone any more, or an earlier end. */
export function isLimited(before: AccessKey, after: AccessKey): boolean {
  const losesClient = (before.clients ?? [null]).some(
    (id) => after.clients !== null && !after.clients.includes(id ?? ''),
  );
  const end = ({ expiresAt }: AccessKey) => expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
  return (
    losesClient ||
    narrowsNetworks(before, after) ||
    (before.standalone && !after.standalone) ||
    end(after) < end(before)
  );
}

/** Returns an access key as the audit log records it. */
export function auditView(key: AccessKey): Record<string, unknown> {
  return {
    contact_id: key.contactId,
    name: key.name,
    permissions: toPermissions(key.scope),
    scope: otherScopes(key.scope).join(' '),
    clients: key.clients,
    standalone: key.standalone,
    allowed_networks: key.allowedNetworks,
    network_mode: key.networkMode,
    requests_per_minute: key.requestsPerMinute,
    ...key.notes,
    claims: key.claims,
    enabled: key.enabled,
    expires_at: key.expiresAt,
    reveal: key.reveal,
    revision: key.revision,
  };
}
