import { html } from 'htm/preact';
import { attempt } from '../attempt.ts';
import type { Page } from '../page.ts';
import { pageHeading } from '../parts/page-heading.ts';
import { problemNotice } from '../parts/problem-notice.ts';
import { showCredentials } from '../show-credentials.ts';
import { showProveAgain } from '../show-prove-again.ts';
import type { ShownClient } from '../shown.ts';
import { sectionOf } from './client-page.ts';

/** The secret, shown again. It asks for a sign-in that is not old, and the audit log says so first. */
export const clientSecretPages: readonly Page[] = [
  {
    method: 'post',
    path: '/clients/:client_id/reveal',
    permission: 'api_key:manage',
    handle: async (visit) => {
      const params = { client_id: visit.params['client_id'] };
      const at = `/console/clients/${params.client_id}`;
      if (!visit.isFresh) return showProveAgain(at);
      const { body: client } = await visit.call<ShownClient>('GET /clients/{client_id}', { params });
      const result = await attempt(() =>
        visit.call<{ client_id: string; client_secret: string }>('POST /clients/{client_id}/secret/reveal', { params }),
      );
      if ('problem' in result) {
        return {
          status: result.problem.status,
          title: 'It cannot be shown',
          section: sectionOf(client),
          body: html`${pageHeading({ title: 'It cannot be shown', back: { path: at, label: client.name } })}
          ${problemNotice(result.problem)}`,
        };
      }
      const { client_id, client_secret: clientSecret } = result.done.body;
      return showCredentials(visit, {
        title: 'Client ID and secret',
        client: { ...client, client_id },
        clientSecret,
        said: html`<p>This is the current secret. The audit log says that you looked at it.</p>`,
      });
    },
  },
];
