import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { InvalidInput } from '../../../../errors.ts';
import {
  gracePeriods,
  longestGracePeriod,
  proposeGracePeriod,
  usualGracePeriod,
} from '../../../../regeneration/propose-grace-period.ts';
import { t } from '../../languages/translate.ts';
import type { ShownRegeneration, ShownReview } from '../../page.ts';
import { inUnit, inWords } from '../../parts/elements.ts';
import type { Entries } from '../../parts/entries.ts';
import { selectField, textField } from '../../parts/forms.ts';

/** Value of the length that stands for a date and time of its own. */
const freeDate = 'date';

type JudgedSource = ShownReview['impact']['used_by'][number] | ShownRegeneration['still_using_old'][number];

/**
 * Renders the fields for the end of a grace period: a length, or a date and time with its offset from UTC. The length
 * that is selected gives the source with the longest pause between two uses twice that time.
 * @param name of the field with the length.
 * @param sources those that have not moved.
 * @param none label of the option for no grace period; undefined if there is no such option.
 */
export function endFields(
  { form, errors }: Entries,
  {
    name,
    label,
    hint,
    sources,
    none,
    after = 0,
  }: {
    name: string;
    label: string;
    hint: string;
    sources: readonly JudgedSource[];
    none?: string;
    /** Seconds until the current end, which the proposed length exceeds. */
    after?: number;
  },
): VNode {
  const { seconds: proposed, longestPause } = proposeGracePeriod(sources, after);
  const options = gracePeriods.map((seconds) => {
    const length = inWords(seconds);
    return [String(seconds), seconds === proposed ? t('{length} (proposed)', { length }) : length] as const;
  });
  const reason = reasonOf(sources, longestPause);
  return html`${selectField({
    name,
    label,
    value: form.get(name) ?? String(proposed),
    error: errors.get(name),
    options: [
      ...(none === undefined ? [] : [['0', none] as const]),
      ...options,
      [freeDate, t('Until the date and time below')] as const,
    ],
    hint: `${hint} ${reason}`.trim(),
  })}
  <fieldset class="filters of-date">
    <legend class="unseen">${t('End at a date and time')}</legend>
    ${textField({ name: 'ends_at', label: t('Date and time'), type: 'datetime-local', value: form.get('ends_at') ?? '', error: errors.get('ends_at') })}
    ${selectField({ name: 'ends_offset', label: t('Offset from UTC'), value: form.get('ends_offset') ?? 'Z', options: offsets })}
  </fieldset>`;
}

function reasonOf(sources: readonly JudgedSource[], longestPause: number): string {
  if (longestPause * 2 <= usualGracePeriod) return '';
  const slow = sources.filter((source) => source.required_silence_seconds === longestPause).length;
  const hours = Math.ceil(longestPause / 3_600);
  const pause = hours < 48 ? inUnit(hours, 'hour') : inUnit(Math.round(hours / 24), 'day');
  return t(
    '{slow, plural, =1 {One source pauses} other {# sources pause}} for up to {pause} between two uses, so at least twice that time is proposed.',
    { slow, pause },
  );
}

/** Offsets from UTC that are in use, by the hour and for the zones between hours. */
const offsets: readonly (readonly [string, string])[] = [
  ['Z', 'UTC'],
  ...[
    -12, -11, -10, -9.5, -9, -8, -7, -6, -5, -4, -3.5, -3, -2, -1, 1, 2, 3, 3.5, 4, 4.5, 5, 5.5, 5.75, 6, 6.5, 7, 8,
    8.75, 9, 9.5, 10, 10.5, 11, 12, 12.75, 13, 14,
  ].map((hours) => {
    const digits = (number: number) => String(Math.floor(number)).padStart(2, '0');
    const size = Math.abs(hours);
    const offset = `${hours < 0 ? '-' : '+'}${digits(size)}:${digits((size % 1) * 60)}`;
    return [offset, `UTC${offset}`] as const;
  }),
];

/**
 * Reads the end of a grace period from a form, in seconds from now.
 * @param name of the field with the length.
 * @throws {InvalidInput} with `ends_at` if the date is missing or not in the future.
 */
export function readEndSeconds(form: URLSearchParams, name: string, now: number): number {
  const length = form.get(name) ?? '';
  if (length !== freeDate) return Number(length) || 0;
  const local = form.get('ends_at') ?? '';
  const offset = form.get('ends_offset') ?? '';
  const isKnown = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(local) && offsets.some(([value]) => value === offset);
  const at = isKnown ? Date.parse(`${local.slice(0, 16)}:00${offset}`) : Number.NaN;
  if (Number.isNaN(at)) throw wrongEnd(t('Enter a date and time.'));
  if (at <= now) throw wrongEnd(t('The date and time must be in the future.'));
  if (at - now > longestGracePeriod * 1_000) throw wrongEnd(t('The date and time must be within 30 days from now.'));
  return Math.ceil((at - now) / 1_000);
}

function wrongEnd(message: string): InvalidInput {
  return new InvalidInput(message, [{ path: 'ends_at', message }]);
}
