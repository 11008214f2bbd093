import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { badge } from './badge.ts';
import { fromNow } from './moment.ts';

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
