import { type MailBlock, type MailDocument, renderMailHtml, renderMailText } from '../mail/mail-document.ts';
import { withoutLinks } from '../mail/mail-text.ts';
import { countOf } from '../text/count-text.ts';
import type { Notice, NoticeSource } from './notice.ts';
import { describeNotice, type Language } from './notice-text.ts';

/** Maximum number of notices that one mail shows in full. */
const maxShown = 20;

/** Texts around the notices of a mail. */
const texts = {
  en: {
    many: (count: number) => `${countOf(count, 'notice')} from Keyturn`,
    sources: 'Sources that have not moved',
    refused: 'Rejected sources',
    more: (count: number) => `and ${count} more`,
    moreNotices: (count: number) =>
      `${countOf(count, 'further notice')} ${count === 1 ? 'is' : 'are'} listed in the console.`,
    open: 'Open in the console',
    openPortal: 'Open in the portal',
    reason: (host: string) =>
      `Sent by Keyturn at ${host} because you are responsible for this, or are an operator. No mail of Keyturn contains a secret or asks for one.`,
    stop: 'Stop mails of this kind',
    mandatory: 'Mails of this kind cannot be switched off, because they tell of a change to who has access.',
  },
  de: {
    many: (count: number) => `${count} Mitteilungen von Keyturn`,
    sources: 'Quellen, die noch nicht umgestellt sind',
    refused: 'Abgelehnte Quellen',
    more: (count: number) => `und ${count} weitere`,
    moreNotices: (count: number) =>
      count === 1
        ? 'Eine weitere Mitteilung steht in der Konsole.'
        : `${count} weitere Mitteilungen stehen in der Konsole.`,
    open: 'In der Konsole öffnen',
    openPortal: 'Im Portal öffnen',
    reason: (host: string) =>
      `Gesendet von Keyturn auf ${host}, weil Sie dafür zuständig oder Operator sind. Keine Mail von Keyturn enthält ein Secret oder fragt nach einem.`,
    stop: 'Keine Mails dieser Art mehr senden',
    mandatory: 'Mails dieser Art lassen sich nicht abschalten, weil sie eine Änderung der Zugriffsrechte melden.',
  },
} as const;

/** What is around the notices of a mail. */
type Frame = {
  language: Language;
  /** The host of the deployment. */
  host: string;
  /** Returns the page about a notice; undefined if the receiver can open none. */
  linkTo(notice: Notice): { url: string; isPortal: boolean } | undefined;
  /** Where the receiver can switch these kinds off; undefined if all are mandatory. */
  stopUrl: string | undefined;
};

/** Writes the mail about these notices, of which there is at least one. */
export function writeNoticeMail(
  notices: readonly Notice[],
  { language, host, linkTo, stopUrl }: Frame,
): { subject: string; text: string; html: string } {
  const say = texts[language];
  const described = notices.map((notice) => ({ notice, ...describeNotice(notice, language) }));
  const [first] = described;
  const title = described.length === 1 && first ? first.title : `${say.many(described.length)}: ${first?.title ?? ''}`;
  const blocks = described
    .slice(0, maxShown)
    .flatMap(({ notice, title: heading, message, step }, index): MailBlock[] => {
      const link = linkTo(notice);
      return [
        ...(index > 0 ? [{ type: 'line' } as const] : []),
        { type: 'heading', text: heading },
        { type: 'paragraph', text: message },
        ...listSources(notice, say),
        ...(step === null ? [] : [{ type: 'step', text: step } as const]),
        ...(link ? [{ type: 'button', label: link.isPortal ? say.openPortal : say.open, url: link.url } as const] : []),
      ];
    });
  const rest = described.length - maxShown;
  if (rest > 0) blocks.push({ type: 'line' }, { type: 'paragraph', text: say.moreNotices(rest) });
  const document: MailDocument = {
    language,
    title,
    blocks,
    footer: [
      { text: say.reason(host) },
      stopUrl === undefined ? { text: say.mandatory } : { label: say.stop, url: stopUrl },
    ],
  };
  const subject = title.length > 200 ? `${title.slice(0, 199)}…` : title;
  return { subject, text: renderMailText(document), html: renderMailHtml(document) };
}

function listSources({ kind, data }: Notice, say: (typeof texts)[Language]): MailBlock[] {
  const { sources = [], source_count: count = sources.length } = data;
  if (sources.length === 0) return [];
  const items = sources.map(nameSource);
  if (count > sources.length) items.push(say.more(count - sources.length));
  return [{ type: 'list', label: kind === 'retired_credential_used' ? say.refused : say.sources, items }];
}

/** A user agent and the name of an instance are chosen by the caller, who may have any. */
function nameSource({ address, user_agent: agent, instance }: NoticeSource): string {
  return [address, agent, instance ?? '']
    .filter(Boolean)
    .map((part, index) => (index === 0 ? part : withoutLinks(part)))
    .join(' · ');
}
