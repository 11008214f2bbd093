import { randomUUID } from 'node:crypto';
import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';

/** A form that does something. Its key makes the same form, sent twice, do it once. */
export function postForm(action: string, content: ComponentChildren, className = 'stack'): VNode {
  return html`<form class=${className} method="post" action=${action}>
    <input type="hidden" name="once" value=${randomUUID()} />
    ${content}
  </form>`;
}

/** The fields of a form that was sent, to be sent again with the next one. */
export function hiddenFields(form: URLSearchParams): VNode[] {
  return [...form].map(([name, value]) => html`<input type="hidden" name=${name} value=${value} />`);
}

type Filter = { name: string; label: string; options: readonly (readonly [value: string, text: string])[] };

/** Search and filters above a list. With a script, the rows that are there are filtered as one types; Enter asks the server. */
export function filterForm({
  action,
  query,
  search,
  filters = [],
}: {
  action: string;
  query: Readonly<Record<string, string>>;
  search: string;
  filters?: readonly Filter[];
}): VNode {
  return html`<form class="filters" method="get" action=${action} role="search">
    <div class="field grow">
      <label class="unseen" for="filter-q">${search}</label>
      <input id="filter-q" type="search" name="q" maxlength="200" value=${query['q']} placeholder=${search} data-filters="filtered" />
    </div>
    ${filters.map(
      ({ name, label, options }) =>
        html`<div class="field">
          <label class="unseen" for=${`filter-${name}`}>${label}</label>
          <select id=${`filter-${name}`} name=${name}>
            ${options.map(([value, text]) => html`<option value=${value} selected=${value === (query[name] ?? '')}>${text}</option>`)}
          </select>
        </div>`,
    )}
    <button>Search</button>
  </form>`;
}
