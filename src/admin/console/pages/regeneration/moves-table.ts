import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { countOf } from '../../../../text/count-text.ts';
import type { ShownRegeneration, Visit } from '../../page.ts';
import { badge, exactMoment, fromNow, inWords, table } from '../../parts/elements.ts';
import { sourceName } from '../../parts/usage-section.ts';
import { sourceFields } from './grace-period-pages.ts';
import type { nounsOf } from './rotation-subject.ts';

/**
 * Renders the sources of the previous credential, those that have not moved first, with the reason.
 * @param path of the running grace period's acts; undefined if the operator may not act.
 */
export function movesTable(
  visit: Visit,
  rotation: ShownRegeneration,
  nouns: ReturnType<typeof nounsOf>,
  path?: string,
): VNode {
  const { moved, still_using_old: still } = rotation;
  return table({
    id: 'moves',
    caption: 'Sources',
    columns: [
      { label: 'Source' },
      { label: 'Status' },
      { label: `Previous ${nouns.previous} last used` },
      { label: 'Tokens in 24 h', isNumber: true },
    ],
    rows: [...still, ...moved].map((source) => [
      sourceName(source),
      html`${moveBadge(source)} <span class="under">${whyMoved(source, nouns)}${lapsedMark(source, nouns)}</span>
        ${
          path !== undefined &&
          canBeMarked(source) &&
          html`<a class="under" href=${`${path}/mark-moved?${sourceFields(source)}`}>Mark as moved</a>`
        }
        ${
          path !== undefined &&
          source.reason === 'marked_as_moved' &&
          html`<a class="under" href=${`${path}/unmark-moved?${sourceFields(source)}`}>Withdraw mark</a>`
        }`,
      source.last_seen_at ? fromNow(source.last_seen_at, visit.now) : 'never',
      String(source.tokens_24h),
    ]),
  });
}

type Judged = ShownRegeneration['moved'][number];

function moveBadge({ reason }: Judged): VNode {
  if (reason === 'moved') return badge('ok', 'moved');
  return reason === 'marked_as_moved' ? badge('ok', 'marked as moved') : badge('warn', 'not moved');
}

function canBeMarked({ reason }: Judged): boolean {
  return !['moved', 'marked_as_moved', 'address_unreadable', 'merged_sources'].includes(reason);
}

/** Describes a mark that no longer counts. */
function lapsedMark({ reason, marked_at: at }: Judged, { previous }: ReturnType<typeof nounsOf>): VNode | string {
  if (at === null || reason === 'marked_as_moved') return '';
  return html` An operator marked it as moved on ${exactMoment(at)}, but it has used the previous ${previous} since.`;
}

/** Describes in a sentence why a source counts as moved to the new credential, or why not, and from when it will. */
function whyMoved(source: Judged, { previous, current }: ReturnType<typeof nounsOf>): VNode | string {
  const { reason, counts_as_moved_at: at, required_silence_seconds: silence, renewals_awaited: renewals } = source;
  const renewed =
    renewals > 0 ? `, or as soon as it has obtained ${countOf(renewals, 'more token')} with the new ${current}` : '';
  const from =
    at !== null &&
    html` It counts as moved from ${exactMoment(at)} if it does not use the previous ${previous} before then${renewed}.`;
  switch (reason) {
    case 'moved':
      return `It uses the new ${current}, and has not used the previous ${previous} for ${inWords(silence)} or longer.`;
    case 'marked_as_moved':
      return html`An operator marked it${at !== null && html` on ${exactMoment(at)}`}. It has not used the previous ${previous} since.`;
    case 'never_seen_with_new':
      return `It has never used the new ${current}. After it has, it counts as moved when it has not used the previous ${previous} for ${inWords(silence)}${renewals > 1 ? ` and has obtained ${countOf(renewals, 'token')}, or for twice that time` : ''}.`;
    case 'used_previous_recently':
      return html`It uses the new ${current}, but used the previous ${previous} less than a token lifetime ago. Another program at this address may still have it.${from}`;
    case 'silent_less_than_usual':
      return html`It uses the new ${current}, but its longest pause between two uses is ${inWords(silence)}, so it may use the previous ${previous} again.${from}`;
    case 'holds_previous_tokens':
      return html`Tokens that were obtained with the previous ${previous} are still active.${from}`;
    case 'awaits_renewals':
      return html`It uses the new ${current}, but held several tokens at a time with the previous ${previous}, so it may be several programs.${from}`;
    case 'address_unreadable':
      return 'Its address is unknown, so it may be several programs. It never counts as moved.';
    case 'merged_sources':
      return 'This row combines all further sources, so it never counts as moved.';
  }
}

/** Describes, before a rotation, when a source will count as moved. */
export function whenMoved({ reason, required_silence_seconds: silence, renewals_awaited: renewals }: Judged): string {
  if (reason === 'address_unreadable') return 'never: its address is unknown';
  if (reason === 'merged_sources') return 'never: several sources';
  const quiet = `after ${inWords(silence)} without the previous one`;
  if (renewals <= 1) return quiet;
  return `${quiet}, if it has obtained ${countOf(renewals, 'token')} with the new one; otherwise after twice that time`;
}
