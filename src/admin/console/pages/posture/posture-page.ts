import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { type Message, msg, t } from '../../languages/translate.ts';
import type { Page, ShownPosture, Visit } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { badge, lastUse, pageHeading, pagination, table } from '../../parts/elements.ts';
import { notice } from '../../parts/notices.ts';
import { policyTitles, stageTitles } from './policy-texts.ts';

const path = '/console/posture';

type Item = ShownPosture['data'][number];
type Finding = Item['findings'][number];

const kinds: Readonly<Record<Item['kind'], Message>> = {
  integration: msg('Integration'),
  resource_server: msg('Resource server'),
  access_key: msg('Access key'),
};

/** Page that ranks clients and access keys by the risk of their credentials. */
export const posturePage: Page = {
  method: 'get',
  path: '/posture',
  permission: 'integrations:view',
  handle: async (visit) => {
    const { body } = await visit.call<ShownPosture>('GET /posture', { query: { cursor: visit.query['cursor'] } });
    return {
      title: t('Posture'),
      section: 'posture',
      body: html`${pageHeading({
        title: t('Posture'),
        lead:
          visit.operator.organizationId === null
            ? t('Integrations, resource servers and access keys, ranked by the risk of their credentials.')
            : t('Your integrations and access keys, ranked by the risk of their credentials.'),
        actions: html`<a class="button" href="/console/policies">${t('Policies')}</a>`,
      })}
      ${summary(body)}
      ${
        body.data.length > 0 &&
        table({
          caption: t('The highest score first'),
          columns: [
            { label: t('Name') },
            { label: t('Score'), isNumber: true },
            { label: t('Findings') },
            { label: t('Last used') },
          ],
          rows: body.data.map((item) => rowOf(visit, item)),
        })
      }
      ${pagination(path, visit.query, body)}`,
    };
  },
};

function summary({ total, warnings, complete }: ShownPosture): VNode {
  if (total === 0) return notice('ok', t('Nothing was found.'));
  const found = t('{count, plural, one {# has} other {# have}} findings.', { count: total });
  const warned = t(
    '{count, plural, =0 {None violates a policy that warns.} one {# violates a policy that warns.} other {# violate a policy that warns.}}',
    { count: warnings },
  );
  const cut = complete ? '' : t('Only the worst 500 of each kind were examined.');
  return notice(warnings > 0 ? 'warn' : 'plain', `${found} ${warned} ${cut}`);
}

function rowOf(visit: Visit, item: Item) {
  const at = item.client_id === null ? `/console/access-keys/${item.access_key_id}` : clientPath(item.client_id);
  return [
    html`<a class="strong" href=${at}>${item.name}</a><span class="under">${t(kinds[item.kind])}${item.contact_name !== null && `, ${item.contact_name}`}</span>`,
    String(item.score),
    html`<ul>${item.findings.map((finding) => html`<li>${textOf(finding)}</li>`)}</ul>`,
    lastUse(item.last_used_at, visit.now),
  ];
}

function textOf({ kind, policy, stage, count }: Finding): VNode | string {
  const number = count ?? 0;
  switch (kind) {
    case 'policy':
      return policy && stage
        ? html`${badge(stage === 'report' ? 'plain' : 'warn', t(stageTitles[stage]))} ${t(policyTitles[policy], { days: number })}`
        : '';
    case 'old_secret':
      return t('secret is {count, plural, one {# day} other {# days}} old', { count: number });
    case 'idle':
      return t('not used for {count, plural, one {# day} other {# days}}', { count: number });
    case 'unused_scope':
      return t('{count, plural, one {# permission} other {# permissions}} not used in 30 days', { count: number });
    case 'no_owner':
      return t('no owner');
    case 'many_networks':
      return t('used from {count} networks, limited to none', { count: number });
    case 'secret_authentication':
      return t('authenticates with a secret');
  }
}
