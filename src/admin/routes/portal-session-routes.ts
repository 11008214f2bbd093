import { z } from 'zod';
import { permissions } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { requireOwnOrganization } from '../operator-auth.ts';
import { issuePortalLink } from '../portal/issue-portal-link.ts';
import { webUrl } from '../presenters/present-portal.ts';
import { timestamp } from '../text.ts';
import { contactName, email } from './contact-routes.ts';

const maxSeconds = 86_400;

const newSession = z
  .strictObject({
    contact_id: z.uuid().optional().meta({ description: 'The ID of the contact who signs in.' }),
    organization_id: z
      .uuid()
      .optional()
      .meta({ description: 'With `email` and `name`, instead of `contact_id`: the organization of the person.' }),
    email: email.optional().meta({
      description: 'The e-mail address of the person. If no contact of the organization has it, one is created.',
    }),
    name: contactName.optional().meta({ description: 'The name of a contact that is created.' }),
    permissions: z
      .array(z.enum(permissions))
      .optional()
      .meta({
        description:
          'What the person may do in this session, and the permissions of a contact that is created. You can give only permissions that you have yourself. By default, those of the contact. Without any, the person sees their own access keys.',
        example: ['integrations:view', 'integrations:edit', 'api_key:manage'],
      }),
    return_url: webUrl.optional().meta({
      description:
        'The page of your product that the person returns to. Its origin must be in `portal.return_origins` of the organization or of that of the deployment. By default, `portal.return_url`.',
    }),
    expires_in: z
      .int()
      .min(60)
      .max(maxSeconds)
      .default(300)
      .meta({ description: 'How many seconds the link may be opened, from 60 to 86400.' }),
  })
  .superRefine(({ contact_id: contactId, organization_id: organizationId, ...person }, context) => {
    const given = [organizationId, person.email, person.name].filter((member) => member !== undefined).length;
    const isClear = contactId === undefined ? given === 3 : given === 0;
    if (!isClear) {
      const message = 'send either contact_id, or organization_id with email and name';
      context.addIssue({ code: 'custom', path: ['contact_id'], message });
    }
  });

const sessionSchema = z
  .strictObject({
    url: z.string().meta({
      description: 'The link. Send only the browser of the person to it. It works once.',
      example: 'https://portal.example.com/portal/sign-in?code=…',
    }),
    expires_at: timestamp('Until when the link may be opened'),
    contact_id: z.uuid().meta({ description: 'The ID of the contact who signs in.' }),
    organization_id: z.uuid().meta({ description: 'The ID of the organization of the contact.' }),
    permissions: z.array(z.enum(permissions)).meta({ description: 'What the person may do in the session.' }),
    return_url: z.string().nullable().meta({ description: 'Where the person returns to. Null: there is no way back.' }),
  })
  .meta({ id: 'PortalSession', description: 'A link that signs a person in to the portal once.' });

export function portalSessionEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/portal-sessions',
      operationId: 'createPortalSession',
      permission: 'contacts:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Create a link that signs a person of an organization in to the portal once',
      body: newSession,
      example: {
        organization_id: '3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11',
        email: 'ann@acme.example',
        name: 'Ann Lee',
        permissions: ['integrations:view', 'integrations:edit', 'api_key:manage'],
        return_url: 'https://app.example.com/settings',
      },
      idempotent: true,
      answers: { 201: sessionSchema },
      problems: [409],
      handle: async ({ operator, body, idempotent }) => {
        const { contact_id: contactId, organization_id: organizationId = '', email: address = '', name = '' } = body;
        if (contactId === undefined) requireOwnOrganization(operator, organizationId);
        const person = contactId === undefined ? { organizationId, email: address, name } : { contactId };
        return await changeOnce(core, idempotent, async (transaction) => {
          const issued = await issuePortalLink(transaction, core, operator, {
            person,
            permissions: body.permissions,
            returnUrl: body.return_url,
            expiresIn: body.expires_in,
          });
          return {
            status: 201,
            body: {
              url: issued.url,
              expires_at: issued.expiresAt.toISOString(),
              contact_id: issued.contact.id,
              organization_id: issued.contact.organizationId,
              permissions: issued.permissions,
              return_url: issued.returnUrl,
            },
          };
        });
      },
    }),
  ];
}
