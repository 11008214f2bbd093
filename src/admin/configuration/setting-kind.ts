import type { Kind } from './configuration-kind.ts';

type SettingMembers = 'list' | 'query' | 'path' | 'setting' | 'idOf' | 'write' | 'match';

/** Returns the members of a kind that each organization has exactly one of. */
export function settingOf(setting: NonNullable<Kind['setting']>): Pick<Kind, SettingMembers> {
  return {
    list: 'GET /organizations',
    query: { limit: '200' },
    path: '/organizations/{id}',
    setting,
    idOf: (shown) => String(shown['id']),
    write: async (members) => members,
    async match(things, { organization }, world) {
      const own = await world.organizationId(organization);
      return things.filter(({ id }) => id === own);
    },
  };
}
