import { z } from 'zod';
import { permissions } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { type Invitation, listInvitations } from '../../invitations/invitation-store.ts';
import { type Invited, invite, inviteAgain, withdrawInvitation } from '../../invitations/manage-invitations.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { organizationFor, requireOwnOrganization } from '../operator-auth.ts';
import { nullableTimestamp, timestamp } from '../text.ts';
import { contactName, email } from './contact-routes.ts';

const params = z.strictObject({ id: z.uuid().meta({ description: 'The ID of the invitation.' }) });
const site = z.enum(['console', 'portal']).meta({ description: 'Where the link signs the person in.' });
const maxSeconds = 30 * 86_400;

const newInvitation = z
  .strictObject({
    contact_id: z.uuid().optional().meta({ description: 'The ID of the contact who is invited.' }),
    email: email.optional().meta({
      description: 'With `name`, instead of `contact_id`: the e-mail address. If no contact has it, one is created.',
    }),
    name: contactName.optional().meta({ description: 'The name of a contact that is created.' }),
    organization_id: z.uuid().optional().meta({ description: 'The ID of the organization of that person.' }),
    permissions: z
      .array(z.enum(permissions))
      .optional()
      .meta({ description: 'The permissions of a contact that is created. You can give only those that you have.' }),
    site: site.optional().meta({
      description:
        'Where the link signs the person in. The default is the portal for people of organizations, if there is one.',
    }),
    expires_in: z
      .int()
      .min(300)
      .max(maxSeconds)
      .optional()
      .meta({ description: 'How many seconds the link works. The default is 7 days, and the maximum 30 days.' }),
  })
  .superRefine(({ contact_id: contact, ...person }, context) => {
    const isPerson = person.email !== undefined && person.name !== undefined;
    const isOther = [person.email, person.name, person.organization_id, person.permissions].some(
      (member) => member !== undefined,
    );
    if (contact === undefined ? !isPerson : isOther) {
      context.addIssue({ code: 'custom', path: ['contact_id'], message: 'send either contact_id, or email and name' });
    }
  });

/** Endpoints of invitations: links that sign people in for the first time, once. */
export function invitationEndpoints(core: Core): Endpoint[] {
  const present = (invitation: Invitation) => presentInvitation(invitation, core.clock());
  return [
    endpoint({
      method: 'post',
      path: '/invitations',
      operationId: 'createInvitation',
      permission: 'contacts:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Invite a person to the console or the portal by a link that works once',
      body: newInvitation,
      example: { email: 'ann@acme.example', name: 'Ann Lee', permissions: ['integrations:view'] },
      idempotent: true,
      answers: { 201: issuedSchema },
      problems: [409],
      handle: ({ operator, body, idempotent }) => {
        requireOwnOrganization(operator, body.organization_id);
        const person: Invited =
          body.contact_id === undefined
            ? {
                organizationId: organizationFor(operator, body.organization_id),
                email: body.email ?? '',
                name: body.name ?? '',
                permissions: body.permissions ?? [],
              }
            : { contactId: body.contact_id };
        return changeOnce(core, idempotent, async (transaction) => {
          const request = { person, site: body.site, seconds: body.expires_in };
          const { invitation, url } = await invite(transaction, core, operator, request);
          return { status: 201, body: { ...present(invitation), url } };
        });
      },
    }),
    endpoint({
      method: 'get',
      path: '/invitations',
      operationId: 'listInvitations',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'List invitations, newest first, at most 1,000',
      answers: { 200: listSchema },
      handle: async () => ({ status: 200, body: { data: (await listInvitations(core.database)).map(present) } }),
    }),
    endpoint({
      method: 'post',
      path: '/invitations/{id}/resend',
      operationId: 'resendInvitation',
      permission: 'contacts:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Send an invitation again, with a new link. The previous link no longer works',
      params,
      idempotent: true,
      answers: { 201: issuedSchema },
      problems: [409],
      handle: ({ operator, params: { id }, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const { invitation, url } = await inviteAgain(transaction, core, operator, id);
          return { status: 201, body: { ...present(invitation), url } };
        }),
    }),
    endpoint({
      method: 'delete',
      path: '/invitations/{id}',
      operationId: 'withdrawInvitation',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'Withdraw an invitation. Its link no longer works',
      params,
      answers: { 204: null },
      problems: [409],
      handle: async ({ operator, params: { id } }) => {
        await core.change((transaction) => withdrawInvitation(transaction, core, operator, id));
        return { status: 204 };
      },
    }),
  ];
}

const fields = {
  id: z.uuid().meta({ description: 'The ID of the invitation.' }),
  contact_id: z.uuid().meta({ description: 'The ID of the contact who is invited.' }),
  contact_name: z.string().meta({ description: 'The name of that contact.' }),
  email: z.string().meta({ description: 'The e-mail address of that contact.' }),
  organization_id: z.uuid().meta({ description: 'The ID of the organization of the contact.' }),
  site,
  state: z.enum(['open', 'accepted', 'expired']).meta({ description: '`open`: the link works.' }),
  invited_by: z.string().meta({ description: 'The name of the person who sent the invitation.' }),
  created_at: timestamp('When the invitation was sent'),
  expires_at: timestamp('Until when the link works'),
  accepted_at: nullableTimestamp('When the person signed in with the link. Null: not yet.'),
};

export const invitationSchema = z
  .strictObject(fields)
  .meta({ id: 'Invitation', description: 'A link that signs a person in for the first time, once.' });

const issuedSchema = z
  .strictObject({
    ...fields,
    url: z.string().meta({
      description: 'The link, shown once. If the deployment has a mail server, the contact gets it by e-mail too.',
      example: 'https://admin.example.com/console/sign-in?code=…',
    }),
  })
  .meta({ id: 'IssuedInvitation', description: 'An invitation with its link.' });

const listSchema = z
  .strictObject({ data: z.array(invitationSchema).meta({ description: 'The invitations.' }) })
  .meta({ id: 'Invitations', description: 'The latest invitations.' });

function presentInvitation(invitation: Invitation, now: number): z.input<typeof invitationSchema> {
  const isOver = invitation.expiresAt.getTime() <= now;
  return {
    id: invitation.id,
    contact_id: invitation.contactId,
    contact_name: invitation.contactName,
    email: invitation.email,
    organization_id: invitation.organizationId,
    site: invitation.site,
    state: invitation.acceptedAt ? 'accepted' : isOver ? 'expired' : 'open',
    invited_by: invitation.invitedName,
    created_at: invitation.createdAt.toISOString(),
    expires_at: invitation.expiresAt.toISOString(),
    accepted_at: invitation.acceptedAt?.toISOString() ?? null,
  };
}
