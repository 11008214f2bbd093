import { AsyncLocalStorage } from 'node:async_hooks';
import { readdirSync, readFileSync } from 'node:fs';

/** The texts of one language. Both maps have the English text as key. */
export type Catalogue = {
  /** Texts of the pages, in ICU MessageFormat. */
  pages: Readonly<Record<string, string>>;
  /** Texts of the admin API that pages show. What varies is a name in braces. */
  api: Readonly<Record<string, string>>;
};

/** A language of the pages. */
export type Language = {
  /** Language tag (RFC 5646), for `lang` and for the formats of numbers and times. */
  tag: string;
  /** Name of the language in the language itself. */
  name: string;
  direction: 'ltr' | 'rtl';
  /** Formats a time in UTC: to the minute, the day alone, and without the year. */
  moment(at: Date): string;
  day(at: Date): string;
  hour(at: Date): string;
  /** Reads the catalogue, once. Undefined for English, whose texts are in the code. */
  catalogue: (() => Catalogue) | undefined;
};

/** Creates a language. Its name and direction follow from the tag. */
export function createLanguage(tag: string, readCatalogue?: () => Catalogue): Language {
  const { direction } = textInfo(new Intl.Locale(tag));
  let read: Catalogue | undefined;
  return {
    tag,
    name: new Intl.DisplayNames([tag], { type: 'language' }).of(tag) ?? tag,
    direction,
    ...timesOf(tag),
    catalogue: readCatalogue && (() => (read ??= readCatalogue())),
  };
}

const [day, minute] = [
  { month: '2-digit', day: '2-digit', timeZone: 'UTC' },
  { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: 'UTC' },
] as const;

/** Returns the formats of times. Those of English are ISO 8601, because its readers take 2/1 for different days. */
function timesOf(tag: string): Pick<Language, 'moment' | 'day' | 'hour'> {
  if (tag === 'en') {
    const iso = (at: Date) => at.toISOString().replace('T', ' ');
    return {
      moment: (at) => iso(at).slice(0, 16),
      day: (at) => iso(at).slice(0, 10),
      hour: (at) => iso(at).slice(5, 16),
    };
  }
  const formats = {
    moment: new Intl.DateTimeFormat(tag, { year: 'numeric', ...day, ...minute }),
    day: new Intl.DateTimeFormat(tag, { year: 'numeric', ...day }),
    hour: new Intl.DateTimeFormat(tag, { ...day, ...minute }),
  };
  return {
    moment: (at) => formats.moment.format(at),
    day: (at) => formats.day.format(at),
    hour: (at) => formats.hour.format(at),
  };
}

/** The types of TypeScript lack this method (ECMA-402, Intl Locale Info). */
function textInfo(locale: Intl.Locale): { direction: 'ltr' | 'rtl' } {
  return (locale as Intl.Locale & { getTextInfo(): { direction: 'ltr' | 'rtl' } }).getTextInfo();
}

const english = createLanguage('en');

const folder = new URL('./', import.meta.url);

/** The languages by tag: English, and each language that has a catalogue in this folder. */
export const languages: Map<string, Language> = new Map([
  ['en', english],
  ...readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => {
      const tag = name.slice(0, -'.json'.length);
      return [
        tag,
        createLanguage(tag, () => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Catalogue),
      ] as const;
    }),
]);

const current = new AsyncLocalStorage<Language>();

/** Runs work whose texts are in a language. */
export function inLanguage<T>(language: Language, work: () => T): T {
  return current.run(language, work);
}

/** Returns the language of the request that is being answered, or English outside a request. */
export function currentLanguage(): Language {
  return current.getStore() ?? english;
}
