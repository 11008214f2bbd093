import { html } from 'htm/preact';
import type { Page } from '../page.ts';
import { exactMoment } from '../parts/moment.ts';
import { regeneratePages } from '../regenerate-pages.ts';
import { showCredentials } from '../show-credentials.ts';
import type { ShownClient } from '../shown.ts';
import type { Visit } from '../visit.ts';
import { sectionOf } from './client-page.ts';

type Regenerated = {
  client_id: string;
  client_secret: string;
  previous: { client_id: string; retires_at: string };
};

/** Turning the secret of a client. */
export const clientRegeneratePages: readonly Page[] = regeneratePages<Regenerated>({
  path: '/clients/:client_id',
  route: '/clients/{client_id}',
  permission: 'api_key:manage',
  what: 'secret',
  hasClientId: true,
  findOwner: async (visit) => {
    const client = await findClient(visit, visit.params['client_id'] ?? '');
    return {
      name: client.name,
      at: `/console/clients/${client.client_id}`,
      section: sectionOf(client),
      params: { client_id: client.client_id },
    };
  },
  showNew: async (visit, _owner, { client_id, client_secret: clientSecret, previous }) => {
    const client = await findClient(visit, client_id);
    const isOver = Date.parse(previous.retires_at) <= visit.core.clock();
    return showCredentials(visit, {
      title: 'The new secret',
      client: { ...client, client_id },
      clientSecret,
      said: html`<p><strong>Regenerated.</strong> ${client.reveal ? 'Take the new secret with you now; each later look is recorded.' : 'The new secret is shown this once. Take it with you before you leave this page.'}</p>
        <p>
          ${
            isOver
              ? 'The old one has ended.'
              : html`The old one${previous.client_id !== client_id && html`, with Client ID <code>${previous.client_id}</code>,`} works until ${exactMoment(previous.retires_at)}.`
          }
        </p>`,
    });
  },
});

async function findClient(visit: Visit, clientId: string): Promise<ShownClient> {
  return (await visit.call<ShownClient>('GET /clients/{client_id}', { params: { client_id: clientId } })).body;
}
