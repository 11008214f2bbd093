import { deploymentOrganization } from '../storage/organization-limit.ts';

export const permissions = [
  'integrations:view',
  'integrations:edit',
  'api_key:manage',
  'contacts:manage',
  'audit:view',
] as const;

/** Permissions of an operator on the admin listener. */
export type Permission = (typeof permissions)[number];

/** Names of the permissions for people. */
export const permissionNames: Readonly<Record<Permission, string>> = {
  'integrations:view': 'View integrations',
  'integrations:edit': 'Edit integrations',
  'api_key:manage': 'Manage the API key',
  'contacts:manage': 'Manage contacts',
  'audit:view': 'View the audit log',
};

/** Returns the name of a permission with its code, for messages. */
export function describePermission(permission: Permission): string {
  return `“${permissionNames[permission]}” (${permission})`;
}

/** Languages in which people can receive mails (RFC 5646). */
export const contactLanguages = ['en', 'de'] as const;
export type ContactLanguage = (typeof contactLanguages)[number];

/**
 * A person or partner that the API's operator deals with. With permissions and an operator token, a contact is an
 * operator.
 */
export type Contact = {
  id: string;
  organizationId: string;
  name: string;
  email: string;
  /** The id in the caller's own system; unique. */
  externalId: string | null;
  /** The language of mails. Null: English. */
  language: ContactLanguage | null;
  permissions: readonly Permission[];
  /** The last four characters of the operator token, or null if there is none. */
  operatorTokenHint: string | null;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
};

/**
 * Returns the organization that the permissions of a contact are limited to. Null for a contact of the deployment itself,
 * whose permissions are for everything.
 */
export function reachOf({ organizationId }: Pick<Contact, 'organizationId'>): string | null {
  return organizationId === deploymentOrganization ? null : organizationId;
}
