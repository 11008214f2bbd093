import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { rich, t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownClient, type Visit } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { copyable, exactMoment, pageHeading } from '../../parts/elements.ts';
import { shownHowLong } from '../../parts/made-page.ts';
import { notice, problemNotice } from '../../parts/notices.ts';
import { regeneratePages } from '../regeneration/regenerate-pages.ts';
import { sectionOf } from './client-page.ts';
import { nounOf } from './client-proof.ts';
import { tokenRequest } from './token-request.ts';

/**
 * Page that reveals a client's current secret. The endpoint requires a recent proof of identity and records the reveal
 * in the audit log before it returns the secret.
 */
export const clientSecretPages: readonly Page[] = [
  {
    method: 'post',
    path: '/clients/:client_id/reveal',
    permission: 'api_key:manage',
    handle: async (visit) => {
      const params = { client_id: visit.params['client_id'] };
      const at = clientPath(params.client_id);
      const { body: client } = await visit.call<ShownClient>('GET /clients/{client_id}', { params });
      const result = await attempt(() =>
        visit.call<{ client_id: string; client_secret: string }>('POST /clients/{client_id}/secret/reveal', { params }),
      );
      if ('problem' in result) {
        return {
          status: result.problem.status,
          title: t('The secret cannot be shown'),
          section: sectionOf(client),
          body: html`${pageHeading({ title: t('The secret cannot be shown'), back: { path: at, label: client.name } })}
          ${problemNotice(result.problem)}`,
        };
      }
      const { client_id, client_secret: clientSecret } = result.done.body;
      return showCredentials(visit, {
        title: t('Client ID and secret'),
        client: { ...client, client_id },
        clientSecret,
        said: html`<p>${t('This is the current secret. The audit log records that you viewed it.')}</p>`,
      });
    },
  },
];

type Regenerated = {
  regeneration_id: string;
  client_id: string;
  client_secret?: string;
  previous: { client_id: string; retires_at: string };
};

/** Pages that rotate a client's secret, keys, certificate or way of authentication. */
export const clientRegeneratePages: readonly Page[] = regeneratePages<Regenerated>({
  path: '/clients/:client_id',
  route: '/clients/{client_id}',
  permission: 'api_key:manage',
  // Use the Client ID of the page's address: when the same form is sent again after the Client ID has changed, the
  // request must stay identical, so that its idempotency key matches.
  paramsOf: ({ params }) => ({ client_id: params['client_id'] ?? '' }),
  findOwner: async (visit) => {
    const client = await findClient(visit, visit.params['client_id'] ?? '');
    return {
      name: client.name,
      at: clientPath(client.client_id),
      section: sectionOf(client),
      noun: nounOf(client.auth_method),
      client,
    };
  },
  showNew: async (visit, { regeneration_id: id, client_id, client_secret: clientSecret, previous }) => {
    const client = await findClient(visit, client_id);
    const noun = nounOf(client.auth_method);
    const isOver = Date.parse(previous.retires_at) <= visit.core.clock();
    const said = clientSecret
      ? html`<p><strong>${t('Regenerated.')}</strong> ${shownHowLong(client.reveal)}</p>`
      : html`<p>${rich('<strong>Replaced.</strong> The client authenticates with its own {noun} from now on.', { noun })}</p>`;
    return showCredentials(visit, {
      title: t('New {noun}', { noun }),
      client: { ...client, client_id },
      clientSecret,
      said: html`${said}
        <p>
          ${isOver ? t('The previous credential no longer works.') : previousWorks(previous, client_id)}
        </p>
        ${!isOver && html`<p><a href=${clientPath(client_id, `/regenerations/${id}/undo`)}>${t('Undo rotation…')}</a></p>`}`,
    });
  },
});

function previousWorks({ client_id: clientId, retires_at: end }: Regenerated['previous'], current: string): VNode {
  const at = exactMoment(end);
  if (clientId === current) return rich('The previous credential works until {at}.', { at });
  return rich('The previous credential, with Client ID <code>{clientId}</code>, works until {at}.', { clientId, at });
}

async function findClient(visit: Visit, clientId: string): Promise<ShownClient> {
  return (await visit.call<ShownClient>('GET /clients/{client_id}', { params: { client_id: clientId } })).body;
}

/** Renders the only page that contains a client's secret. Caches must not store it (`no-store`). */
export function showCredentials(
  { core, can }: Visit,
  shown: {
    title: string;
    said: VNode;
    client: Pick<ShownClient, 'client_id' | 'name' | 'kind' | 'access_key'>;
    clientSecret: string | undefined;
    /** The next step, shown in place of the link to the client. */
    next?: VNode | undefined;
  },
): Reply {
  const { client, clientSecret } = shown;
  return {
    title: shown.title,
    section: client.kind === 'integration' ? 'integrations' : 'resource-servers',
    body: html`${pageHeading({ title: shown.title, lead: client.name })} ${notice('ok', shown.said)}
      <section class="card" aria-label=${t('Credentials')}>
        ${copyable({ id: 'client-id', label: t('Client ID'), value: client.client_id })}
        ${clientSecret !== undefined && copyable({ id: 'client-secret', label: t('Client secret'), value: clientSecret })}
      </section>
      ${
        client.kind === 'integration' &&
        clientSecret !== undefined &&
        tokenRequest(`${core.issuer}/oauth2/token`, {
          clientId: client.client_id,
          clientSecret,
          needsAccessKey: client.access_key === 'required',
        })
      }
      <div class="actions">${shown.next}${can('integrations:view') && html`<a class="button" href=${clientPath(client.client_id)}>${t('Go to {name}', { name: client.name })}</a>`}</div>`,
  };
}
