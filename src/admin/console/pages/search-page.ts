import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { msg, t } from '../languages/translate.ts';
import { attempt, type Page, type ShownFound, type Visit } from '../page.ts';
import { pageHeading } from '../parts/elements.ts';
import { problemNotice } from '../parts/notices.ts';
import { pickText } from '../parts/picker.ts';

const titles = {
  integration: msg('Integrations'),
  resource_server: msg('Resource servers'),
  access_key: msg('Access keys'),
  contact: msg('Contacts'),
  organization: msg('Organizations'),
} as const;
const paths = {
  integration: 'clients',
  resource_server: 'clients',
  access_key: 'access-keys',
  contact: 'contacts',
  organization: 'organizations',
} as const;

/**
 * Page with the results of the search over everything. The search field of every page leads here, and shows results
 * while typing.
 */
export const searchPage: Page = {
  method: 'get',
  path: '/search',
  permission: 'integrations:view',
  handle: async (visit) => {
    const q = visit.query['q']?.trim() ?? '';
    const result = q === '' ? undefined : await attempt(() => find(visit, q));
    return {
      title: t('Search'),
      section: 'search',
      sought: q,
      body: html`${pageHeading({ title: t('Search') })}
        ${result && 'problem' in result && problemNotice(result.problem)}
        <div id="results">${result && 'done' in result ? results(result.done, q) : help()}</div>`,
    };
  },
};

async function find(visit: Visit, q: string): Promise<ShownFound> {
  return (await visit.call<ShownFound>('GET /search', { query: { q } })).body;
}

function help(): VNode {
  return html`<p class="muted">${t('Search for a name, an e-mail address, an external ID, the beginning or end of a Client ID, the last four characters of a secret or access key, or the address of a source.')}</p>`;
}

function results({ data, counts }: ShownFound, q: string): VNode {
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  const isCut = counts.some((each) => each.has_more);
  return html`<p class="muted" data-found>${summary(total, isCut, q)}</p>
    ${counts
      .filter(({ count }) => count > 0)
      .map(
        ({ kind, count, has_more: hasMore }) =>
          html`<section aria-label=${t(titles[kind])}>
          <h2>${t(titles[kind])} <span class="muted">${`${count}${hasMore ? '+' : ''}`}</span></h2>
          <ul class="found">
            ${data
              .filter((each) => each.kind === kind)
              .map(
                (each) =>
                  html`<li data-kind=${kind} data-pick=${pickText(each)}><a class="strong" href=${`/console/${paths[kind]}/${each.id}`}>${each.name}</a><span class="under">${each.detail}</span></li>`,
              )}
          </ul>
        </section>`,
      )}`;
}

function summary(total: number, isCut: boolean, q: string): string {
  if (total > 0) {
    return isCut ? t('{total, number} or more found', { total }) : t('{total, number} found', { total });
  }
  return isCut
    ? t(
        'Nothing among the newest matches “{q}”. Its words are common, so older ones were not compared: add a word, or search in a list.',
        { q },
      )
    : t('Nothing matches “{q}”.', { q });
}
