import type { Permission } from '../contacts/contact.ts';
import type { NetworkLimit } from '../http/allowed-networks.ts';

/**
 * An operator token with a name and an end, for a program or a command line. It may do at most what its contact may do
 * now. A contact can have many, beside the one that it signs in to the console with.
 */
export type BoundedToken = NetworkLimit & {
  id: string;
  contactId: string;
  contactName: string;
  name: string;
  /** The last four characters. */
  hint: string;
  permissions: readonly Permission[];
  /** The organization that it is limited to, for a contact of the deployment; null: the reach of its contact. */
  organizationId: string | null;
  /** Whether each use is an alarm: for emergencies alone. */
  breakGlass: boolean;
  createdAt: Date;
  /** Null: it does not end by itself. */
  expiresAt: Date | null;
  /** To the minute. */
  lastUsedAt: Date | null;
};
