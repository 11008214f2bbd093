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
    <h2 id="impact">What it would break</h2>
    <p>
      ${
        sources === 0
          ? `Nobody has used the ${what} in the last 30 days. Nothing would break.`
          : `${sources === 1 ? '1 source uses' : `${sources} sources use`} the ${what} now. Each needs the new one before the overlap ends, or it stops.`
      }
    </p>
    <dl class="numbers">
      <div><dt>Sources, 30 days</dt><dd>${sources}</dd></div>
      <div><dt>Tokens, 24 hours</dt><dd>${impact.tokens_24h}</dd></div>
      <div><dt>Live tokens</dt><dd>${impact.live_tokens}</dd></div>
      <div><dt>Last used</dt><dd>${lastUse(impact.last_used_at, visit.now)}</dd></div>
    </dl>
    ${
      retiring &&
      notice(
        'warn',
        html`<p>
          <strong>An overlap runs already.</strong> Its old ${what} <code>${retiring.hint}</code>, which was to end ${fromNow(retiring.retires_at, visit.now)}, ends at once${retiring.used_by.length > 0 ? `, and ${retiring.used_by.length === 1 ? '1 source still uses' : `${retiring.used_by.length} sources still use`} it.` : '. Nobody uses it.'}
        </p>`,
      )
    }
    ${
      impact.used_by.length > 0 &&
      table({
        caption: `Who uses the ${what}`,
        columns: [{ label: 'Source' }, { label: 'Last seen' }, { label: 'Tokens, 24 h', isNumber: true }],
        rows: impact.used_by.map((source) => [
          sourceName(source),
          lastUse(source.last_seen_at, visit.now),
          String(source.tokens_24h),
        ]),
      })
    }
    ${impact.used_by_others > 0 && html`<p class="muted">${`And ${impact.used_by_others} more.`}</p>`}
  </section>`;
}
