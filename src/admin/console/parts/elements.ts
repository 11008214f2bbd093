import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';
import { fromNow } from './moment.ts';

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

/** A state in a word. The colour says nothing that the word does not. */
export function badge(tone: 'ok' | 'warn' | 'bad' | 'plain', text: ComponentChildren): VNode {
  return html`<span class=${`badge ${tone}`}>${text}</span>`;
}

/** The state of a client or an access key, and whether an overlap runs. */
export function statusBadges(
  owner: { status: 'enabled' | 'disabled' | 'expired'; retires_at: string | null },
  now: number,
): VNode {
  const tone = owner.status === 'enabled' ? 'ok' : 'bad';
  return html`<span class="badges"
    >${badge(tone, owner.status)}${owner.retires_at && badge('warn', html`overlap, ends ${fromNow(owner.retires_at, now)}`)}</span
  >`;
}

/** Names and values; a value that is undefined is left out. */
export function facts(entries: Readonly<Record<string, ComponentChildren>>): VNode {
  return html`<dl class="facts">
    ${Object.entries(entries)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

/** Where there is nothing: why, and what to do about it. */
export function emptyState(title: string, content: ComponentChildren): VNode {
  return html`<div class="empty">
    <h2>${title}</h2>
    ${content}
  </div>`;
}

/** A value to be taken elsewhere. The button is there for whoever has a script; without, the value is selected by one click. */
export function copyable({ id, label, value }: { id: string; label: string; value: string }): VNode {
  return html`<div class="copyable">
    <p class="label">${label}</p>
    <div class="value">
      <code id=${id}>${value}</code>
      <button type="button" class="copy" data-copy=${id} aria-label=${`Copy ${label}`} hidden>Copy</button>
    </div>
  </div>`;
}

/** Text to be taken elsewhere as it stands. */
export function codeBlock({ id, label, code }: { id: string; label: string; code: string }): VNode {
  return html`<div class="code">
    <pre tabindex="0" role="region" aria-label=${label}><code id=${id}>${code}</code></pre>
    <button type="button" class="copy" data-copy=${id} aria-label=${`Copy ${label}`} hidden>Copy</button>
  </div>`;
}
