import type { ContactLanguage } from '../contacts/contact.ts';
import { english } from './english-notice-text.ts';
import { german } from './german-notice-text.ts';
import type { Notice, NoticeText, NoticeTexts } from './notice.ts';

/** Languages of notices. */
export type Language = ContactLanguage;

const texts: Readonly<Record<Language, { texts: NoticeTexts; thing: (notice: Notice) => string; locale: string }>> = {
  en: { ...english, locale: 'en-GB' },
  de: { ...german, locale: 'de-DE' },
};

/** Returns a time in a language. It is in UTC, because the time zone of the reader is not known. */
export function formatTime(iso: string | undefined, language: Language): string {
  if (iso === undefined) return '';
  const { locale } = texts[language];
  const format = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' });
  return `${format.format(new Date(iso))} UTC`;
}

/** Returns what a notice says, in a language. */
export function describeNotice(notice: Notice, language: Language): NoticeText {
  const { texts: ofKind, thing } = texts[language];
  return ofKind[notice.kind](notice, thing(notice), (iso) => formatTime(iso, language));
}
