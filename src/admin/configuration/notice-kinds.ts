import { z } from 'zod';
import { listSwitches } from '../../notices/switches.ts';
import { givenKinds } from '../routes/notice-settings-routes.ts';
import { givenWebhook } from '../routes/webhook-routes.ts';
import { organizationMember } from './client-kinds.ts';
import { inOrder, pick } from './compare-documents.ts';
import type { Kind, Members } from './configuration-kind.ts';
import { settingOf } from './setting-kind.ts';

/** Documents of webhooks, and of the kinds of notices that are sent. */

const { name, ...webhookMembers } = givenWebhook;

export const webhookKind: Kind = {
  name: 'webhook',
  schema: z.strictObject({
    kind: z.literal('webhook'),
    name,
    organization: organizationMember,
    ...webhookMembers,
    status: z.enum(['enabled', 'disabled']).optional().meta({
      description: 'Left as it is if it is not given, because a receiver that fails is disabled.',
    }),
  }),
  patch: z.strictObject(givenWebhook).partial(),
  defaultsOf: () => ({ status: 'enabled' }),
  kept: ['status'],
  list: 'GET /webhooks',
  query: { limit: '200' },
  create: 'POST /webhooks',
  path: '/webhooks/{id}',
  hasActs: true,
  idOf: (shown) => String(shown['id']),
  read: async (shown, world) => ({
    ...pick(shown, ['name', 'url', 'kinds']),
    // A webhook that was disabled because it failed is not disabled by configuration.
    status: shown['disabled_as'] === 'operator' ? 'disabled' : 'enabled',
    organization: await world.organizationName(shown['organization_id']),
  }),
  async write({ kind: _, status: __, organization, ...same }, world) {
    return organization === undefined ? same : { ...same, organization_id: await world.organizationId(organization) };
  },
  async match(things, document, world) {
    const own = await world.organizationId(document['organization']);
    return things.filter(({ shown }) => shown['name'] === document['name'] && shown['organization_id'] === own);
  },
};

/** The settings of each organization. Those of a person are the person's own, and no configuration. */
export const noticeSettingsKind: Kind = {
  name: 'notice_settings',
  schema: z.strictObject({
    kind: z.literal('notice_settings'),
    organization: organizationMember,
    kinds: givenKinds.meta({ description: 'Which kinds of notices are sent. Those of the deployment apply to all.' }),
  }),
  patch: z.strictObject({ kinds: givenKinds }),
  defaultsOf: () => ({}),
  ...settingOf({
    label: 'notices',
    async change({ kinds }, { id, document }, world) {
      const body = { organization_id: id, kinds: withoutOthers(document['kinds'], kinds) };
      await world.call('PATCH /notices/settings', { body });
    },
  }),
  async read(shown, world) {
    const switches = await listSwitches(world.database, String(shown['id']));
    return { organization: await world.organizationName(shown['id']), kinds: inOrder(Object.fromEntries(switches)) };
  },
};

/** Returns the kinds to send: also those that are to have no setting any more. */
function withoutOthers(before: unknown, after: unknown): Members {
  const none = Object.keys((before ?? {}) as Members).map((kind) => [kind, null]);
  return { ...Object.fromEntries(none), ...((after ?? {}) as Members) };
}
