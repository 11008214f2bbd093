import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';

export type Column = { label: string; isNumber?: boolean };

/**
 * Renders a table that becomes a list of cards on narrow screens. Its ARIA roles are explicit, because browsers drop
 * table semantics when CSS changes the `display` of table elements.
 * @param caption describes the table to users of screen readers.
 */
export function table({
  caption,
  columns,
  rows,
  id,
}: {
  caption: string;
  columns: readonly Column[];
  rows: readonly (readonly ComponentChildren[])[];
  id?: string;
}): VNode {
  return html`<table class="table" role="table" id=${id}>
    <caption class="unseen">${caption}</caption>
    <thead role="rowgroup">
      <tr role="row">
        ${columns.map(({ label, isNumber }) => html`<th role="columnheader" scope="col" class=${isNumber && 'number'}>${label}</th>`)}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map(
        (row) =>
          html`<tr role="row">
            ${row.map((cell, index) => {
              const { label, isNumber } = columns[index] ?? { label: '' };
              return html`<td role="cell" data-label=${label} class=${isNumber && 'number'}><div>${cell}</div></td>`;
            })}
          </tr>`,
      )}
    </tbody>
  </table>`;
}

/** Renders links to the next page of a list and back to the first, with the same filters. */
export function nextPage(path: string, query: Readonly<Record<string, string>>, cursor: string | null): VNode | null {
  if (cursor === null && query['cursor'] === undefined) return null;
  const { cursor: _earlier, ...filters } = query;
  const address = (more: Record<string, string>) => `${path}?${new URLSearchParams({ ...filters, ...more })}`;
  return html`<nav class="pages" aria-label="Pagination">
    ${query['cursor'] !== undefined && html`<a href=${address({})}>First page</a>`}
    ${cursor !== null && html`<a class="button" href=${address({ cursor })}>Next page</a>`}
  </nav>`;
}
