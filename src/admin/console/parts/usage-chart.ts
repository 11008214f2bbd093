import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { ShownUsage } from '../shown.ts';
import { type Column, table } from './table.ts';

const hourMs = 3_600_000;

const series = [
  { key: 'current', label: 'Current' },
  { key: 'retiring', label: 'Previous' },
  { key: 'other', label: 'Other' },
  { key: 'refused', label: 'Rejected' },
] as const;

type Counts = Record<(typeof series)[number]['key'], number>;
type Bar = Counts & { startsAt: number };

/** Renders usage over time as a bar chart, and the same numbers as a table. */
export function usageChart(usage: ShownUsage, hours: number): VNode {
  const bars = toBars(usage, hours);
  const total = (key: keyof Counts) => bars.reduce((sum, bar) => sum + bar[key], 0);
  const present = series.filter(({ key }) => key === 'current' || total(key) > 0);
  const highest = Math.max(1, ...bars.map(sumOf));
  const [first, last] = [bars[0], bars.at(-1)];
  const width = 1_000 / bars.length;
  const summary = present.map(({ key, label }) => `${label.toLowerCase()}: ${total(key)}`).join(', ');
  return html`<figure class="chart">
    <div class="axis"><span>${`max. ${highest === 1 && sumAll(bars) === 0 ? 0 : highest}`}</span></div>
    <svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label=${`Requests in the last ${spanOf(hours)}. ${summary}.`}>
      ${bars.map((bar, index) => stack(bar, index * width, width, highest))}
    </svg>
    <div class="axis"><span>${first && labelOf(first, hours)}</span><span>${last && labelOf(last, hours)}</span></div>
    <ul class="legend">
      ${present.map(
        ({ key, label }) =>
          html`<li><svg viewBox="0 0 1 1" aria-hidden="true"><rect class=${key} width="1" height="1" /></svg>${`${label}: ${total(key)}`}</li>`,
      )}
    </ul>
    ${sumAll(bars) > 0 && numbers(bars, hours, present)}
  </figure>`;
}

function stack(bar: Bar, x: number, width: number, highest: number): VNode[] {
  let top = 100;
  return series.flatMap(({ key }) => {
    if (bar[key] === 0) return [];
    const height = (bar[key] / highest) * 100;
    top -= height;
    const gap = Math.min(2, width / 5);
    return [html`<rect class=${key} x=${x + gap / 2} y=${top} width=${width - gap} height=${height} />`];
  });
}

function numbers(bars: readonly Bar[], hours: number, present: readonly (typeof series)[number][]): VNode {
  const columns: Column[] = [{ label: 'From (UTC)' }, ...present.map(({ label }) => ({ label, isNumber: true }))];
  const used = bars.filter((bar) => sumOf(bar) > 0).reverse();
  return html`<details>
    <summary>Show as a table</summary>
    ${table({
      caption: 'Requests over time, without periods that have none',
      columns,
      rows: used.map((bar) => [labelOf(bar, hours), ...present.map(({ key }) => String(bar[key]))]),
    })}
  </details>`;
}

/** Groups the counts into one bar per hour for up to 7 days, or one bar per day (UTC) for longer periods. */
function toBars(usage: ShownUsage, hours: number): Bar[] {
  const step = hours > 168 ? 24 * hourMs : hourMs;
  const end = Math.floor(Date.parse(usage.until) / step) * step;
  const count = Math.ceil((hours * hourMs) / step);
  const bars = Array.from({ length: count }, (_, index): Bar => {
    return { startsAt: end - (count - 1 - index) * step, current: 0, retiring: 0, other: 0, refused: 0 };
  });
  const statuses = [...usage.secrets, { ...usage.without_secret, status: 'none' }];
  for (const { status, per_hour: perHour } of statuses) {
    for (const hour of perHour) {
      const bar = bars[count - 1 - Math.floor((end + step - 1 - Date.parse(hour.starts_at)) / step)];
      if (!bar) continue;
      bar[status === 'current' || status === 'retiring' ? status : 'other'] += hour.issued + hour.used;
      bar.refused += hour.refused;
    }
  }
  return bars;
}

function sumOf({ current, retiring, other, refused }: Counts): number {
  return current + retiring + other + refused;
}

function sumAll(bars: readonly Bar[]): number {
  return bars.reduce((sum, bar) => sum + sumOf(bar), 0);
}

function labelOf({ startsAt }: Bar, hours: number): string {
  const text = new Date(startsAt).toISOString();
  return hours > 168 ? text.slice(0, 10) : `${text.slice(5, 10)} ${text.slice(11, 16)}`;
}

function spanOf(hours: number): string {
  return hours <= 24 ? `${hours} hours` : `${hours / 24} days`;
}
