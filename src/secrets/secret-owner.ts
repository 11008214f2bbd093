import type { AuditEvent } from '../audit/audit-log.ts';
import type { SecretPrefix } from '../credentials/credential-format.ts';
import type { PepperPurpose } from '../credentials/verifier.ts';
import type { Transaction } from '../storage/database.ts';

/** The owner of secrets: a row of `clients` or of `access_keys`. */
export type OwnerRef = { kind: 'client' | 'access_key'; id: string };

/**
 * An owner of secrets, locked by the current transaction. It contains everything that differs between a client and an
 * access key; the rest of this folder is the same for both.
 */
export type SecretOwner = OwnerRef & {
  prefix: SecretPrefix;
  pepper: PepperPurpose;
  /** Whether sealed copies of its secrets are kept, if the deployment keeps any. */
  reveal: boolean;
  /** Public name of the owner, for example in the audit log: the current Client ID, or the id of the access key. */
  target: string;
  targetType: AuditEvent['targetType'];
  /** The Client ID for its next secret; null for an access key. */
  clientId: string | null;
  enabled: boolean;
  /** Increases with every change of the owner. */
  revision: number;
  /** Epoch that the owner's valid tokens carry. Tokens of any other epoch are revoked. */
  tokenEpoch: number;
  /** Saves the changed owner and makes every process drop it from its cache. */
  save(transaction: Transaction, change: OwnerChange, at: Date): Promise<void>;
};

type OwnerChange = {
  /** New Client ID. Earlier ones keep working with the secrets that belong to them. */
  clientId?: string | undefined;
  /** Revokes every live token of the owner in the same write. */
  tokens?: 'revoke' | undefined;
};
