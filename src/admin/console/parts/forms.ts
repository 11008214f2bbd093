import { randomUUID } from 'node:crypto';
import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';

/** Renders a POST form. Its `once` field is an idempotency key, so a form that is sent twice takes effect once. */
export function postForm(action: string, content: ComponentChildren, className = 'stack'): VNode {
  return html`<form class=${className} method="post" action=${action}>
    <input type="hidden" name="once" value=${randomUUID()} />
    ${content}
  </form>`;
}

/** Renders the fields of a submitted form as hidden fields of the next form. */
export function hiddenFields(form: URLSearchParams): VNode[] {
  return [...form].map(([name, value]) => html`<input type="hidden" name=${name} value=${value} />`);
}

/** A select field that filters a list. */
export type Filter = { name: string; label: string; options: readonly (readonly [value: string, text: string])[] };

/**
 * Renders search and filters above a list. With a script, the rows of the current page are filtered while typing; Enter
 * searches on the server.
 */
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
