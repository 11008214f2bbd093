import { html } from 'htm/preact';
import type { VNode } from 'preact';

/** Where a list goes on, with the same filters. */
export function nextPage(path: string, query: Readonly<Record<string, string>>, cursor: string | null): VNode | null {
  if (cursor === null && query['cursor'] === undefined) return null;
  const { cursor: _earlier, ...filters } = query;
  const address = (more: Record<string, string>) => `${path}?${new URLSearchParams({ ...filters, ...more })}`;
  return html`<nav class="pages" aria-label="Pages of the list">
    ${query['cursor'] !== undefined && html`<a href=${address({})}>Back to the newest</a>`}
    ${cursor !== null && html`<a class="button" href=${address({ cursor })}>Older</a>`}
  </nav>`;
}
