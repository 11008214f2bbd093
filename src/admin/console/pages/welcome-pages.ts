import { html } from 'htm/preact';
import { issueOperatorToken } from '../../../contacts/manage-contacts.ts';
import { Forbidden } from '../../../errors.ts';
import { findSignInMethod } from '../../../sessions/session-store.ts';
import { rich, t } from '../languages/translate.ts';
import type { Page, Visit } from '../page.ts';
import { copyable, pageHeading } from '../parts/elements.ts';
import { postForm } from '../parts/forms.ts';
import { notice } from '../parts/notices.ts';

const path = '/console/welcome';

/** Pages on which an invited person chooses how to sign in from now on. */
export const welcomePages: readonly Page[] = [
  {
    method: 'get',
    path: '/welcome',
    handle: async (visit) => {
      const providers = visit.site.name === 'console' ? await visit.core.providers.ofDeployment() : [];
      const mayIssue = await mayIssueToken(visit);
      return {
        title: t('Welcome'),
        body: html`${pageHeading({ title: t('Welcome'), lead: t('You are signed in. Your link does not work a second time.') })}
          <section class="card stack" aria-labelledby="next-time">
            <h2 id="next-time">${t('How you sign in next time')}</h2>
            ${providers.map(({ name }) => html`<p>${t('With {name}: choose it on the sign-in page.', { name })}</p>`)}
            <p>${t('With a passkey: your fingerprint, your face, a PIN or a security key.')}</p>
            <p><a class="button" href="/console/passkeys">${t('Register a passkey')}</a></p>
            ${
              mayIssue &&
              html`<p>${t('With an operator token. It is shown once: keep it in a password manager.')}</p>
                ${postForm(`${path}/token`, html`<button>${t('Show my operator token')}</button>`)}`
            }
            <p><a class="button primary" href="/console/">${t('Go to the start page')}</a></p>
          </section>`,
      };
    },
  },
  {
    method: 'post',
    path: '/welcome/token',
    handle: async (visit) => {
      if (!(await mayIssueToken(visit))) {
        throw new Forbidden(
          'Your operator token was issued already. Ask an operator with contacts:manage for a new one.',
        );
      }
      const { core, operator } = visit;
      const { operatorToken } = await core.change((transaction) =>
        issueOperatorToken(transaction, core, operator, operator.id),
      );
      // The session would end otherwise, because it belongs to the operator token that the contact had.
      await visit.continueWith(operatorToken);
      return { seeOther: `${path}/token/${await visit.keep(operatorToken)}` };
    },
  },
  {
    method: 'get',
    path: '/welcome/token/:name',
    handle: async (visit) => {
      const token = await visit.recallKept<string>(visit.params['name'] ?? '');
      if (token === undefined) return { seeOther: '/console/' };
      return {
        title: t('Operator token'),
        body: html`${pageHeading({ title: t('Operator token'), back: { path: '/console/', label: t('Home') } })}
          ${notice('ok', html`<p>${rich('<strong>Issued.</strong> Copy the token now. It is shown here for ten minutes and cannot be shown again later.')}</p>`)}
          <section class="card" aria-label=${t('Token')}>
            ${copyable({ id: 'operator-token', label: t('Operator token'), value: token })}
          </section>`,
      };
    },
  },
];

/** Returns whether the session was started by an invitation, and its contact has no operator token yet. */
async function mayIssueToken({ core, session, site, operator }: Visit): Promise<boolean> {
  if (site.name !== 'console' || operator.permissions.length === 0) return false;
  const found = await findSignInMethod(core.database, session);
  return found?.method === 'invitation' && !found.hasOperatorToken;
}
