import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';

/** A state in a word. The colour says nothing that the word does not. */
export function badge(tone: 'ok' | 'warn' | 'bad' | 'plain', text: ComponentChildren): VNode {
  return html`<span class=${`badge ${tone}`}>${text}</span>`;
}
