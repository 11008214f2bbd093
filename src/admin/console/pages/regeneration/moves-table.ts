import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { rich, t } from '../../languages/translate.ts';
import type { ShownRegeneration, Visit } from '../../page.ts';
import { badge, exactMoment, fromNow, inWords, table } from '../../parts/elements.ts';
import { sourceName } from '../../parts/usage-section.ts';
import { sourceFields } from './grace-period-pages.ts';
import type { Nouns } from './rotation-subject.ts';

/**
 * Renders the sources of the previous credential, those that have not moved first, with the reason.
 * @param path of the running grace period's acts; undefined if the operator may not act.
 */
export function movesTable(visit: Visit, rotation: ShownRegeneration, nouns: Nouns, path?: string): VNode {
  const { moved, still_using_old: still } = rotation;
  return table({
    id: 'moves',
    caption: t('Sources'),
    columns: [
      { label: t('Source') },
      { label: t('Status') },
      { label: t('Previous {previous} last used', { previous: nouns.previous }) },
      { label: t('Tokens in 24 h'), isNumber: true },
    ],
    rows: [...still, ...moved].map((source) => [
      sourceName(source),
      html`${moveBadge(source)} <span class="under">${whyMoved(source, nouns)}${lapsedMark(source, nouns)}</span>
        ${
          path !== undefined &&
          canBeMarked(source) &&
          html`<a class="under" href=${`${path}/mark-moved?${sourceFields(source)}`}>${t('Mark as moved')}</a>`
        }
        ${
          path !== undefined &&
          source.reason === 'marked_as_moved' &&
          html`<a class="under" href=${`${path}/unmark-moved?${sourceFields(source)}`}>${t('Withdraw mark')}</a>`
        }`,
      source.last_seen_at ? fromNow(source.last_seen_at, visit.now) : t('never'),
      String(source.tokens_24h),
    ]),
  });
}

type Judged = ShownRegeneration['moved'][number];

function moveBadge({ reason }: Judged): VNode {
  if (reason === 'moved') return badge('ok', t('moved'));
  return reason === 'marked_as_moved' ? badge('ok', t('marked as moved')) : badge('warn', t('not moved'));
}

function canBeMarked({ reason }: Judged): boolean {
  return !['moved', 'marked_as_moved', 'address_unreadable', 'merged_sources'].includes(reason);
}

/** Describes a mark that no longer counts. */
function lapsedMark({ reason, marked_at: at }: Judged, { previous }: Nouns): VNode | string {
  if (at === null || reason === 'marked_as_moved') return '';
  return html` ${rich('An operator marked it as moved on {at}, but it has used the previous {previous} since.', { at: exactMoment(at), previous })}`;
}

/** Describes in a sentence why a source counts as moved to the new credential, or why not, and from when it will. */
function whyMoved(source: Judged, nouns: Nouns): VNode {
  const { reason, marked_at: markedAt, required_silence_seconds: silence, renewals_awaited: renewals } = source;
  const from = countsFrom(source, nouns);
  switch (reason) {
    case 'moved':
      return rich('It uses the new {current}, and has not used the previous {previous} for {silence} or longer.', {
        ...nouns,
        silence: inWords(silence),
      });
    case 'marked_as_moved':
      return markedAt === null
        ? rich('An operator marked it. It has not used the previous {previous} since.', nouns)
        : rich('An operator marked it on {at}. It has not used the previous {previous} since.', {
            ...nouns,
            at: exactMoment(markedAt),
          });
    case 'never_seen_with_new':
      return renewals > 1
        ? rich(
            'It has never used the new {current}. After it has, it counts as moved when it has not used the previous {previous} for {silence} and has obtained {renewals, plural, one {# token} other {# tokens}}, or for twice that time.',
            { ...nouns, silence: inWords(silence), renewals },
          )
        : rich(
            'It has never used the new {current}. After it has, it counts as moved when it has not used the previous {previous} for {silence}.',
            { ...nouns, silence: inWords(silence) },
          );
    case 'used_previous_recently':
      return html`${rich('It uses the new {current}, but used the previous {previous} less than a token lifetime ago. Another program at this address may still have it.', nouns)} ${from}`;
    case 'silent_less_than_usual':
      return html`${rich('It uses the new {current}, but its longest pause between two uses is {silence}, so it may use the previous {previous} again.', { ...nouns, silence: inWords(silence) })} ${from}`;
    case 'holds_previous_tokens':
      return html`${rich('Tokens that were obtained with the previous {previous} are still active.', nouns)} ${from}`;
    case 'awaits_renewals':
      return html`${rich('It uses the new {current}, but held several tokens at a time with the previous {previous}, so it may be several programs.', nouns)} ${from}`;
    case 'address_unreadable':
      return rich('Its address is unknown, so it may be several programs. It never counts as moved.');
    case 'merged_sources':
      return rich('This row combines all further sources, so it never counts as moved.');
  }
}

/** Describes from when a source counts as moved. */
function countsFrom({ counts_as_moved_at: at, renewals_awaited: renewals }: Judged, nouns: Nouns): VNode | undefined {
  if (at === null) return undefined;
  const values = { ...nouns, at: exactMoment(at), renewals };
  return renewals > 0
    ? rich(
        'It counts as moved from {at} if it does not use the previous {previous} before then, or as soon as it has obtained {renewals, plural, one {# more token} other {# more tokens}} with the new {current}.',
        values,
      )
    : rich('It counts as moved from {at} if it does not use the previous {previous} before then.', values);
}

/** Describes, before a rotation, when a source will count as moved. */
export function whenMoved({ reason, required_silence_seconds: silence, renewals_awaited: renewals }: Judged): string {
  if (reason === 'address_unreadable') return t('never: its address is unknown');
  if (reason === 'merged_sources') return t('never: several sources');
  const values = { silence: inWords(silence), renewals };
  return renewals <= 1
    ? t('after {silence} without the previous one', values)
    : t(
        'after {silence} without the previous one, if it has obtained {renewals, plural, one {# token} other {# tokens}} with the new one; otherwise after twice that time',
        values,
      );
}
