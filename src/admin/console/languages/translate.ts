import { html } from 'htm/preact';
import { IntlMessageFormat } from 'intl-messageformat';
import { type ComponentChildren, Fragment, h, type VNode } from 'preact';
import { type Catalogue, currentLanguage, type Language } from './language.ts';

/** An English text that `t` translates when it is shown. */
export type Message = string & { readonly isMessage: true };

type Values = Readonly<Record<string, string | number>>;

/** Renders an element of a sentence around its content. */
type Element = (content: ComponentChildren) => VNode;

/** Marks a text of a constant, which is created before the language of a request is known. */
export function msg(text: string): Message {
  return text as Message;
}

/**
 * Translates a text into the language of the request.
 * @param text English, in ICU MessageFormat if there are values, else as it is. It is the key of the catalogues.
 * @param values the values of its parameters. Write `{count, number}` for a number that can exceed 999.
 */
export function t(text: string, values?: Values): string {
  const language = currentLanguage();
  const translated = language.catalogue?.().pages[text] ?? text;
  if (!values) return translated;
  return String(formatOf(language, translated).format(isolated(language, translated, values)));
}

/**
 * Translates a sentence that contains elements: `<name>…</name>` in the text becomes what the value `name` renders.
 * `strong` and `code` need no value. A parameter can be an element as well.
 */
export function rich(
  text: string,
  values: Readonly<Record<string, string | number | ComponentChildren | Element>> = {},
): VNode {
  const language = currentLanguage();
  const translated = language.catalogue?.().pages[text] ?? text;
  const parts = formatOf(language, translated).format<ComponentChildren>({
    ...elements,
    ...isolated(language, translated, values),
  });
  return h(Fragment, null, parts);
}

const elements: Readonly<Record<string, Element>> = {
  strong: (content) => html`<strong>${content}</strong>`,
  code: (content) => html`<code>${content}</code>`,
};

/** Returns the element of a link in a sentence. */
export function linkTo(path: string): Element {
  return (content) => html`<a href=${path}>${content}</a>`;
}

const formats = new WeakMap<Language, Map<string, IntlMessageFormat>>();

/** Returns the compiled text. The texts are those of the code and the catalogues, so their number is limited. */
function formatOf(language: Language, text: string): IntlMessageFormat {
  const known = formats.get(language) ?? new Map<string, IntlMessageFormat>();
  formats.set(language, known);
  const format = known.get(text) ?? new IntlMessageFormat(text, language.tag);
  known.set(text, format);
  return format;
}

/** Isolates texts in sentences that run from right to left, so that a name does not change the order around it. */
function isolated<V>(
  { direction }: Language,
  text: string,
  values: Readonly<Record<string, V>>,
): Record<string, V | string> {
  if (direction === 'ltr') return { ...values };
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      const isShown = typeof value === 'string' && !text.includes(`{${name}, select`);
      return [name, isShown ? `\u2068${value}\u2069` : value];
    }),
  );
}

/** The value of a parameter, which is not more than a sentence. */
const value = '((?:(?![.?!] [A-Z\\d]).)+?)';

/** A text of the admin API with parameters, and what finds their values. */
type Pattern = { expression: RegExp; names: string[]; translated: string };

const patterns = new WeakMap<Catalogue, Pattern[]>();

/**
 * Translates a text of the admin API, whose answers are English: an error, a reason or a word. A text that the catalogue
 * lacks is returned as it is.
 */
export function translate(text: string): string {
  const catalogue = currentLanguage().catalogue?.();
  if (!catalogue) return text;
  const whole = translateWhole(catalogue, text);
  if (whole !== undefined) return whole;
  const [, field, rest] = /^([a-z_]+(?:[.[][\w.[\]]*)?: )(.+)$/s.exec(text) ?? [];
  if (field && rest) return field + translate(rest);
  const sentences = text.split(/(?<=[.?!]) (?=[A-Z\d])/);
  return sentences.map((sentence) => translateWhole(catalogue, sentence) ?? sentence).join(' ');
}

function translateWhole(catalogue: Catalogue, text: string): string | undefined {
  const found = find(catalogue, text);
  if (found !== undefined || !text.endsWith('.')) return found;
  // The reason why a field is rejected is also shown as a sentence.
  const reason = find(catalogue, text.slice(0, -1));
  return reason && `${reason}.`;
}

function find(catalogue: Catalogue, text: string): string | undefined {
  if (Object.hasOwn(catalogue.api, text)) return catalogue.api[text];
  for (const { expression, names, translated } of patternsOf(catalogue)) {
    const found = expression.exec(text);
    if (!found) continue;
    const values = Object.fromEntries(names.map((name, index) => [name, found[index + 1] ?? '']));
    return translated.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '');
  }
  return undefined;
}

/** Returns the texts with parameters, the longest first, because a short one can match what a longer one says. */
function patternsOf(catalogue: Catalogue): Pattern[] {
  const known = patterns.get(catalogue);
  if (known) return known;
  const made = Object.entries(catalogue.api)
    .filter(([text]) => /\{\w+\}/.test(text))
    .sort(([one], [other]) => literal(other).length - literal(one).length)
    .map(([text, translated]) => ({
      expression: new RegExp(
        `^${text
          .split(/\{\w+\}/)
          .map(asExpression)
          .join(value)}$`,
        's',
      ),
      names: [...text.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name),
      translated,
    }));
  patterns.set(catalogue, made);
  return made;
}

/** Returns a text as the source of a regular expression that matches it. */
function asExpression(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** Returns a text without its parameters. */
function literal(text: string): string {
  return text.replace(/\{\w+\}/g, '');
}
