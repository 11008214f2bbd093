import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { currentLanguage } from '../languages/language.ts';
import { type Message, msg, rich, t } from '../languages/translate.ts';
import type { ShownUsage, Visit } from '../page.ts';
import { type Column, exactly, fromNow, table } from './elements.ts';

const spans = [
  ['24', msg('24 hours')],
  ['168', msg('7 days')],
  ['720', msg('30 days')],
] as const;

/** Returns the number of hours from the query, or 24 if it is missing or not an option. */
export function shownHours({ query }: Visit): string {
  return spans.find(([hours]) => hours === query['hours'])?.[0] ?? '24';
}

/** Renders the usage of a client or an access key over time and by source, with the times of its rotations. */
export function usageSection(visit: Visit, usage: ShownUsage, rotations: readonly { created_at: string }[]): VNode {
  const hours = shownHours(visit);
  return html`<section class="card" id="use" aria-labelledby="use-title">
    <div class="card-head">
      <h2 id="use-title">${t('Usage')}</h2>
      <nav class="tabs" aria-label=${t('Period')}>
        ${spans.map(
          ([each, label]) =>
            html`<a href=${`${visit.path}?hours=${each}#use`} aria-current=${each === hours ? 'true' : undefined}>${t(label)}</a>`,
        )}
      </nav>
    </div>
    ${
      isUsed(usage)
        ? html`${usageChart(usage, Number(hours), rotations)} ${sources(visit, usage)}`
        : html`<p class="muted">${t('There were no requests in this period.')}</p>`
    }
  </section>`;
}

function isUsed({ secrets, without_secret: without }: ShownUsage): boolean {
  return [...secrets, without].some((each) => each.per_hour.length > 0 || each.sources.length > 0);
}

function sources(visit: Visit, usage: ShownUsage): VNode | null {
  const rows = [...usage.secrets, { ...usage.without_secret, hint: '', status: 'none' as const }].flatMap((secret) =>
    secret.sources.map((source) => ({ secret, source })),
  );
  if (rows.length === 0) return null;
  return html`<details open=${rows.length <= 5}>
    <summary>${t('Sources ({count, number})', { count: rows.length })}</summary>
    ${table({
      caption: t('Sources of the requests'),
      columns: [
        { label: t('Source') },
        { label: t('Secret') },
        { label: t('Tokens in 24 h'), isNumber: true },
        { label: t('Last used') },
        { label: t('Rejected') },
      ],
      rows: rows.map(({ secret, source }) => [
        sourceName(source),
        secret.hint ? html`<code>${secret.hint}</code> ${t(secretStatuses[secret.status])}` : t('none'),
        String(source.tokens_24h),
        source.last_used_at ? fromNow(source.last_used_at, visit.now) : html`<span class="muted">${t('never')}</span>`,
        source.refused > 0 && source.refused_at
          ? rich('{count, plural, =1 {once} other {# times}}, last {at}', {
              count: source.refused,
              at: fromNow(source.refused_at, visit.now),
            })
          : html`<span class="muted">${t('none')}</span>`,
      ]),
    })}
  </details>`;
}

const secretStatuses = {
  current: msg('current'),
  retiring: msg('previous'),
  ended: msg('ended'),
  undone: msg('undone'),
  none: msg('none'),
};

/** Returns the number of different sources in lists of several secrets, which may have the same ones. */
export function countSources(usages: readonly { sources: readonly Source[] }[]): number {
  const names = usages.flatMap(({ sources }) =>
    sources.map(({ address, user_agent, instance }) => JSON.stringify([address, user_agent, instance])),
  );
  return new Set(names).size;
}

/** Returns the number of different sources that a secret was used by, not only tried. */
export function countUsers(usages: readonly { sources: readonly Source[] }[]): number {
  return countSources(
    usages.map(({ sources }) => ({ sources: sources.filter(({ last_used_at: at }) => at !== null) })),
  );
}

/** Renders a source of requests: a user agent, its address and the name of its instance. */
export function sourceName(source: { address: string; user_agent: string; instance: string | null }): VNode {
  const { address, user_agent: userAgent, instance } = source;
  if (address === '*') return html`<span class="strong">${t('other sources')}</span>`;
  return html`<span class="strong">${userAgent || t('no user agent')}</span
    ><span class="under">${address === 'unreadable' ? t('unknown address') : address}</span>${
      instance !== null && html`<span class="under">${rich('instance <code>{instance}</code>', { instance })}</span>`
    }`;
}

type Source = ShownUsage['secrets'][number]['sources'][number];

const hourMs = 3_600_000;

const series = [
  { key: 'current', label: msg('Current') },
  { key: 'retiring', label: msg('Previous') },
  { key: 'other', label: msg('Other') },
  { key: 'refused', label: msg('Rejected') },
] as const;

type Counts = Record<(typeof series)[number]['key'], number>;
type Bar = Counts & { startsAt: number };

/** Renders usage over time as a bar chart, and the same numbers as a table. */
function usageChart(usage: ShownUsage, hours: number, rotations: readonly { created_at: string }[]): VNode {
  const bars = toBars(usage, hours);
  const total = (key: keyof Counts) => bars.reduce((sum, bar) => sum + bar[key], 0);
  const present = series.filter(({ key }) => key === 'current' || total(key) > 0);
  const most = Math.max(1, ...bars.map(sumOf));
  // An even number, so that the label at half the height is a whole number.
  const highest = most === 1 ? 1 : most + (most % 2);
  const marks = rotationMarks(bars, hours, rotations);
  const width = 1_000 / bars.length;
  const summary = present.map(({ key, label }) => `${t(label)}: ${total(key)}`).join(', ');
  return html`<figure class="chart">
    <div class="plot">
      <div class="y-axis" aria-hidden="true"><span>${highest}</span>${highest > 1 && html`<span>${highest / 2}</span>`}<span>0</span></div>
      <svg class="bars" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label=${summaryOf(hours, summary, marks)}>
        ${bars.map((bar, index) => barOf(bar, { x: index * width, width, highest, hours }))}
        ${marks.map(({ at, x }) => html`<line class="mark" x1=${x} x2=${x} y1="0" y2="100"><title>${t('Rotated {at}', { at: exactly(at) })}</title></line>`)}
      </svg>
      <div class="axis">
        ${[bars[0], bars[Math.floor(bars.length / 2)], bars.at(-1)].map(
          (bar) =>
            bar &&
            html`<time datetime=${new Date(bar.startsAt).toISOString()} data-axis=${hours > 168 ? 'day' : 'hour'}>${labelOf(bar, hours)}</time>`,
        )}
      </div>
    </div>
    <p class="hint values" role="status"></p>
    <ul class="legend">
      ${present.map(
        ({ key, label }) =>
          html`<li><svg viewBox="0 0 1 1" aria-hidden="true"><rect class=${key} width="1" height="1" /></svg>${`${t(label)}: ${total(key)}`}</li>`,
      )}
      ${marks.length > 0 && html`<li><svg viewBox="0 0 1 1" aria-hidden="true"><rect class="mark" x="0.4" width="0.2" height="1" /></svg>${t('Rotation')}</li>`}
    </ul>
    ${sumAll(bars) > 0 && numbers(bars, hours, present)}
  </figure>`;
}

/** Returns the rotations of the shown period, with their horizontal positions. */
function rotationMarks(
  bars: readonly Bar[],
  hours: number,
  rotations: readonly { created_at: string }[],
): { at: string; x: number }[] {
  const start = bars[0]?.startsAt ?? 0;
  const length = bars.length * (hours > 168 ? 24 : 1) * hourMs;
  return rotations
    .map(({ created_at: at }) => ({ at, x: ((Date.parse(at) - start) / length) * 1_000 }))
    .filter(({ x }) => x >= 0 && x <= 1_000);
}

/** Renders one bar. Its whole height shows the values on hover; a script shows them for the keyboard as well. */
function barOf(
  bar: Bar,
  { x, width, highest, hours }: { x: number; width: number; highest: number; hours: number },
): VNode {
  const values = series.filter(({ key }) => bar[key] > 0).map(({ key, label }) => `${t(label)}: ${bar[key]}`);
  const said = values.join(', ') || t('no requests');
  return html`<g class="bar" data-at=${new Date(bar.startsAt).toISOString()} data-values=${said}>
    <title>${`${labelOf(bar, hours)} UTC: ${said}`}</title>
    <rect class="hit" x=${x} y="0" width=${width} height="100" />
    ${stack(bar, x, width, highest)}
  </g>`;
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
  const columns: Column[] = [
    { label: t('From (UTC)') },
    ...present.map(({ label }) => ({ label: t(label), isNumber: true })),
  ];
  const used = bars.filter((bar) => sumOf(bar) > 0).reverse();
  return html`<details>
    <summary>${t('Show as a table')}</summary>
    ${table({
      caption: t('Requests over time, without periods that have none'),
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
  const { day, hour } = currentLanguage();
  return (hours > 168 ? day : hour)(new Date(startsAt));
}

const periods: Readonly<Record<string, Message>> = {
  24: msg('Requests in the last 24 hours.'),
  168: msg('Requests in the last 7 days.'),
  720: msg('Requests in the last 30 days.'),
};

/** Returns the content of a chart as text. */
function summaryOf(hours: number, summary: string, marks: readonly { at: string }[]): string {
  const times = marks.map(({ at }) => exactly(at)).join(', ');
  const parts = [t(periods[hours] ?? ''), `${summary}.`, times && t('Rotations: {times}.', { times })];
  return parts.filter(Boolean).join(' ');
}
