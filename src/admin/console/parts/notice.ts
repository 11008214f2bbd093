import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';

/** What a page has to say first. */
export function notice(tone: 'ok' | 'warn' | 'bad' | 'plain', content: ComponentChildren): VNode {
  return html`<div class=${`notice ${tone}`} role=${tone === 'bad' ? 'alert' : 'status'}>${content}</div>`;
}
