import type { Actor } from '../audit/audit-log.ts';
import { Forbidden } from '../errors.ts';
import type { Permission } from './contact.ts';

/**
 * The acting operator, with its permissions. An operator can grant only permissions that it has.
 * @property organizationId the organization that its permissions are limited to, or null for the whole deployment.
 */
export type Grantor = Actor & {
  permissions: readonly Permission[];
  organizationId: string | null;
  /** The id of the bounded token that it uses; undefined for any other way to sign in. */
  boundedToken?: string | undefined;
  /** Whether that token is for emergencies. */
  breakGlass?: boolean;
};

/** @throws {Forbidden} for a token with limits, which must not give itself one with fewer. */
export function requireUnbounded({ boundedToken }: Grantor): void {
  if (boundedToken === undefined) return;
  throw new Forbidden(
    'An operator token with limits cannot issue operator tokens. Use the console, or the operator token of the contact.',
  );
}

export function requireMayGrant(grantor: Grantor, permissions: readonly Permission[]): void {
  const lacking = permissions.filter((permission) => !grantor.permissions.includes(permission));
  if (lacking.length > 0)
    throw new Forbidden(
      `You need every permission that the contact has or gets. You do not have: ${lacking.join(', ')}.`,
    );
}
