import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { KeyturnError } from '../../../errors.ts';
import { beginRegistration, finishRegistration, passkeySite } from '../../../passkeys/verify-passkey.ts';
import { t, translate } from '../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownPasskey, type Visit } from '../page.ts';
import { emptyState, exactMoment, lastUse, pageHeading, table } from '../parts/elements.ts';
import { postForm, textField } from '../parts/forms.ts';
import { notice } from '../parts/notices.ts';
import { failedText } from '../sign-in/passkey-forms.ts';

const path = '/console/passkeys';

/** Pages on which people register, list and remove their own passkeys. */
export const passkeyPages: readonly Page[] = [
  { method: 'get', path: '/passkeys', asksProof: true, handle: (visit) => show(visit) },
  {
    method: 'post',
    path: '/passkeys/options',
    asksProof: true,
    handle: async (visit) => {
      const { core, operator } = visit;
      return { json: await beginRegistration(core.database, core, siteOf(visit), operator.id) };
    },
  },
  {
    method: 'post',
    path: '/passkeys',
    asksProof: true,
    handle: async (visit) => {
      const { core, form, operator } = visit;
      const name = form.get('name')?.trim().slice(0, 100) || t('Passkey');
      const given = { name, response: form.get('passkey') ?? '' };
      const result = await attempt(() =>
        core.change((transaction) => finishRegistration(transaction, core, siteOf(visit), operator, given)),
      );
      if ('problem' in result) return { ...(await show(visit, result.problem)), status: result.problem.status };
      return { seeOther: path, done: 'passkey-registered' };
    },
  },
  {
    method: 'post',
    path: '/passkeys/:passkey_id/remove',
    handle: async (visit) => {
      await visit.call('DELETE /me/passkeys/{passkey_id}', { params: { passkey_id: visit.params['passkey_id'] } });
      return { seeOther: path, done: 'passkey-removed' };
    },
  },
];

function siteOf({ core, site, url }: Visit) {
  const { adminUrl, portalUrl } = core.config;
  return passkeySite((site.name === 'portal' ? portalUrl : adminUrl) ?? url);
}

async function show(visit: Visit, problem?: KeyturnError): Promise<Extract<Reply, { title: string }>> {
  const { body } = await visit.call<{ data: ShownPasskey[] }>('GET /me/passkeys');
  return {
    title: t('Your passkeys'),
    body: html`${pageHeading({
      title: t('Your passkeys'),
      lead: t('Sign in with your fingerprint, your face, a PIN or a security key.'),
      back: { path: '/console/sessions', label: t('Your sessions') },
    })}
      ${problem && notice('bad', translate(problem.message))}
      ${
        body.data.length === 0
          ? emptyState(t('No passkeys'), html`<p>${t('Register one on each device that you use.')}</p>`)
          : table({
              caption: t('Your passkeys'),
              columns: [
                { label: t('Name') },
                { label: t('Registered') },
                { label: t('Last used') },
                { label: t('Act'), holdsActs: true },
              ],
              rows: body.data.map((each) => [
                html`<span class="strong">${each.name}</span>`,
                exactMoment(each.created_at),
                lastUse(each.last_used_at, visit.now),
                postForm(`${path}/${each.id}/remove`, html`<button class="danger">${t('Remove')}</button>`, 'inline'),
              ]),
            })
      }
      ${registration()}`,
  };
}

function registration(): VNode {
  return html`<div class="card narrow">
    ${postForm(
      path,
      html`${textField({ name: 'name', label: t('Name'), maxlength: 100, hint: t('Such as the name of the device.') })}
        <input type="hidden" name="passkey" value="" disabled />
        <button type="button" class="primary" data-passkey="create" formaction=${`${path}/options`} data-failed=${failedText()} hidden>
          ${t('Register a passkey')}
        </button>
        <p class="problem" data-passkey-problem role="alert"></p>
        <noscript><p>${t('Passkeys need JavaScript.')}</p></noscript>`,
    )}
  </div>`;
}
