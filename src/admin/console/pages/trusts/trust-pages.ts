import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { writeCondition } from '../../../../trusts/condition-text.ts';
import { msg, rich, t } from '../../languages/translate.ts';
import type { Page, ShownClient, ShownTrust, Visit } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import { badge, emptyState, facts, fromNow, inWords, pageHeading, table } from '../../parts/elements.ts';
import { postForm } from '../../parts/forms.ts';
import { listPage } from '../../parts/list-page.ts';
import { notice } from '../../parts/notices.ts';
import { methodLabel } from '../clients/client-proof.ts';
import { platforms } from './platforms.ts';

const section = 'trusts';
const path = '/trusts/:id';

/** Pages that list trusts in issuers of workload identities, show one, and delete it. */
export const trustPages: readonly Page[] = [
  listPage<ShownTrust>({
    section,
    title: msg('Workload identities'),
    lead: msg('Platforms whose signed tokens stand for an integration, so that it needs no secret.'),
    action: { permission: 'api_key:manage', path: '/console/trusts/new', label: msg('New trust') },
    permission: 'integrations:view',
    route: 'GET /trusts',
    search: msg('Name or issuer'),
    noMatch: msg('No trusts match'),
    showAll: msg('Show all trusts'),
    filters: [{ name: 'client_id', label: msg('Integration'), pick: ['integration'] }],
    none: () =>
      emptyState(
        t('No trusts'),
        html`<p>${t('A trust says which tokens of a platform, such as GitHub Actions or Kubernetes, stand for an integration.')}</p>`,
      ),
    table: (_visit, trusts) => html`${table({
      caption: t('Trusts'),
      columns: [
        { label: t('Name') },
        { label: t('Integration') },
        { label: t('Platform') },
        { label: t('Conditions') },
        { label: t('Status') },
      ],
      rows: trusts.map((trust) => [
        html`<a class="strong" href=${`/console/trusts/${trust.id}`}>${trust.name}</a><code class="under">${trust.issuer}</code>`,
        html`<a href=${clientPath(trust.client_id)}>${trust.client_name}</a>`,
        t(platforms[trust.preset].name),
        conditionList(trust),
        statusOf(trust),
      ]),
    })}
      <p><a href="/console/trusts/test">${t('Test a token')}</a></p>`,
  }),
  {
    method: 'get',
    path,
    permission: 'integrations:view',
    handle: async (visit) => {
      const { body: trust } = await visit.call<ShownTrust>('GET /trusts/{id}', of(visit));
      const params = { client_id: trust.client_id };
      const { body: client } = await visit.call<ShownClient>('GET /clients/{client_id}', { params });
      return {
        title: trust.name,
        section,
        body: html`${pageHeading({
          title: trust.name,
          lead: statusOf(trust),
          back: { path: '/console/trusts', label: t('Workload identities') },
          actions: html`<a class="button" href="/console/trusts/test">${t('Test a token')}</a>
            ${visit.can('api_key:manage') && html`<a class="button" href=${`/console/trusts/${trust.id}/edit`}>${t('Edit')}</a>`}`,
        })}
        ${rotation(visit, trust, client)} ${about(visit, trust)} ${danger(visit, trust)}`,
      };
    },
  },
  ...confirmedAct({
    path: `${path}/delete`,
    permission: 'api_key:manage',
    confirm: async (visit) => {
      const { body: trust } = await visit.call<ShownTrust>('GET /trusts/{id}', of(visit));
      return {
        title: t('Delete {name}?', { name: trust.name }),
        section,
        body: html`<ul class="bullets">
          <li>${t('Its tokens are rejected immediately. Access tokens that were obtained with them work until they expire.')}</li>
        </ul>`,
        button: t('Delete'),
        name: trust.name,
        back: { path: `/console/trusts/${trust.id}`, label: trust.name },
      };
    },
    act: async (visit) => {
      await visit.call('DELETE /trusts/{id}', of(visit));
      return { seeOther: '/console/trusts', done: 'deleted' };
    },
  }),
];

function of({ params }: Visit) {
  return { params: { id: params['id'] } };
}

function statusOf({ enabled }: ShownTrust): VNode {
  return enabled ? badge('ok', t('enabled')) : badge('bad', t('disabled'));
}

function conditionList({ conditions }: ShownTrust): VNode {
  return html`<ul>${conditions.map((condition) => html`<li><code>${writeCondition(condition)}</code></li>`)}</ul>`;
}

/** Says whether the integration authenticates with the trust, and offers the rotation if it does not. */
function rotation(visit: Visit, trust: ShownTrust, client: ShownClient): VNode {
  const name = html`<a href=${clientPath(client.client_id)}>${client.name}</a>`;
  if (client.auth_method === 'workload_identity') {
    return html`<p>${rich('{name} authenticates with its workload identities.', { name })}</p>`;
  }
  const method = methodLabel(client.auth_method);
  return notice(
    'warn',
    html`<p>
        ${rich('<strong>Its tokens are not accepted yet.</strong> {name} authenticates with: {method}.', { name, method })}
        ${' '}${t('The change is a rotation: you review who would be affected, both credentials work during the grace period, and it can be undone.')}
      </p>
      ${
        trust.enabled &&
        visit.can('api_key:manage') &&
        postForm(
          clientPath(client.client_id, '/replace/review'),
          html`<input type="hidden" name="auth_method" value="workload_identity" /><button>${t('Review the rotation')}</button>`,
        )
      }`,
  );
}

function about(visit: Visit, trust: ShownTrust): VNode {
  const { source, jwks, jwks_uri: jwksUri, has_ca: hasCa } = trust.keys;
  const sources = {
    discovery: () => t('found by discovery'),
    jwks_uri: () => html`<code>${jwksUri}</code>`,
    jwks: () => t('{count, number} registered', { count: jwks?.keys.length ?? 0 }),
    in_cluster: () => t('from the API of the cluster'),
  };
  return html`<section class="card" aria-labelledby="about">
    <h2 id="about">${t('Details')}</h2>
    ${facts({
      [t('Integration')]: html`<a href=${clientPath(trust.client_id)}>${trust.client_name}</a>`,
      [t('Platform')]: t(platforms[trust.preset].name),
      [t('Issuer')]: html`<code>${trust.issuer}</code>`,
      [t('Audience')]: html`<code>${trust.audience}</code>`,
      [t('Conditions')]: conditionList(trust),
      [t('Public keys')]:
        html`${sources[source]()}${hasCa && html`<span class="under">${t('verified with the CAs of this trust')}</span>`}`,
      [t('Longest lifetime of a token')]: inWords(trust.max_lifetime),
      [t('Created')]: fromNow(trust.created_at, visit.now),
      [t('Changed')]: fromNow(trust.updated_at, visit.now),
    })}
  </section>`;
}

function danger(visit: Visit, trust: ShownTrust): VNode | null {
  if (!visit.can('api_key:manage')) return null;
  return html`<section class="card" aria-labelledby="danger">
    <h2 id="danger">${t('Danger zone')}</h2>
    <div class="actions"><a class="button danger" href=${`/console/trusts/${trust.id}/delete`}>${t('Delete…')}</a></div>
  </section>`;
}
