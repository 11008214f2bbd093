import { html } from 'htm/preact';
import { rich, t } from '../../languages/translate.ts';
import type { Page, ShownContact } from '../../page.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import { copyable, pageHeading, permissionName } from '../../parts/elements.ts';
import { madePage } from '../../parts/made-page.ts';
import { notice } from '../../parts/notices.ts';
import { backTo, findContact, of } from './contact-change-pages.ts';

const path = '/contacts/:id';
const route = 'POST /contacts/{id}/operator-token';

type Issued = ShownContact & { operator_token: string };

/** Pages that issue or revoke a contact's operator token. */
export const operatorTokenPages: readonly Page[] = [
  ...confirmedAct({
    path: `${path}/operator-token`,
    permission: 'contacts:manage',
    asksProof: true,
    confirm: async (visit) => {
      const { body: contact } = await findContact(visit);
      return {
        title: t('Issue a new operator token for {name}?', { name: contact.name }),
        section: 'contacts',
        body: html`<ul class="bullets">
          <li>${t('Anyone who has the token can act as {name}, with these permissions: {permissions}.', { name: contact.name, permissions: contact.permissions.map(permissionName).join(', ') || t('none') })}</li>
          ${contact.operator_token_hint !== null && html`<li>${t('The current token stops working immediately, and sessions that were started with it end.')}</li>`}
          ${contact.id === visit.operator.id && html`<li>${rich('<strong>This is your own token.</strong> You stay signed in here. Your other sessions end, and your programs fail until they use the new token.')}</li>`}
        </ul>`,
        button: t('Issue token'),
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
      title: t('Operator token'),
      section: 'contacts',
      body: html`${pageHeading({ title: t('Operator token'), lead: body.name, back: backTo(body) })}
          ${notice('ok', html`<p>${rich('<strong>Issued.</strong> Copy the token now. It is shown here for ten minutes and cannot be shown again later.')}</p>`)}
          <section class="card" aria-label=${t('Token')}>
            ${copyable({ id: 'operator-token', label: t('Operator token'), value: body.operator_token })}
            <p class="hint">
              ${t('It is used to sign in to this console, and as the bearer token of the admin API. Pass it on only over a channel that you trust.')}
            </p>
          </section>`,
    }),
  }),
  ...confirmedAct({
    path: `${path}/operator-token/revoke`,
    permission: 'contacts:manage',
    confirm: async (visit) => {
      const { body: contact } = await findContact(visit);
      return {
        title: t('Revoke the operator token of {name}?', { name: contact.name }),
        section: 'contacts',
        body: html`<ul class="bullets">
          <li>${t('The token stops working immediately, and sessions that were started with it end.')}</li>
          <li>${t('Programs that call the admin API with it fail.')}</li>
          <li>${t('The contact keeps its permissions. You can issue a new token at any time.')}</li>
        </ul>`,
        button: t('Revoke'),
        back: backTo(contact),
      };
    },
    act: async (visit) => {
      await visit.call('DELETE /contacts/{id}/operator-token', of(visit));
      return { seeOther: `/console/contacts/${visit.params['id']}`, done: 'operator-token-revoked' };
    },
  }),
];
