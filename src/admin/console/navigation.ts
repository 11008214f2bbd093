import type { Permission } from '../../operators/permission.ts';
import type { Section } from './page.ts';

type Entry = { section: Section; label: string; path: `/console/${string}`; permissions: readonly Permission[] };

const entries: readonly Entry[] = [
  {
    section: 'integrations',
    label: 'Integrations',
    path: '/console/integrations',
    permissions: ['integrations:view', 'api_key:manage'],
  },
  { section: 'access-keys', label: 'Access keys', path: '/console/access-keys', permissions: ['integrations:view'] },
  {
    section: 'contacts',
    label: 'Contacts',
    path: '/console/contacts',
    permissions: ['integrations:view', 'contacts:manage'],
  },
  {
    section: 'resource-servers',
    label: 'Resource servers',
    path: '/console/resource-servers',
    permissions: ['integrations:view', 'api_key:manage'],
  },
  { section: 'signing-keys', label: 'Signing keys', path: '/console/signing-keys', permissions: ['integrations:view'] },
  { section: 'audit', label: 'Audit log', path: '/console/audit', permissions: ['audit:view'] },
  { section: 'settings', label: 'Settings', path: '/console/settings', permissions: ['integrations:view'] },
];

/** The sections that somebody may see at least a part of. */
export function sectionsFor(permissions: readonly Permission[]): Entry[] {
  return entries.filter((entry) => entry.permissions.some((permission) => permissions.includes(permission)));
}
