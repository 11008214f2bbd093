import type { Page } from 'playwright-core';
import { createLanguage, languages } from '../../src/admin/console/languages/language.ts';

/** A language that runs from right to left, in which each text is English in brackets. */
export const pseudo = 'ar-XB';

/** Adds the language until the test deletes it. */
export function addPseudoLanguage(): void {
  const german = languages.get('de')?.catalogue;
  if (!german) throw new Error('there is no German catalogue');
  const { pages, api } = german();
  languages.set(
    pseudo,
    createLanguage(pseudo, () => ({ pages: bracketed(pages), api: bracketed(api) })),
  );
}

function bracketed(texts: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(texts).map((text) => [text, `⟦${text}⟧`]));
}

/** Data of the server, names of variables, commands and formats, which no language changes. */
const data = [
  /<script>.*?'&|[\w.+-]+@[\w.-]+|https?:\S+|kt[a-z]_\w*…?|\b[0-9a-f]{8}-[0-9a-f-]{27}|cli:\w+|\bcrm\b|\btier\b/g,
  /\b[a-z_]+[.:](create|read|export)\b|(?<![\w-])[\w-]{43}(?![\w-])/g,
  /#[0-9a-f]{6}|\bChat\b|^New$/g,
  /This deployment|Parcel Cloud|\bAcme\b|\bnode\b|Order sync|Shop API|Partner( \d+)?|Of a partner|Warehouse|Never used|Signs|Operator( [a-z_]+:[a-z]+)*|integrations:view|nightly|Pipeline|Login|sync\/\d\.\d|pod-1|sync/g,
  /\b(orders|products|contacts|invoices[_ ]and[_ ]credit[_ ]notes)\b/g,
  /\b(UTC|JWT|ES256|Keyturn|Node\.js|Python|Go|PHP|C#|Java|Ruby|Chrome|Mozilla.*|HeadlessChrome.*|GMT\S*)\b/g,
  /at\+jwt \(RFC 9068\)/g,
];

/** Finds texts and labels on a page that are in no catalogue: letters outside brackets that are not data. */
export async function untranslatedOn(page: Page): Promise<string[]> {
  const texts = (await page.evaluate(`(() => {
    const outside = (text, from) => {
      let depth = from;
      let rest = '';
      for (const character of text) {
        if (character === '⟦') depth++;
        else if (character === '⟧') depth--;
        else if (depth === 0) rest += character;
      }
      return [rest, depth];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let depth = 0;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.parentElement.closest('code, pre, script, textarea, [lang]:not(html)')) continue;
      const [rest, after] = outside(node.data, depth);
      depth = after;
      found.push(rest);
    }
    if (depth !== 0) found.push('a bracket is not closed');
    for (const element of document.querySelectorAll('[title], [aria-label], [placeholder], [alt]')) {
      if (element.closest('[lang]:not(html)')) continue;
      for (const name of ['title', 'aria-label', 'placeholder', 'alt']) {
        const value = element.getAttribute(name);
        if (value) found.push(name + '=' + outside(value, 0)[0]);
      }
    }
    return found;
  })()`)) as string[];
  return texts
    .map((text) =>
      data
        .reduce((rest, pattern) => rest.replace(pattern, ''), text.replace(/^(title|aria-label|placeholder|alt)=/, ''))
        .trim(),
    )
    .filter((rest) => /[A-Za-z]{2}/.test(rest))
    .map((rest) => `not in the catalogue: ${rest}`);
}
