import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Visit } from '../../page.ts';
import { fromNow, lastUse } from '../../parts/moment.ts';
import { notice } from '../../parts/notices.ts';
import { table } from '../../parts/table.ts';
import { sourceName } from '../../parts/usage-section.ts';
import type { ShownReview } from '../../shown.ts';

/** Renders the effects of a regeneration: sources in use, token counts and a grace period that would end. */
export function impactOf(visit: Visit, impact: ShownReview['impact'], what: string): VNode {
  const sources = impact.used_by.length + impact.used_by_others;
  const { retiring_secret: retiring } = impact;
  return html`<section class="card" aria-labelledby="impact">
    <h2 id="impact">Impact</h2>
    <p>
      ${
        sources === 0
          ? `The ${what} was not used in the last 30 days, so no program should fail.`
          : `${sources === 1 ? '1 source uses' : `${sources} sources use`} the ${what}. Each source must move to the new ${what} before the grace period ends. After that, its token requests fail.`
      }
    </p>
    <dl class="numbers">
      <div><dt>Sources in 30 days</dt><dd>${sources}</dd></div>
      <div><dt>Tokens in 24 hours</dt><dd>${impact.tokens_24h}</dd></div>
      <div><dt>Active tokens</dt><dd>${impact.live_tokens}</dd></div>
      <div><dt>Last used</dt><dd>${lastUse(impact.last_used_at, visit.now)}</dd></div>
    </dl>
    ${
      retiring &&
      notice(
        'warn',
        html`<p>
          <strong>A grace period is already running.</strong> Its previous ${what} <code>${retiring.hint}</code> would expire ${fromNow(retiring.retires_at, visit.now)}, but stops working as soon as you regenerate. ${retiring.used_by.length === 0 ? 'No source uses it.' : `${retiring.used_by.length === 1 ? '1 source still uses' : `${retiring.used_by.length} sources still use`} it and will fail.`}
        </p>`,
      )
    }
    ${
      impact.used_by.length > 0 &&
      table({
        caption: `Sources that use the ${what}`,
        columns: [{ label: 'Source' }, { label: 'Last used' }, { label: 'Tokens in 24 h', isNumber: true }],
        rows: impact.used_by.map((source) => [
          sourceName(source),
          lastUse(source.last_seen_at, visit.now),
          String(source.tokens_24h),
        ]),
      })
    }
    ${impact.used_by_others > 0 && html`<p class="muted">${`And ${impact.used_by_others} more ${impact.used_by_others === 1 ? 'source' : 'sources'}.`}</p>`}
  </section>`;
}
