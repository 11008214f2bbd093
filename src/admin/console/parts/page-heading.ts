import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';

/** The title of a page, what it is about, and what can be done there. */
export function pageHeading({
  title,
  lead,
  actions,
  back,
}: {
  title: ComponentChildren;
  lead?: ComponentChildren;
  actions?: ComponentChildren;
  back?: { path: string; label: string };
}): VNode {
  return html`<div class="heading">
    <div>
      ${back && html`<p class="back"><a href=${back.path}>${`← ${back.label}`}</a></p>`}
      <h1>${title}</h1>
      ${lead && html`<p class="lead">${lead}</p>`}
    </div>
    ${actions && html`<div class="actions">${actions}</div>`}
  </div>`;
}
