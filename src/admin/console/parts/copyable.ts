import { html } from 'htm/preact';
import type { VNode } from 'preact';

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
