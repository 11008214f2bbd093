export const permissions = [
  'integrations:view',
  'integrations:edit',
  'api_key:manage',
  'contacts:manage',
  'audit:view',
] as const;

/** What an operator may do on the admin listener. */
export type Permission = (typeof permissions)[number];
