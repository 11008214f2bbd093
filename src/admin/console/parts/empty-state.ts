import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';

/** Where there is nothing: why, and what to do about it. */
export function emptyState(title: string, content: ComponentChildren): VNode {
  return html`<div class="empty">
    <h2>${title}</h2>
    ${content}
  </div>`;
}
