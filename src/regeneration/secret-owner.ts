import type { AuditEvent } from '../audit/audit-log.ts';
import type { SecretPrefix } from '../credentials/credential-format.ts';
import type { PepperPurpose } from '../credentials/verifier.ts';
import type { Transaction } from '../storage/database.ts';

/** Whose secrets: the row of `clients` or of `access_keys`. */
export type OwnerRef = { kind: 'client' | 'access_key'; id: string };

/**
 * Whoever has secrets that can be regenerated, locked by the transaction at hand. All that differs between a client and an access
 * key is in here; the rest of this folder is the same for both.
 */
export type SecretOwner = OwnerRef & {
  prefix: SecretPrefix;
  pepper: PepperPurpose;
  /** Whether sealed copies of its secrets are kept, where the deployment keeps any. */
  reveal: boolean;
  /** How it is known outside, as in the audit log: the current Client ID, or the access key's id. */
  target: string;
  targetType: AuditEvent['targetType'];
  /** The Client ID that its next secret goes with; null for an access key. */
  clientId: string | null;
  enabled: boolean;
  /** Rises with every change of the owner. */
  revision: number;
  /** The owner's count that its tokens carry: those of an earlier one are dead. */
  tokenEpoch: number;
  /** Writes the owner as changed and tells every process to forget what it has cached of it. */
  save(transaction: Transaction, change: OwnerChange, at: Date): Promise<void>;
};

type OwnerChange = {
  /** The Client ID that it has from now on; earlier ones keep answering for secrets that go with them. */
  clientId?: string | undefined;
  /** Kills every live token, in this one write. */
  tokens?: 'revoke' | undefined;
};
