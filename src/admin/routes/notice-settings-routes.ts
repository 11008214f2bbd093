import { z } from 'zod';
import { appendAuditEvent } from '../../audit/audit-log.ts';
import { findContact } from '../../contacts/contact-store.ts';
import type { Core } from '../../core.ts';
import { invalidField, NotFound } from '../../errors.ts';
import { type NoticeKind, noticeKinds } from '../../notices/notice.ts';
import { kindNames } from '../../notices/notice-kinds-text.ts';
import { findEnabledKinds, findSwitches, type SwitchScope, saveSwitches } from '../../notices/switches.ts';
import { findOrganization } from '../../organizations/organization-store.ts';
import type { Queryable } from '../../storage/database.ts';
import { deploymentOrganization } from '../../storage/organization-limit.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { type Operator, organizationFor } from '../operator-auth.ts';

const kinds = Object.keys(noticeKinds) as [NoticeKind, ...NoticeKind[]];
const organization = z.uuid().optional().meta({
  description: 'The ID of the organization whose settings are meant. The default is that of the operator.',
});
const contact = z.uuid().optional().meta({ description: 'The ID of the contact whose settings are meant.' });
const given = z.boolean().nullable().optional();
export const givenKinds = z
  .strictObject(
    Object.fromEntries(
      kinds.map((kind) => [kind, given.meta({ description: `${kindNames.en[kind]}. Null: as above.` })]),
    ),
  )
  .meta({ description: 'The kinds. Null removes the setting, so that the scope above decides.' });

export const noticeSettingsSchema = z
  .strictObject({
    name: z.string().meta({ description: 'The name of the organization or contact.' }),
    data: z
      .array(
        z.strictObject({
          kind: z.enum(kinds).meta({ description: 'The kind of notice.' }),
          description: z.string().meta({ description: 'What it tells, as an English sentence.' }),
          mandatory: z.boolean().meta({ description: 'Whether it cannot be switched off.' }),
          enabled: z.boolean().meta({ description: 'Whether it is sent, by all settings that apply.' }),
          setting: z.boolean().nullable().meta({ description: 'The setting of this scope. Null: none of its own.' }),
        }),
      )
      .meta({ description: 'Every kind of notice.' }),
  })
  .meta({ id: 'NoticeSettings', description: 'Which kinds of notices are sent.' });

export function noticeSettingsEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/notices/settings',
      operationId: 'getNoticeSettings',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get which kinds of notices are sent in an organization, or to a contact',
      query: z.strictObject({ organization_id: organization, contact_id: contact }),
      answers: { 200: noticeSettingsSchema },
      problems: [404],
      handle: async ({ operator, query }) => {
        const scope = await findScope(core.database, operator, query);
        return { status: 200, body: await show(core, core.database, scope) };
      },
    }),
    endpoint({
      method: 'patch',
      path: '/notices/settings',
      operationId: 'updateNoticeSettings',
      permission: 'contacts:manage',
      reach: 'organization',
      summary:
        'Switch kinds of notices on or off, in an organization or for a contact. Only the kinds that are sent change',
      body: z.strictObject({
        organization_id: organization,
        contact_id: contact,
        kinds: givenKinds,
      }),
      example: { kinds: { credential_unused: false } },
      answers: { 200: noticeSettingsSchema },
      problems: [404],
      handle: async ({ operator, body }) => {
        const scope = await core.change(async (transaction) => {
          const found = await findScope(transaction, operator, body);
          const changes = new Map(
            (Object.entries(body.kinds) as [NoticeKind, boolean | null | undefined][]).flatMap(([kind, isOn]) =>
              isOn === undefined ? [] : [[kind, isOn] as const],
            ),
          );
          const fixed = [...changes.keys()].find(
            (kind) => noticeKinds[kind].isMandatory && changes.get(kind) === false,
          );
          if (fixed) {
            const message = 'cannot be switched off, because it tells of changes to who has access';
            throw invalidField(`kinds.${fixed}`, message);
          }
          const before = await findSwitches(transaction, found);
          await saveSwitches(transaction, found, changes);
          await appendAuditEvent(transaction, {
            at: new Date(core.clock()),
            actor: operator,
            action: 'notices.switch',
            targetType: found.receiver === null ? 'organization' : 'contact',
            target: found.receiver ?? found.organizationId,
            before: Object.fromEntries([...changes.keys()].map((kind) => [kind, before.get(kind) ?? null])),
            after: Object.fromEntries(changes),
          });
          return found;
        });
        // The settings of the deployment cannot be read in the transaction of an operator of an organization.
        return { status: 200, body: await show(core, core.database, scope) };
      },
    }),
  ];
}

type NamedScope = SwitchScope & { name: string };

/** @throws {NotFound} if the contact or the organization does not exist for this operator. */
async function findScope(
  database: Queryable,
  operator: Operator,
  {
    organization_id: organizationId,
    contact_id: contactId,
  }: { organization_id?: string | undefined; contact_id?: string | undefined },
): Promise<NamedScope> {
  const asked = organizationFor(operator, organizationId) ?? deploymentOrganization;
  if (contactId !== undefined) {
    const found = await findContact(database, contactId);
    if (!found) throw new NotFound('contact');
    return { organizationId: found.organizationId, receiver: found.id, name: found.name };
  }
  const found = await findOrganization(database, asked);
  if (!found) throw new NotFound('organization');
  return { organizationId: found.id, receiver: null, name: found.name };
}

/** The settings of the deployment apply to all organizations, but their operators cannot read its rows. */
async function show(core: Core, database: Queryable, scope: NamedScope): Promise<z.input<typeof noticeSettingsSchema>> {
  const own = await findSwitches(database, scope);
  const inherited = await findEnabledKinds(core.unlimitedDatabase, scope);
  return {
    name: scope.name,
    data: kinds.map((kind) => {
      const setting = own.get(kind) ?? null;
      const { isMandatory: mandatory } = noticeKinds[kind];
      const enabled = mandatory || (setting ?? inherited.has(kind));
      return { kind, description: kindNames.en[kind], mandatory, enabled, setting };
    }),
  };
}
