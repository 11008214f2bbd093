import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Visit } from '../../page.ts';
import { badge } from '../../parts/elements.ts';
import { exactMoment, fromNow, lastUse } from '../../parts/moment.ts';
import { notice } from '../../parts/notices.ts';
import { table } from '../../parts/table.ts';
import { sourceName } from '../../parts/usage-section.ts';
import type { ShownRegeneration, ShownReview } from '../../shown.ts';

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

/**
 * The client or access key that is regenerated.
 * @param at path of its page.
 * @param what noun for the regenerated credential: `secret` or `key`.
 */
type Owner = { at: string; what: string; mayAct: boolean };

/**
 * Renders the running grace period with the sources that use the new or the previous secret, and earlier regenerations.
 * Returns null if nothing was ever regenerated.
 */
export function regenerationSection(
  visit: Visit,
  owner: Owner,
  regenerations: readonly ShownRegeneration[],
): VNode | null {
  if (regenerations.length === 0) return null;
  const overlap = regenerations.find(({ state }) => state === 'overlapping');
  const earlier = regenerations.filter((each) => each !== overlap);
  return html`<section class="card" id="regenerations" aria-labelledby="regenerations-title">
    <h2 id="regenerations-title">${overlap ? 'Grace period' : 'Rotations'}</h2>
    ${overlap && running(visit, owner, overlap)} ${earlier.length > 0 && history(visit, owner, earlier)}
  </section>`;
}

function running(visit: Visit, { at, what, mayAct }: Owner, overlap: ShownRegeneration): VNode {
  const { moved, still_using_old: still, previous } = overlap;
  const all = moved.length + still.length;
  const path = `${at}/regenerations/${overlap.id}`;
  return html`<div class="stack">
    <p>
      The new ${what} <code>${overlap.hint}</code> and the previous ${what} <code>${previous.hint}</code> both work. The previous ${what} expires
      ${previous.retires_at && html` ${fromNow(previous.retires_at, visit.now)} (${exactMoment(previous.retires_at)})`}${overlap.finish_when_unused && ', or as soon as all sources have moved'}.
    </p>
    ${
      all === 0
        ? notice('plain', `The previous ${what} was not used in the last 30 days.`)
        : still.length === 0
          ? notice('ok', `${all} of ${all} sources have moved to the new ${what}. You can end the grace period.`)
          : notice(
              'warn',
              `${moved.length} of ${all} sources have moved. If the grace period ended now, ${still.length === 1 ? '1 source' : `${still.length} sources`} would fail.`,
            )
    }
    ${all > 0 && sources(visit, overlap, what)}
    ${
      mayAct &&
      html`<div class="actions">
        <a class="button" href=${`${path}/extend`}>Extend grace period</a>
        <a class="button" href=${`${path}/finish`}>End grace period now</a>
        <a class="button" href=${`${path}/undo`}>Undo rotation</a>
      </div>`
    }
  </div>`;
}

function sources(visit: Visit, { moved, still_using_old: still }: ShownRegeneration, what: string): VNode {
  const rows = [
    ...still.map((source) => ({ source, hasMoved: false })),
    ...moved.map((source) => ({ source, hasMoved: true })),
  ];
  return table({
    caption: 'Sources',
    columns: [
      { label: 'Source' },
      { label: 'Status' },
      { label: `Previous ${what} last used` },
      { label: 'Tokens in 24 h', isNumber: true },
    ],
    rows: rows.map(({ source, hasMoved }) => [
      sourceName(source),
      hasMoved ? badge('ok', 'moved') : badge('warn', 'not moved'),
      source.last_seen_at ? fromNow(source.last_seen_at, visit.now) : 'never',
      String(source.tokens_24h),
    ]),
  });
}

function history(visit: Visit, { what }: Owner, earlier: readonly ShownRegeneration[]): VNode {
  return table({
    caption: 'Earlier rotations',
    columns: [
      { label: 'Rotated' },
      { label: 'Status' },
      { label: 'By' },
      { label: `Rejected uses of the previous ${what}` },
    ],
    rows: earlier.map((each) => [
      html`${fromNow(each.created_at, visit.now)} <code class="under">${each.previous.hint} → ${each.hint}</code>`,
      each.state,
      each.created_by,
      each.tried_after_end.length === 0
        ? html`<span class="muted">none</span>`
        : html`<ul>${each.tried_after_end.map((source) => html`<li>${sourceName(source)}</li>`)}</ul>`,
    ]),
  });
}
