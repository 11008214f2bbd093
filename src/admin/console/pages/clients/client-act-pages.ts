import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { findUsersOfScopes } from '../../../../clients/client-store.ts';
import { countOf } from '../../../../text/count-text.ts';
import { attempt, type Page, type ShownClient, type ShownReview, type ShownUsage, type Visit } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import { countSources, countUsers } from '../../parts/usage-section.ts';
import { sectionOf } from './client-page.ts';
import { nounOf } from './client-proof.ts';
import { offeredScopesOf } from './declared-scope-fields.ts';

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
          ${live !== undefined && html`<li>${live === 0 ? 'There are no active tokens now.' : `${live === 1 ? '1 active token is' : `${live} active tokens are`} revoked immediately.`}</li>`}
          ${await recentUse(visit)}
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
          ${await recentUse(visit)}
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
    <li>Token requests of this integration fail immediately, with all of its credentials.</li>
    ${await recentUse(visit)}
    <li>
      ${
        live === 0
          ? 'It has no active tokens.'
          : `${live === undefined ? 'Its active tokens are' : live === 1 ? 'Its 1 active token is' : `Its ${live} active tokens are`} revoked immediately, so API calls with ${live === 1 ? 'it' : 'them'} fail. ${live === 1 ? 'It stays' : 'They stay'} revoked after you enable the integration again.`
      }
    </li>
    <li>Its Client ID and credentials are kept. You can enable it again at any time.</li>
  </ul>`;
}

async function disablesResourceServer(visit: Visit): Promise<VNode> {
  const { body } = await visit.call<ShownUsage>('GET /clients/{client_id}/usage', {
    ...of(visit),
    query: { hours: '24' },
  });
  const asked = body.secrets.reduce((sum, { used }) => sum + used, 0);
  const sources = countSources(body.secrets);
  return html`<ul class="bullets">
    <li>
      Requests of this API to Keyturn fail with 401 immediately: token introspection, and new connections to the event stream. In the last 24 hours, it made
      ${` ${asked === 1 ? '1 request' : `${asked} requests`} from ${sources === 1 ? '1 source' : `${sources} sources`}`}.
    </li>
    ${await callers(visit)}
    <li>If the API introspects tokens, all integrations that call it fail. If it verifies JWTs itself, it continues to accept them.</li>
    <li>
      No tokens are revoked, and integrations can still get tokens for this API. To revoke tokens, open the integration and revoke its tokens or disable it.
    </li>
    <li>Its Client ID and secrets are kept. After you enable it again, tokens that have not expired work again.</li>
  </ul>`;
}

/** Describes how often the client was used and rejected in the last 30 days, if the operator may see that. */
export async function recentUse(visit: Visit): Promise<VNode | undefined> {
  if (!visit.can('integrations:view')) return undefined;
  const { body } = await visit.call<ShownUsage>('GET /clients/{client_id}/usage', {
    ...of(visit),
    query: { hours: '720' },
  });
  const all = [...body.secrets, body.without_secret];
  const tokens = all.reduce((sum, { issued }) => sum + issued, 0);
  const rejected = all.flatMap(({ refused }) => Object.values(refused)).reduce((sum, count) => sum + count, 0);
  const sources = countUsers(all);
  return html`<li>
    In the last 30 days, it got ${countOf(tokens, 'token')} from ${countOf(sources, 'source')}, and ${countOf(rejected, 'request')} ${rejected === 1 ? 'was' : 'were'} rejected.
  </li>`;
}

/** Lists the integrations that have permissions of the resource server, if the operator may see that. */
async function callers(visit: Visit): Promise<VNode | undefined> {
  if (!visit.can('integrations:view')) return undefined;
  const offered = offeredScopesOf(await findClient(visit));
  const { clients, totalClients } = await findUsersOfScopes(visit.core.database, offered);
  return html`<li>
    ${countOf(totalClients, 'integration')} ${totalClients === 1 ? 'has' : 'have'} permissions of this API${totalClients > 0 && ': '}${clients.map(
      ({ client_id: id, name }, index) => html`${index > 0 && ', '}<a href=${clientPath(id)}>${name}</a>`,
    )}${totalClients > clients.length && ` and ${totalClients - clients.length} more`}.
  </li>`;
}

/**
 * Returns the number of live tokens, which only the review of a rotation contains. Returns undefined if the operator may
 * not review one.
 */
export async function countLiveTokens(visit: Visit): Promise<number | undefined> {
  const client = await findClient(visit);
  if (!visit.can('api_key:manage')) return undefined;
  // A client with a key is reviewed for what it could be given in place of the key.
  const replace = nounOf(client.auth_method) === 'secret' ? undefined : { auth_method: 'client_secret_basic' };
  const result = await attempt(() =>
    visit.call<ShownReview>('POST /clients/{client_id}/regeneration/review', { ...of(visit), body: { replace } }),
  );
  return 'done' in result ? result.done.body.impact.live_tokens : undefined;
}

async function findClient(visit: Visit): Promise<ShownClient> {
  return (await visit.call<ShownClient>('GET /clients/{client_id}', of(visit))).body;
}

function of({ params }: Visit) {
  return { params: { client_id: params['client_id'] } };
}

function at({ params }: Visit): `/console/${string}` {
  return clientPath(params['client_id']);
}

function backTo({ client_id, name }: ShownClient) {
  return { path: clientPath(client_id), label: name };
}
