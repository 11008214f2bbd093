import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';

/** Names and values; a value that is undefined is left out. */
export function facts(entries: Readonly<Record<string, ComponentChildren>>): VNode {
  return html`<dl class="facts">
    ${Object.entries(entries)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}
