import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Visit } from '../page.ts';
import type { ShownUsage } from '../shown.ts';
import { fromNow } from './moment.ts';
import { table } from './table.ts';
import { usageChart } from './usage-chart.ts';

const spans = [
  ['24', '24 hours'],
  ['168', '7 days'],
  ['720', '30 days'],
] as const;

/** Returns the number of hours from the query, or 24 if it is missing or not an option. */
export function shownHours({ query }: Visit): string {
  return spans.find(([hours]) => hours === query['hours'])?.[0] ?? '24';
}

/** Renders the usage of a client or an access key over time and by source. */
export function usageSection(visit: Visit, usage: ShownUsage): VNode {
  const hours = shownHours(visit);
  return html`<section class="card" id="use" aria-labelledby="use-title">
    <div class="card-head">
      <h2 id="use-title">Usage</h2>
      <nav class="tabs" aria-label="Period">
        ${spans.map(
          ([each, label]) =>
            html`<a href=${`${visit.path}?hours=${each}#use`} aria-current=${each === hours ? 'true' : undefined}>${label}</a>`,
        )}
      </nav>
    </div>
    ${
      isUsed(usage)
        ? html`${usageChart(usage, Number(hours))} ${sources(visit, usage)}`
        : html`<p class="muted">There were no requests in this period.</p>`
    }
  </section>`;
}

function isUsed({ secrets, without_secret: without }: ShownUsage): boolean {
  return [...secrets, without].some((each) => each.per_hour.length > 0 || each.sources.length > 0);
}

function sources(visit: Visit, usage: ShownUsage): VNode | null {
  const rows = [...usage.secrets, { ...usage.without_secret, hint: '', status: 'none' }].flatMap((secret) =>
    secret.sources.map((source) => ({ secret, source })),
  );
  if (rows.length === 0) return null;
  return html`<details open=${rows.length <= 5}>
    <summary>${`Sources (${rows.length})`}</summary>
    ${table({
      caption: 'Sources of the requests',
      columns: [
        { label: 'Source' },
        { label: 'Secret' },
        { label: 'Tokens in 24 h', isNumber: true },
        { label: 'Last used' },
        { label: 'Rejected' },
      ],
      rows: rows.map(({ secret, source }) => [
        sourceName(source),
        secret.hint
          ? html`<code>${secret.hint}</code> ${secret.status === 'retiring' ? 'previous' : secret.status}`
          : 'none',
        String(source.tokens_24h),
        source.last_used_at ? fromNow(source.last_used_at, visit.now) : html`<span class="muted">never</span>`,
        source.refused > 0 && source.refused_at
          ? html`<span>${`${source.refused === 1 ? 'once' : `${source.refused} times`}, last `}${fromNow(source.refused_at, visit.now)}</span>`
          : html`<span class="muted">none</span>`,
      ]),
    })}
  </details>`;
}

/** Renders a source of requests: a user agent and its address. */
export function sourceName({ address, user_agent: userAgent }: { address: string; user_agent: string }): VNode {
  return html`<span class="strong">${userAgent || 'no user agent'}</span
    ><span class="under">${address === '*' ? 'other addresses' : address}</span>`;
}
