import { type Permission, permissions } from '../contacts/contact.ts';

/** One permission of each value of a claim, as people write it: `admins = all`, or `auditors = audit:view @ID`. */
export type WrittenGrant = { value: string; permissions: Permission[]; organization_id?: string };

/**
 * Reads a line such as `admins = integrations:view, audit:view`. After an `@` stands the ID of the organization that the
 * permissions are limited to, if it is not that of the provider.
 * @returns undefined if it is malformed, or names something that is not a permission.
 */
export function readGrant(line: string): WrittenGrant | undefined {
  const [, value = '', list = '', organization] = /^(.*)=([^=@]*)(?:@\s*([\w-]+)\s*)?$/.exec(line) ?? [];
  const names = list.split(/[\s,]+/).filter(Boolean);
  const granted = names.includes('all') ? permissions : names;
  const isKnown = granted.every((name) => (permissions as readonly string[]).includes(name));
  if (value.trim() === '' || names.length === 0 || !isKnown) return undefined;
  return {
    value: value.trim(),
    permissions: [...granted] as Permission[],
    ...(organization === undefined ? {} : { organization_id: organization }),
  };
}

/** Writes a grant as a line that `readGrant` reads. */
export function writeGrant(grant: {
  value: string;
  permissions: readonly Permission[];
  organization_id?: string | null | undefined;
}): string {
  const { value, permissions: granted, organization_id: organization } = grant;
  const list = granted.length === permissions.length ? 'all' : granted.join(', ');
  return `${value} = ${list}${organization ? ` @${organization}` : ''}`;
}
