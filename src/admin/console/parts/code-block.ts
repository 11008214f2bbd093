import { html } from 'htm/preact';
import type { VNode } from 'preact';

/** Text to be taken elsewhere as it stands. */
export function codeBlock({ id, label, code }: { id: string; label: string; code: string }): VNode {
  return html`<div class="code">
    <pre tabindex="0" role="region" aria-label=${label}><code id=${id}>${code}</code></pre>
    <button type="button" class="copy" data-copy=${id} aria-label=${`Copy ${label}`} hidden>Copy</button>
  </div>`;
}
