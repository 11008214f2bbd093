import { actions } from '../clients/client.ts';
import type { Secret } from '../credentials/secret.ts';

/** A credential of one contact: says who calls, and what they may touch. */
export type AccessKey = {
  id: string;
  contactId: string;
  /** Unique within the contact. */
  name: string;
  /** Its permissions, as `kind:action`. */
  scope: readonly string[];
  /** The ids of the clients that it may be used with; null: any. */
  clients: readonly string[] | null;
  enabled: boolean;
  reveal: boolean;
  expiresAt: Date | null;
  /** When it was used first; null: never. */
  usedAt: Date | null;
  /** To within an hour; null: never. */
  lastUsedAt: Date | null;
  /** Tokens obtained under an earlier epoch are dead. */
  tokenEpoch: number;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
};

/** All that a request needs to know of an access key and its values, newest first. */
export type KnownAccessKey = { key: AccessKey; secrets: readonly Secret[] };

/** By kind of information, the actions that are allowed: `{ orders: ['read'] }`. */
export type Permissions = Readonly<Record<string, readonly string[]>>;

export type AccessKeyStatus = 'enabled' | 'disabled' | 'expired';

export function statusOf(key: Pick<AccessKey, 'enabled' | 'expiresAt'>, now: number): AccessKeyStatus {
  if (!key.enabled) return 'disabled';
  return key.expiresAt !== null && key.expiresAt.getTime() <= now ? 'expired' : 'enabled';
}

/** Whether it may be used with a client now. @param client the client's id. */
export function isUsable(key: AccessKey, client: string, now: number): boolean {
  return statusOf(key, now) === 'enabled' && (key.clients === null || key.clients.includes(client));
}

export function toScope(permissions: Permissions): string[] {
  return Object.entries(permissions).flatMap(([kind, allowed]) =>
    actions.filter((action) => allowed.includes(action)).map((action) => `${kind}:${action}`),
  );
}

export function toPermissions(scope: readonly string[]): Record<string, string[]> {
  const permissions = new Map<string, string[]>();
  for (const item of scope) {
    const [kind = '', action = ''] = item.split(':');
    permissions.set(kind, [...(permissions.get(kind) ?? []), action]);
  }
  return Object.fromEntries(permissions);
}
