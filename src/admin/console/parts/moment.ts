import { html } from 'htm/preact';
import type { VNode } from 'preact';

const units = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
] as const;

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always' });

/** Renders a time relative to now, such as `2 hours ago` or `in 3 days`. Its title is the time itself. */
export function fromNow(at: string, now: number): VNode {
  const ms = Date.parse(at) - now;
  const [unit, length] = units.find(([, each]) => Math.abs(ms) >= each) ?? (['second', 1_000] as const);
  const text =
    Math.abs(ms) < 60_000 ? (ms > 0 ? 'within a minute' : 'just now') : relative.format(Math.trunc(ms / length), unit);
  return html`<time datetime=${at} title=${exactly(at)}>${text}</time>`;
}

/** Renders a time relative to now, or `never` if it is null. */
export function lastUse(at: string | null, now: number): VNode {
  return at === null ? html`<span class="muted">never</span>` : fromNow(at, now);
}

/** Renders a time in UTC, to the minute. A script shows it in the time zone of the viewer, with UTC as its title. */
export function exactMoment(at: string): VNode {
  return html`<time datetime=${at} title=${exactly(at)} data-exact>${exactly(at)}</time>`;
}

/** Renders the remaining time. A script counts it down in the browser. */
export function timeLeft(until: string, now: number): VNode {
  const seconds = Math.max(0, Math.floor((Date.parse(until) - now) / 1_000));
  return html`<time datetime=${until} title=${exactly(until)} data-ends=${until}>${minutesAndSeconds(seconds)}</time>`;
}

function minutesAndSeconds(seconds: number): string {
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** Returns a time in UTC, to the minute. */
export function exactly(at: string): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
