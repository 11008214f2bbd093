import { html } from 'htm/preact';
import { attempt } from '../attempt.ts';
import type { Page } from '../page.ts';
import { copyable, facts, pageHeading } from '../parts/elements.ts';
import { postForm } from '../parts/forms.ts';
import { timeLeft } from '../parts/moment.ts';
import { notice, problemNotice } from '../parts/notices.ts';
import type { IssuedAuthorizationToken, ShownClient } from '../shown.ts';

const path = '/clients/:client_id/authorization-token';

/** An access token that an operator issues: shown once, with the time that it has left. */
export const authorizationTokenPages: readonly Page[] = [
  {
    method: 'post',
    path,
    permission: 'api_key:manage',
    handle: async ({ call, params: { client_id }, form, now }) => {
      const params = { client_id };
      const at = `/console/clients/${client_id}`;
      const { body: client } = await call<ShownClient>('GET /clients/{client_id}', { params });
      const result = await attempt(() =>
        call<IssuedAuthorizationToken>('POST /clients/{client_id}/authorization-token', {
          params,
          once: form.get('once') ?? undefined,
        }),
      );
      const heading = pageHeading({ title: 'API authorization token', back: { path: at, label: client.name } });
      const page = { title: 'API authorization token', section: 'integrations' } as const;
      if ('problem' in result) {
        return { ...page, status: result.problem.status, body: html`${heading}${problemNotice(result.problem)}` };
      }
      const { access_token: token, expires_in: seconds, scope } = result.done.body;
      return {
        ...page,
        body: html`${heading}
          ${notice('ok', html`<p><strong>Issued.</strong> It is shown this once. One that was issued earlier is dead.</p>`)}
          <section class="card" aria-label="Token">
            ${copyable({ id: 'access-token', label: 'Access token', value: token })}
            ${facts({
              'Time left': timeLeft(new Date(now + seconds * 1_000).toISOString(), now),
              'May do': scope || 'nothing',
            })}
            <p class="hint">Send it as <code>Authorization: Bearer …</code> to the API.</p>
            <div class="actions">
              ${postForm(`${at}/authorization-token`, html`<button>Issue again</button>`)}
              ${postForm(`${at}/authorization-token/revoke`, html`<button class="danger">Revoke</button>`)}
            </div>
          </section>`,
      };
    },
  },
  {
    method: 'post',
    path: `${path}/revoke`,
    permission: 'api_key:manage',
    handle: async ({ call, params: { client_id } }) => {
      await call('DELETE /clients/{client_id}/authorization-token', { params: { client_id } });
      return { seeOther: `/console/clients/${client_id}?done=token-revoked` };
    },
  },
];
