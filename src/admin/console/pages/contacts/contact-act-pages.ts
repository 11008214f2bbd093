import { html } from 'htm/preact';
import type { Page, Visit } from '../../page.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import { copyable, pageHeading } from '../../parts/elements.ts';
import { madePage } from '../../parts/made-page.ts';
import { notice } from '../../parts/notices.ts';
import type { ShownContact } from '../../shown.ts';

const path = '/contacts/:id';
const route = 'POST /contacts/{id}/operator-token';

type Issued = ShownContact & { operator_token: string };

/** Pages that issue or revoke a contact's operator token, or delete the contact. */
export const contactActPages: readonly Page[] = [
  ...confirmedAct({
    path: `${path}/operator-token`,
    permission: 'contacts:manage',
    asksProof: true,
    confirm: async (visit) => {
      const contact = await findContact(visit);
      return {
        title: `Issue a new operator token for ${contact.name}?`,
        section: 'contacts',
        body: html`<ul class="bullets">
          <li>Whoever has it can do here what ${contact.name} can: ${contact.permissions.join(', ') || 'nothing yet'}.</li>
          <li>The one that it has now is dead at once, and so are the sessions that were started with it.</li>
          ${contact.id === visit.operator.id && html`<li><strong>This is your own.</strong> You stay signed in here. Your other sessions and your programs need the new one.</li>`}
        </ul>`,
        button: 'Issue',
        back: backTo(contact),
      };
    },
    act: async (visit) => {
      const { body } = await visit.call<Issued>(route, { ...of(visit), once: visit.once });
      // Move this session to the new token. It would otherwise end with the previous one, and the new token could not
      // be shown.
      if (body.id === visit.operator.id) await visit.continueWith(body.operator_token);
      return { seeOther: `/console/contacts/${body.id}/operator-token/made/${visit.once}` };
    },
  }),
  madePage<Issued>({
    path: `${path}/operator-token`,
    route,
    permission: 'contacts:manage',
    params: ({ params: { id } }) => ({ id }),
    show: (_visit, body) => ({
      title: 'Operator token',
      section: 'contacts',
      body: html`${pageHeading({ title: 'Operator token', lead: body.name, back: backTo(body) })}
          ${notice('ok', html`<p><strong>Issued.</strong> It is shown here for ten minutes, and nowhere else. Copy it before you leave this page.</p>`)}
          <section class="card" aria-label="Token">
            ${copyable({ id: 'operator-token', label: 'Operator token', value: body.operator_token })}
            <p class="hint">
              It signs in to this console, and is the bearer token of the admin API. Pass it on over a channel that you trust.
            </p>
          </section>`,
    }),
  }),
  ...confirmedAct({
    path: `${path}/operator-token/revoke`,
    permission: 'contacts:manage',
    confirm: async (visit) => {
      const contact = await findContact(visit);
      return {
        title: `Revoke the operator token of ${contact.name}?`,
        section: 'contacts',
        body: html`<ul class="bullets">
          <li>It is dead at once, and so are the sessions that were started with it.</li>
          <li>Programs that call the admin API with it fail from then on.</li>
          <li>The permissions stay; a new token can be issued.</li>
        </ul>`,
        button: 'Revoke',
        back: backTo(contact),
      };
    },
    act: async (visit) => {
      await visit.call('DELETE /contacts/{id}/operator-token', of(visit));
      return { seeOther: `/console/contacts/${visit.params['id']}?done=operator-token-revoked` };
    },
  }),
  ...confirmedAct({
    path: `${path}/delete`,
    permission: 'contacts:manage',
    confirm: async (visit) => {
      const contact = await findContact(visit);
      return {
        title: `Delete ${contact.name}?`,
        section: 'contacts',
        body: html`<ul class="bullets">
          <li>It goes with its access keys, none of which may be live, and with its operator token.</li>
          <li>What it did stays in the audit log.</li>
          <li>This cannot be undone.</li>
        </ul>`,
        button: 'Delete',
        name: contact.name,
        back: backTo(contact),
      };
    },
    act: async (visit) => {
      await visit.call('DELETE /contacts/{id}', of(visit));
      return { seeOther: '/console/contacts?done=deleted' };
    },
  }),
];

async function findContact(visit: Visit): Promise<ShownContact> {
  return (await visit.call<ShownContact>('GET /contacts/{id}', of(visit))).body;
}

function of({ params }: Visit) {
  return { params: { id: params['id'] } };
}

function backTo({ id, name }: ShownContact) {
  return { path: `/console/contacts/${id}`, label: name };
}
