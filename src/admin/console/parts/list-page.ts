import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Permission } from '../../../contacts/contact.ts';
import type { Route } from '../../call-endpoint.ts';
import type { Listed, Page, Section, Visit } from '../page.ts';
import { emptyState, nextPage, pageHeading } from './elements.ts';
import { type Filter, filterForm } from './forms.ts';
import { cannotView } from './notices.ts';

type List<Item> = {
  /** Path below `/console`; also the navigation section. */
  section: Section;
  title: string;
  lead: string;
  /** The main action of the page, for operators with its permission. */
  action?: { permission: Permission; path: string; label: string };
  /** If set, operators without this permission get an error instead of the page. */
  permission?: Permission;
  route: Route;
  /** Query parameters that every request of this list has. */
  query?: Record<string, string>;
  /** Placeholder of the search field. */
  search: string;
  filters?: readonly Filter[];
  /** Explains the items of the list, shown while there are none. */
  none?(visit: Visit): VNode;
  table(visit: Visit, items: readonly Item[]): VNode;
};

/** Creates a page that lists and searches things, page by page. */
export function listPage<Item>(list: List<Item>): Page {
  const { section, title, lead, action } = list;
  return {
    method: 'get',
    path: `/${section}`,
    ...(list.permission ? { permission: list.permission } : {}),
    handle: async (visit) => ({
      title,
      section,
      body: html`${pageHeading({
        title,
        lead,
        actions:
          action &&
          visit.can(action.permission) &&
          html`<a class="button primary" href=${action.path}>${action.label}</a>`,
      })}
      ${visit.can('integrations:view') ? await items(visit, list) : cannotView()}`,
    }),
  };
}

async function items<Item>(visit: Visit, list: List<Item>): Promise<VNode> {
  const { section, title, route, search, filters = [] } = list;
  const { query } = visit;
  const path = `/console/${section}`;
  const asked = ['q', ...filters.map(({ name }) => name)].map((name) => [name, query[name] || undefined] as const);
  const { body } = await visit.call<Listed<Item>>(route, {
    query: { ...list.query, ...Object.fromEntries(asked), cursor: query['cursor'] },
  });
  if (body.data.length === 0 && list.none && asked.every(([, value]) => value === undefined)) return list.none(visit);
  const noun = title.toLowerCase();
  return html`${filterForm({ action: path, query, search, filters })}
    ${
      body.data.length === 0
        ? emptyState(`No ${noun} match`, html`<p><a href=${path}>${`Show all ${noun}`}</a></p>`)
        : list.table(visit, body.data)
    }
    ${nextPage(path, query, body.next_cursor)}`;
}
