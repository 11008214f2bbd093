import { z } from 'zod';
import { findContact } from '../../contacts/contact-store.ts';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import { endAllSessions, endSession } from '../../sessions/manage-sessions.ts';
import { type ListedSession, listSessions, signInMethods } from '../../sessions/session-store.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import type { Operator } from '../operator-auth.ts';
import { timestamp } from '../text.ts';
import { contactParams } from './contact-routes.ts';

const sessionId = z.uuid().meta({ description: 'The ID of the session.' });
const ownParams = z.strictObject({ session_id: sessionId });

/** Endpoints that list and end the sign-ins of people: one's own, and those of a contact. */
export function sessionEndpoints(core: Core): Endpoint[] {
  const list = async (contactId: string) => ({
    status: 200,
    body: { data: (await listSessions(core.database, contactId, new Date(core.clock()))).map(presentSession) },
  });
  const end = async (operator: Operator, contactId: string, id: string) => {
    await core.change((transaction) => endSession(transaction, core, operator, { contactId, id }));
    return { status: 204 };
  };
  const endAll = async (operator: Operator, contactId: string) => {
    const ended = await core.change((transaction) => endAllSessions(transaction, core, operator, contactId));
    return { status: 200, body: { ended } };
  };

  return [
    endpoint({
      method: 'get',
      path: '/me/sessions',
      operationId: 'listOwnSessions',
      permission: null,
      reach: 'organization',
      summary: 'List your sessions, last used first',
      answers: { 200: sessionsSchema },
      handle: ({ operator }) => list(operator.id),
    }),
    endpoint({
      method: 'delete',
      path: '/me/sessions/{session_id}',
      operationId: 'endOwnSession',
      permission: null,
      reach: 'organization',
      summary: 'End one of your sessions',
      params: ownParams,
      answers: { 204: null },
      handle: ({ operator, params }) => end(operator, operator.id, params.session_id),
    }),
    endpoint({
      method: 'delete',
      path: '/me/sessions',
      operationId: 'endOwnSessions',
      permission: null,
      reach: 'organization',
      summary: 'End all of your sessions',
      answers: { 200: endedSchema },
      handle: ({ operator }) => endAll(operator, operator.id),
    }),
    endpoint({
      method: 'get',
      path: '/contacts/{id}/sessions',
      operationId: 'listSessions',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'List the sessions of a contact, last used first',
      params: contactParams,
      answers: { 200: sessionsSchema },
      handle: async ({ params }) => {
        if (!(await findContact(core.database, params.id))) throw new NotFound('contact');
        return await list(params.id);
      },
    }),
    endpoint({
      method: 'delete',
      path: '/contacts/{id}/sessions/{session_id}',
      operationId: 'endSession',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'End a session of a contact',
      params: contactParams.extend(ownParams.shape),
      answers: { 204: null },
      handle: ({ operator, params }) => end(operator, params.id, params.session_id),
    }),
    endpoint({
      method: 'delete',
      path: '/contacts/{id}/sessions',
      operationId: 'endSessions',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'End all sessions of a contact',
      params: contactParams,
      answers: { 200: endedSchema },
      handle: async ({ operator, params }) => {
        if (!(await findContact(core.database, params.id))) throw new NotFound('contact');
        return await endAll(operator, params.id);
      },
    }),
  ];
}

export const sessionSchema = z
  .strictObject({
    id: sessionId,
    method: z.enum(signInMethods).meta({ description: 'How the person signed in.' }),
    address: z.string().nullable().meta({
      description: 'The IP address at sign-in. Null: unknown, because an earlier version started the session.',
      example: '192.0.2.7',
    }),
    user_agent: z.string().nullable().meta({ description: 'The browser at sign-in.', example: 'Mozilla/5.0' }),
    created_at: timestamp('When the person signed in'),
    last_seen_at: timestamp('When the session was last used, to the minute'),
    expires_at: timestamp('When the session ends if it is not used again'),
  })
  .meta({ id: 'Session', description: 'A sign-in of a person in a browser.' });

const sessionsSchema = z
  .strictObject({ data: z.array(sessionSchema).meta({ description: 'The sessions.' }) })
  .meta({ id: 'Sessions', description: 'The sessions of one person that have not ended.' });

const endedSchema = z
  .strictObject({ ended: z.int().meta({ description: 'How many sessions were ended.' }) })
  .meta({ id: 'EndedSessions', description: 'What was ended.' });

function presentSession(session: ListedSession): z.input<typeof sessionSchema> {
  return {
    id: session.id,
    method: session.method,
    address: session.address,
    user_agent: session.userAgent,
    created_at: session.createdAt.toISOString(),
    last_seen_at: session.lastSeenAt.toISOString(),
    expires_at: session.expiresAt.toISOString(),
  };
}
