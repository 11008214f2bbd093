import { readdirSync, readFileSync } from 'node:fs';
import { IntlMessageFormat } from 'intl-messageformat';
import type { Browser } from 'playwright-core';
import { inLanguage, languages } from '../../src/admin/console/languages/language.ts';
import { translate } from '../../src/admin/console/languages/translate.ts';
import { type Notice, type NoticeKind, noticeKinds } from '../../src/notices/notice.ts';
import { kindNames } from '../../src/notices/notice-kinds-text.ts';
import { describeNotice } from '../../src/notices/notice-text.ts';
import { describeWith } from '../programs.ts';
import { type ConsoleServer, launchBrowser, startConsole } from './console-server.ts';
import { textsOfErrors, textsOfPages } from './texts.ts';

const folder = 'src/admin/console/languages';
const catalogues = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => ({ tag: name.replace('.json', ''), ...JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) }));

type Element = { type: number; value?: string; options?: Record<string, { value: Element[] }>; children?: Element[] };

/** Returns the names of the parameters and elements of a message. */
function namesIn(elements: Element[]): string[] {
  return elements.flatMap(({ type, value, options = {}, children = [] }) => [
    // Literals and the number of a plural form have no name.
    ...(type === 0 || type === 7 ? [] : [value ?? '']),
    ...Object.values(options).flatMap((option) => namesIn(option.value)),
    ...namesIn(children),
  ]);
}

function parametersOf(text: string, tag: string): string[] {
  const names = namesIn(new IntlMessageFormat(text, tag).getAst() as Element[]);
  // A translation can leave out what its grammar does not need, and repeat the rest.
  return [...new Set(names)].sort();
}

/** Texts that are shown as they are, because they have no parameters. Their braces are not those of MessageFormat. */
const isPlain = (text: string) => !/\{\w+[,}]|<\w+>/.test(text);

/** Returns the English and the translated text of every kind of notice, with everything that a notice can say. */
function textsOfNotices(tag: 'de'): [english: string, translated: string][] {
  const subject = { type: 'access_key', id: 'x', name: 'Depot' } as const;
  const more = [{ still_valid: true, credential: 'access_key' }, { source_count: 2, moved_count: 1 }, { requests: 3 }];
  const kinds = Object.keys(noticeKinds) as NoticeKind[];
  const described = kinds.flatMap((kind) =>
    more.map((data) => {
      const ends = { by: 'Ann', ends_at: new Date().toISOString() };
      const notice = { kind, subject, data: { ...ends, ...data } } as unknown as Notice;
      const say = (language: 'en' | 'de') => Object.values(describeNotice(notice, language)).join(' ');
      return [say('en'), say(tag)] as [string, string];
    }),
  );
  return [...described, ...kinds.map((kind): [string, string] => [kindNames.en[kind], kindNames[tag][kind]])];
}

/** Returns how a term of a glossary appears in an English text, and its translation in a translated one. */
function expressionsOf(term: string, translation: string): [english: RegExp, translated: RegExp] {
  const isVerb = term.startsWith('to ');
  const word = translation.replace(/ \(.*/, '').replace(isVerb ? /en$/ : /$^/, '');
  return [new RegExp(`\\b${term.replace('to ', '')}${isVerb ? 'd?' : 's?'}\\b`, 'i'), new RegExp(word, 'i')];
}

describe.each(catalogues)('the catalogue $tag', ({ tag, glossary, pages, api }) => {
  test('has the same words for the same things as mails', () => {
    // Verbs that mails translate with several words.
    const free = ['', 'fails, is rejected', 'to move (a source)', 'to issue', 'to regenerate'];
    const terms = Object.entries(glossary as Record<string, string>).filter(([term]) => !free.includes(term));
    const missing = textsOfNotices(tag).flatMap(([english, translated]) =>
      terms.flatMap(([term, translation]) => {
        const [of, by] = expressionsOf(term, translation);
        return of.test(english) && !by.test(translated) ? [`${term}: ${english} → ${translated}`] : [];
      }),
    );
    expect(missing).toEqual([]);
  });

  test('translates exactly the texts that the pages show, and leaves none empty', () => {
    expect(Object.keys(pages).sort()).toEqual([...textsOfPages()].sort());
    expect(Object.entries(pages).filter(([, text]) => text === '')).toEqual([]);
  });

  test('keeps the parameters and elements of each text', () => {
    const texts = Object.entries(pages as Record<string, string>).filter(([text]) => !isPlain(text));
    expect(texts.length).toBeGreaterThan(100);
    const differing = texts.filter(
      ([text, translated]) => String(parametersOf(text, 'en')) !== String(parametersOf(translated, tag)),
    );
    expect(differing).toEqual([]);
    const names = (text: string) => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort().join();
    expect(
      Object.entries(api as Record<string, string>).filter(([text, other]) => names(text) !== names(other)),
    ).toEqual([]);
  });

  test('translates the errors of the admin API that pages show', () => {
    // The values of these are words, so each is in the catalogue with its words.
    const isOfWords = /^scope: 7 7 not offered|the key 7\.$|cannot 7\.$|\$\{|^\)/;
    const left = [...textsOfErrors()].filter(([text]) => !isOfWords.test(text));
    expect(left.length).toBeGreaterThan(40);
    const language = languages.get(tag);
    if (!language) throw new Error(`no language ${tag}`);
    const untranslated = inLanguage(language, () => left.filter(([text]) => translate(text) === text));
    expect(untranslated).toEqual([]);
  });

  test('finds each text of the admin API by its words, not by those of another', () => {
    const language = languages.get(tag);
    if (!language) throw new Error(`no language ${tag}`);
    const wrong = inLanguage(language, () =>
      Object.entries(api as Record<string, string>).filter(([text, translated]) => {
        const fill = (one: string) => one.replace(/\{(\w+)\}/g, '‹$1›');
        return translate(fill(text)) !== fill(translated);
      }),
    );
    expect(wrong).toEqual([]);
  });
});

describe('the language of a page', () => {
  let server: ConsoleServer;
  beforeAll(async () => {
    server = await startConsole();
  });
  afterAll(() => server.close());

  const look = async (headers: Record<string, string>, path = '/console/sign-in') => {
    const response = await fetch(server.adminUrl + path, { headers });
    return { headers: response.headers, text: await response.text() };
  };

  test.each([
    [undefined, 'en', 'Sign in'],
    ['de', 'de', 'Anmelden'],
    ['de-AT,de;q=0.9,en;q=0.8', 'de', 'Anmelden'],
    ['en-GB,de;q=0.9', 'en', 'Sign in'],
    ['fr,*;q=0.1', 'en', 'Sign in'],
    ['fr', 'en', 'Sign in'],
    ['not a language,;;q=x', 'en', 'Sign in'],
  ])('is chosen by Accept-Language: %s', async (accepted, tag, title) => {
    const { text, headers } = await look(accepted === undefined ? {} : { 'accept-language': accepted });
    expect(text).toContain(`<html lang="${tag}" dir="ltr">`);
    expect(text).toContain(`<h1>${title}</h1>`);
    expect(headers.get('content-language')).toBe(tag);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('vary')).toContain('Accept-Language');
  });

  test('is also that of notices and of their kinds, in the words of mails', async () => {
    const { token } = await server.operator();
    const cookie = await server.signIn(token);
    const headers = { cookie, 'accept-language': 'de' };
    expect((await look(headers, '/console/notices')).text).toMatch(
      /<span lang="de">[^<]*: Ein Operator-Token wurde ausge/,
    );
    expect((await look(headers, '/console/notices/settings')).text).toContain('Eine Schonfrist ist beendet');
    const { json } = await server.adminFetch('/notices');
    const { text } = await look(headers, `/console/notices/${json.data[0].id}`);
    expect(text).toContain('Wer es hat, handelt mit den Berechtigungen von');
  });

  test('is the one that a person has chosen below a page, which they return to', async () => {
    const answer = await server.send('/console/language', {
      language: 'de',
      next: '/console/sign-in?next=%2Fconsole%2Faudit',
    });
    expect(answer.location).toBe('/console/sign-in?next=%2Fconsole%2Faudit');
    const [cookie = ''] = answer.headers.getSetCookie();
    expect(cookie).toMatch(/^keyturn-language=de; Path=\/; HttpOnly; SameSite=Strict; Max-Age=31536000$/);
    expect((await look({ cookie: 'keyturn-language=de', 'accept-language': 'en' })).text).toContain('lang="de"');
    expect((await look({ cookie: 'keyturn-language=xx', 'accept-language': 'de' })).text).toContain('lang="de"');
  });

  test('is not set to an unknown one, and leads to no other site', async () => {
    const answer = await server.send('/console/language', {
      language: '../de',
      next: 'https://elsewhere.example/console/',
    });
    expect(answer.location).toBe('/console/');
    expect(answer.headers.getSetCookie()).toEqual([]);
  });

  test('does not change answers of the admin API, whose errors are English', async () => {
    const headers = { 'accept-language': 'de', authorization: `Bearer ${(await server.operator()).token}` };
    const { text } = await look(headers, '/admin/v1/clients/kti_unknown');
    expect(JSON.parse(text).detail).toBe('Client not found.');
    const page = await look(
      { 'accept-language': 'de', cookie: await server.signIn((await server.operator()).token) },
      '/console/clients/kti_unknown',
    );
    expect(page.text).toContain('Der Client wurde nicht gefunden.');
  });
});

describeWith('Chromium')('a rotation in German', () => {
  let server: ConsoleServer;
  let browser: Browser;
  beforeAll(async () => {
    server = await startConsole();
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  it('leads from the sign-in to the new secret, with its grace period', async () => {
    const { token } = await server.operator();
    const context = await browser.newContext({ locale: 'de-DE' });
    const page = await context.newPage();
    const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
    const heading = (name: string) => page.getByRole('heading', { level: 1, name }).waitFor();

    await page.goto(`${server.adminUrl}/console/`);
    await page.getByLabel('Operator-Token').fill(token);
    await press('Anmelden');
    await heading('Start');

    await page.getByRole('link', { name: 'Integrationen', exact: true }).click();
    await page.getByRole('link', { name: 'Client-ID und Secret generieren' }).first().click();
    await page.getByLabel('Name', { exact: true }).fill('Lager');
    await press('Überprüfen');
    await page.getByText('Es wurde noch nichts geändert.').waitFor();
    await press('Client-ID und Secret generieren');
    await heading('Client-ID und Secret');
    await page.getByRole('link', { name: 'Zu Lager' }).click();

    await page.getByRole('link', { name: 'Neu generieren…' }).click();
    await heading('Secret von Lager neu generieren');
    await page.getByText('Das Secret wurde in den letzten 30 Tagen nicht genutzt').waitFor();
    await press('Neu generieren');
    await heading('Neues Secret');
    await page.getByText(/Die bisherigen Zugangsdaten funktionieren bis \d\d\.\d\d\.\d{4}/).waitFor();

    await page.getByRole('link', { name: 'Zu Lager' }).click();
    await page.getByRole('heading', { name: 'Schonfrist', exact: true }).waitFor();
    await page.getByRole('link', { name: 'Schonfrist jetzt beenden' }).click();
    await press('Schonfrist jetzt beenden');
    await page.getByText('Die Schonfrist ist beendet. Der bisherige Wert funktioniert nicht mehr.').waitFor();

    await press('English');
    await page.getByRole('heading', { name: 'Credentials' }).waitFor();
    expect(await page.evaluate('document.documentElement.lang')).toBe('en');
  });
});
