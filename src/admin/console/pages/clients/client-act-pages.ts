import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { findUsersOfScopes } from '../../../../clients/client-store.ts';
import { t } from '../../languages/translate.ts';
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
        title: t('Disable {name}?', { name: client.name }),
        section: sectionOf(client),
        body: client.kind === 'integration' ? await disablesIntegration(visit) : await disablesResourceServer(visit),
        button: t('Disable'),
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
        title: t('Revoke all tokens of {name}?', { name: client.name }),
        section: sectionOf(client),
        body: html`<ul class="bullets">
          ${live !== undefined && html`<li>${live === 0 ? t('There are no active tokens now.') : t('{live, plural, one {# active token is} other {# active tokens are}} revoked immediately.', { live })}</li>`}
          ${await recentUse(visit)}
          <li>${t('Programs that use these tokens fail until they request a new one. They can do so at once, because the Client ID and secret do not change.')}</li>
          <li>${t('This cannot be undone.')}</li>
        </ul>`,
        button: t('Revoke all tokens'),
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
        title: t('Delete {name}?', { name: client.name }),
        section: sectionOf(client),
        body: html`<ul class="bullets">
          <li>${t('The Client ID and its secrets are deleted permanently. Programs that use them can never get tokens again.')}</li>
          ${await recentUse(visit)}
          <li>${t('Its history stays in the audit log.')}</li>
          <li>${t('This cannot be undone.')}</li>
        </ul>`,
        button: t('Delete'),
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
    <li>${t('Token requests of this integration fail immediately, with all of its credentials.')}</li>
    ${await recentUse(visit)}
    <li>
      ${
        live === 0
          ? t('It has no active tokens.')
          : live === undefined
            ? t(
                'Its active tokens are revoked immediately, so API calls with them fail. They stay revoked after you enable the integration again.',
              )
            : t(
                '{live, plural, one {Its # active token is revoked immediately, so API calls with it fail. It stays revoked after you enable the integration again.} other {Its # active tokens are revoked immediately, so API calls with them fail. They stay revoked after you enable the integration again.}}',
                { live },
              )
      }
    </li>
    <li>${t('Its Client ID and credentials are kept. You can enable it again at any time.')}</li>
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
      ${t('Requests of this API to Keyturn fail with 401 immediately: token introspection, and new connections to the event stream. In the last 24 hours, it made {asked, plural, one {# request} other {# requests}} from {sources, plural, one {# source} other {# sources}}.', { asked, sources })}
    </li>
    ${await callers(visit)}
    <li>${t('If the API introspects tokens, all integrations that call it fail. If it verifies JWTs itself, it continues to accept them.')}</li>
    <li>
      ${t('No tokens are revoked, and integrations can still get tokens for this API. To revoke tokens, open the integration and revoke its tokens or disable it.')}
    </li>
    <li>${t('Its Client ID and secrets are kept. After you enable it again, tokens that have not expired work again.')}</li>
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
    ${t('In the last 30 days, it got {tokens, plural, one {# token} other {# tokens}} from {sources, plural, one {# source} other {# sources}}, and {rejected, plural, one {# request was} other {# requests were}} rejected.', { tokens, sources, rejected })}
  </li>`;
}

/** Lists the integrations that have permissions of the resource server, if the operator may see that. */
async function callers(visit: Visit): Promise<VNode | undefined> {
  if (!visit.can('integrations:view')) return undefined;
  const offered = offeredScopesOf(await findClient(visit));
  const { clients, totalClients } = await findUsersOfScopes(visit.core.database, offered);
  return html`<li>
    ${t('{count, plural, one {# integration has} other {# integrations have}} permissions of this API', { count: totalClients })}${
      totalClients > 0 &&
      html`: ${clients.map(
        ({ client_id: id, name }, index) => html`${index > 0 && ', '}<a href=${clientPath(id)}>${name}</a>`,
      )}${totalClients > clients.length && html` ${t('and {count, number} more', { count: totalClients - clients.length })}`}`
    }.
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
