import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Notice, NoticeText } from '../../../notices/notice.ts';
import { kindNames } from '../../../notices/notice-kinds-text.ts';
import { describeNotice, type Language } from '../../../notices/notice-text.ts';
import { currentLanguage } from '../languages/language.ts';
import type { ShownNotice } from '../page.ts';

/** The language of notices on a page: that of the page if mails have it, or else English. */
function languageOfNotices(): Language {
  return currentLanguage().tag === 'de' ? 'de' : 'en';
}

/** Returns what a notice says, in the words of its mail. */
export function wordsOf({ kind, at, organization_id: organizationId, subject, data, id }: ShownNotice): NoticeText {
  const notice = { id, kind, at: new Date(at), organizationId, thing: '', subject, data } as Notice;
  return describeNotice(notice, languageOfNotices());
}

/** Returns the name of a kind of notices. */
export function nameOfKind(kind: Notice['kind']): string {
  return kindNames[languageOfNotices()][kind];
}

/** Marks the language of a text of notices, which can be another one than that of the page. */
export function inLanguageOfNotices(text: string): VNode {
  return html`<span lang=${languageOfNotices()}>${text}</span>`;
}
