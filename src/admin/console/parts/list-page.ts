import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Permission } from '../../../contacts/contact.ts';
import type { Route } from '../../call-endpoint.ts';
import { type Message, msg, t } from '../languages/translate.ts';
import type { Listed, Page, Section, Visit } from '../page.ts';
import { badge, emptyState, pageHeading, pagination } from './elements.ts';
import { type Filter, filterForm, orders, pageSizes, stateFilter } from './forms.ts';
import { cannotView } from './notices.ts';
import { candidates, findPicked, type Picked, pickText } from './picker.ts';

type List<Item> = {
  /** Path below `/console`; also the navigation section. */
  section: Section;
  title: Message;
  lead: Message;
  /** The main action of the page, for operators with its permission. */
  action?: { permission: Permission; path: string; label: Message };
  /** A further page, for operators with the permission of the main action. */
  further?: { path: string; label: Message };
  /** If set, operators without this permission get an error instead of the page. */
  permission?: Permission;
  /** Whether people of an organization without that permission see what belongs to them. */
  own?: true;
  route: Route;
  /** Query parameters that every request of this list has. */
  query?: Record<string, string>;
  /** Placeholder of the search field. */
  search: Message;
  /** Texts of a list in which the filters find nothing, and of the link that removes them. */
  noMatch: Message;
  showAll: Message;
  filters?: readonly Filter[];
  /** Explains the items of the list, shown while there are none. */
  none?(visit: Visit): VNode;
  table(visit: Visit, items: readonly Item[]): VNode;
};

/** Creates a page that lists and searches things, page by page. */
export function listPage<Item>(list: List<Item>): Page {
  const { section, action } = list;
  return {
    method: 'get',
    path: `/${section}`,
    ...(list.permission ? { permission: list.permission } : {}),
    ...(list.own ? { own: list.own } : {}),
    handle: async (visit) => ({
      title: t(list.title),
      section,
      body: html`${pageHeading({
        title: t(list.title),
        lead: t(list.lead),
        actions:
          action &&
          visit.can(action.permission) &&
          html`${list.further && html`<a class="button" href=${list.further.path}>${t(list.further.label)}</a>`}<a class="button primary" href=${action.path}>${t(action.label)}</a>`,
      })}
      ${visit.can('integrations:view') || visit.isOwnOnly ? await items(visit, list) : cannotView()}`,
    }),
  };
}

async function items<Item>(visit: Visit, list: List<Item>): Promise<VNode> {
  const { section, route, search, filters = [] } = list;
  const path = `/console/${section}`;
  const picks = await Promise.all(filters.map((filter) => readPick(visit, filter)));
  const chosen = picks.flatMap((pick) => (pick?.picked ? [[pick.name, pick.picked] as const] : []));
  const query = { ...visit.query, ...Object.fromEntries(chosen.map(([name, picked]) => [name, pickText(picked)])) };
  const asked = ['q', ...filters.map(({ name }) => name)].map(
    (name) => [name, visit.query[name] || undefined] as const,
  );
  const form = (total?: Listed<Item>['total']) =>
    filterForm({ action: path, query, search, filters: [...filters, ...layout], more: total && count(total) });
  const unclear = picks.find((pick) => pick && !pick.picked);
  if (unclear) return html`${form()} ${candidates(visit, unclear)}`;
  const size = Number(pageSizes.find(([each]) => each === visit.query['limit'])?.[0] ?? pageSizes[0]?.[0]);
  const { body } = await visit.call<Listed<Item>>(route, {
    query: {
      ...list.query,
      ...Object.fromEntries(asked),
      ...Object.fromEntries(chosen.map(([name, { id }]) => [name, id])),
      order: orders.find(([each]) => each === visit.query['order'])?.[0] || undefined,
      limit: String(size),
      count: 'true',
      cursor: visit.query['cursor'],
    },
  });
  if (body.data.length === 0 && list.none && asked.every(([, value]) => value === undefined)) return list.none(visit);
  return html`${form(body.total)} ${filters.includes(stateFilter) && (await stateCounts(visit, list))}
    ${
      body.data.length === 0
        ? emptyState(
            body.next_cursor === null ? t(list.noMatch) : t('{none} so far', { none: t(list.noMatch) }),
            html`<p>${body.next_cursor !== null && t(unfinished)} <a href=${path}>${t(list.showAll)}</a></p>`,
          )
        : list.table(visit, body.data)
    }
    ${body.data.length > 0 && body.data.length < size && body.next_cursor !== null && html`<p class="muted">${t(unfinished)}</p>`}
    ${pagination(path, visit.query, body)}`;
}

/** Explains a page of a search that ended before it had compared everything. */
const unfinished = msg(
  'The words of this search are common, so only a part of the list was compared. Open the next page to continue the search, or add a word.',
);

/** Renders a link for each state with the number of its items, which may be on another page of the list. */
async function stateCounts<Item>(visit: Visit, { section, route, query }: List<Item>): Promise<VNode | null> {
  const states = (stateFilter.options ?? []).filter(([state]) => state !== '');
  const counted = await Promise.all(
    states.map(async ([state, label]) => {
      const limits = { ...query, state, limit: '1', count: 'true' };
      const { body } = await visit.call<Listed<Item>>(route, { query: limits });
      return { state, label, total: body.total };
    }),
  );
  const found = counted.filter(({ total }) => total && (total.count > 0 || total.has_more));
  if (found.length === 0) return null;
  const chosen = visit.query['state'];
  return html`<nav class="tabs states" aria-label=${t('State')}>
    ${found.map(
      ({ state, label, total }) =>
        html`<a href=${`/console/${section}?state=${state}`} aria-current=${state === chosen ? 'true' : undefined}>${badge(tones[state] ?? 'plain', html`${t(label)}: <strong>${total && number(total)}</strong>`)}</a> `,
    )}
  </nav>`;
}

/** Colours of states. The others are plain. */
const tones: Readonly<Record<string, 'bad' | 'warn'>> = { refused: 'bad', in_grace_period: 'warn', expiring: 'warn' };

function number({ count, has_more: hasMore }: NonNullable<Listed<unknown>['total']>): string {
  return hasMore ? t('more than {count, number}', { count }) : t('{count, number}', { count });
}

const layout: readonly Filter[] = [
  { name: 'order', label: msg('Order'), options: orders },
  { name: 'limit', label: msg('Page size'), options: pageSizes },
];

/** Renders the number of items on all pages. */
export function count({ count, has_more: hasMore }: NonNullable<Listed<unknown>['total']>): VNode {
  return html`<p class="muted count">${hasMore ? t('more than {count, number} found', { count }) : t('{total, number} found', { total: count })}</p>`;
}

/** Finds the things that the text of a filter matches. Returns undefined if the filter is not set or is not one of things. */
async function readPick(visit: Visit, { name, pick: kinds }: Filter) {
  const text = visit.query[name]?.trim();
  if (!kinds || !text) return undefined;
  const found = await findPicked(visit, text, kinds);
  const picked: Picked | undefined = found.length === 1 ? found[0] : undefined;
  return { name, text, kinds, found, picked };
}
