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
