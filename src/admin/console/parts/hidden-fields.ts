import { html } from 'htm/preact';
import type { VNode } from 'preact';

/** What was entered on the page before, taken along. */
export function hiddenFields(form: URLSearchParams): VNode[] {
  return [...form]
    .filter(([name]) => name !== 'once')
    .map(([name, value]) => html`<input type="hidden" name=${name} value=${value} />`);
}
