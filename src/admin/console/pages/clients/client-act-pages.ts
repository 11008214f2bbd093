import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Page, Visit } from '../../page.ts';
import { unlessMissing } from '../../page.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import type { ShownClient, ShownReview, ShownUsage } from '../../shown.ts';
import { sectionOf } from './client-page.ts';

const path = '/clients/:client_id';

/** Pages that disable, enable or delete a client, or revoke all its tokens. */
export const clientActPages: readonly Page[] = [
  ...confirmedAct({
    path: `${path}/disable`,
    permission: 'integrations:edit',
    confirm: async (visit) => {
      const client = await findClient(visit);
      return {
        title: `Disable ${client.name}?`,
        section: sectionOf(client),
        body: client.kind === 'integration' ? await disablesIntegration(visit) : await disablesResourceServer(visit),
        button: 'Disable',
        back: backTo(client),
      };
    },
    act: async (visit) => {
      await visit.call('POST /clients/{client_id}/disable', of(visit));
      const { kind } = await findClient(visit);
      return { seeOther: at(visit), done: kind === 'integration' ? 'disabled' : 'server-disabled' };
    },
  }),
  {
    method: 'post',
    path: `${path}/enable`,
    permission: 'integrations:edit',
    handle: async (visit) => {
      await visit.call('POST /clients/{client_id}/enable', of(visit));
      return { seeOther: at(visit), done: 'enabled' };
    },
  },
  ...confirmedAct({
    path: `${path}/revoke-tokens`,
    permission: 'api_key:manage',
    confirm: async (visit) => {
      const client = await findClient(visit);
      const live = await countLiveTokens(visit);
      return {
        title: `Revoke all tokens of ${client.name}?`,
        section: sectionOf(client),
        body: html`<ul class="bullets">
          ${live !== undefined && html`<li>${live === 1 ? '1 active token is' : `${live} active tokens are`} revoked immediately.</li>`}
          <li>Programs that use these tokens fail until they request a new one. They can do so at once, because the Client ID and secret do not change.</li>
          <li>This cannot be undone.</li>
        </ul>`,
        button: 'Revoke all tokens',
        back: backTo(client),
      };
    },
    act: async (visit) => {
      await visit.call('POST /clients/{client_id}/tokens/revoke', of(visit));
      return { seeOther: at(visit), done: 'tokens-revoked' };
    },
  }),
  ...confirmedAct({
    path: `${path}/delete`,
    permission: 'api_key:manage',
    confirm: async (visit) => {
      const client = await findClient(visit);
      return {
        title: `Delete ${client.name}?`,
        section: sectionOf(client),
        body: html`<ul class="bullets">
          <li>The Client ID and its secrets are deleted permanently. Programs that use them can never get tokens again.</li>
          <li>Its history stays in the audit log.</li>
          <li>This cannot be undone.</li>
        </ul>`,
        button: 'Delete',
        name: client.name,
        back: backTo(client),
      };
    },
    act: async (visit) => {
      const client = await findClient(visit);
      await visit.call('DELETE /clients/{client_id}', of(visit));
      return { seeOther: `/console/${sectionOf(client)}`, done: 'deleted' };
    },
  }),
];

async function disablesIntegration(visit: Visit): Promise<VNode> {
  const live = await countLiveTokens(visit);
  return html`<ul class="bullets">
    <li>Token requests of this integration fail immediately, with all of its secrets.</li>
    <li>
      ${live === undefined ? 'Its active tokens are' : live === 1 ? 'Its 1 active token is' : `Its ${live} active tokens are`} revoked immediately, so API calls with them fail. They stay revoked after you enable the integration again.
    </li>
    <li>Its Client ID and secrets are kept. You can enable it again at any time.</li>
  </ul>`;
}

async function disablesResourceServer(visit: Visit): Promise<VNode> {
  const { body } = await visit.call<ShownUsage>('GET /clients/{client_id}/usage', {
    ...of(visit),
    query: { hours: '24' },
  });
  const asked = body.secrets.reduce((sum, { used }) => sum + used, 0);
  const sources = new Set(
    body.secrets.flatMap((secret) =>
      secret.sources.map((source) => JSON.stringify([source.address, source.user_agent, source.instance])),
    ),
  ).size;
  return html`<ul class="bullets">
    <li>
      Requests of this API to Keyturn fail with 401 immediately: token introspection, and new connections to the event stream. In the last 24 hours, it made
      ${` ${asked === 1 ? '1 request' : `${asked} requests`} from ${sources === 1 ? '1 source' : `${sources} sources`}`}.
    </li>
    <li>If the API introspects tokens, all integrations that call it fail. If it verifies JWTs itself, it continues to accept them.</li>
    <li>
      No tokens are revoked, and integrations can still get tokens for this API. To revoke tokens, open the integration and revoke its tokens or disable it.
    </li>
    <li>Its Client ID and secrets are kept. After you enable it again, tokens that have not expired work again.</li>
  </ul>`;
}

/**
 * Returns the number of live tokens, which only the regeneration review contains. Returns undefined if the operator
 * lacks `api_key:manage` or the client has no secret, because a review is not available then.
 */
async function countLiveTokens(visit: Visit): Promise<number | undefined> {
  const client = await findClient(visit);
  if (client.secrets.length === 0 || !visit.can('api_key:manage')) return undefined;
  const review = await unlessMissing(
    visit.call<ShownReview>('POST /clients/{client_id}/regeneration/review', of(visit)),
  );
  return review?.body.impact.live_tokens;
}

async function findClient(visit: Visit): Promise<ShownClient> {
  return (await visit.call<ShownClient>('GET /clients/{client_id}', of(visit))).body;
}

function of({ params }: Visit) {
  return { params: { client_id: params['client_id'] } };
}

function at({ params }: Visit): `/console/${string}` {
  return `/console/clients/${params['client_id']}`;
}

function backTo({ client_id, name }: ShownClient) {
  return { path: `/console/clients/${client_id}`, label: name };
}
