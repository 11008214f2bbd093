import { unseal } from '../credentials/sealed-copy.ts';
import { hasValidCode } from '../handover/handover-code.ts';
import { findHandover, type NamedHandover } from '../handover/handover-store.ts';
import { placeOfCode } from '../handover/send-handover-code.ts';
import { type MailDocument, renderMailHtml, renderMailText } from '../mail/mail-document.ts';
import { createMailer } from '../mail/send-mail.ts';
import type { MailChannelDeps, NoticeChannel } from './channel.ts';
import type { Language } from './notice-text.ts';

const texts = {
  en: {
    title: (name: string) => `Code for the new secret of ${name}`,
    message: 'Enter this code on the page from which you requested it. It is valid for ten minutes.',
    stranger: 'If you did not request it, tell the person who sent you the link, and do not pass the code on.',
    reason: (host: string) => `Sent by Keyturn at ${host}, because this code was requested for your address.`,
  },
  de: {
    title: (name: string) => `Code für das neue Secret von ${name}`,
    message: 'Geben Sie diesen Code auf der Seite ein, auf der Sie ihn angefordert haben. Er gilt zehn Minuten.',
    stranger:
      'Wenn Sie ihn nicht angefordert haben, melden Sie sich bei der Person, von der Sie den Link haben, und geben Sie den Code niemandem.',
    reason: (host: string) => `Gesendet von Keyturn auf ${host}, weil dieser Code für Ihre Adresse angefordert wurde.`,
  },
} as const;

/**
 * Sends the codes of hand-overs by e-mail, each at once and by itself. The outbox has the id of the hand-over only, and
 * the code is read when it is sent.
 * @returns nothing if the deployment has no mail server.
 */
export function createCodeChannels({
  database,
  keyRing,
  clock,
  config: { mail, issuer },
}: MailChannelDeps): NoticeChannel[] {
  if (!mail) return [];
  const mailer = createMailer(mail);
  return [
    {
      name: 'code',
      batchSize: 1,
      collectMs: 0,
      quietMs: 0,
      findReceivers: async (transaction, { data: { handover_id: id }, organizationId }) => {
        const handover = id === undefined ? undefined : await findHandover(transaction, id);
        return handover ? [{ id: handover.id, organizationId, name: handover.email }] : [];
      },
      deliver: async (id, notices, signal) => {
        const handover = await findHandover(database, id);
        const [notice] = notices;
        const isLatest = notice && handover && notice.at.getTime() === handover.codeSentAt?.getTime();
        if (!isLatest || handover.sealedCode === null || !hasValidCode(handover, clock())) {
          return notices.map(() => ({ as: 'skipped', reason: 'the code is not valid any more' }));
        }
        const code = unseal(keyRing, placeOfCode(id), handover.sealedCode);
        const to = { name: '', address: handover.email };
        const message = { to, id: notice.id, ...writeCodeMail(handover, code, new URL(issuer).host) };
        return [await mailer.send(message, signal)];
      },
    },
  ];
}

function writeCodeMail({ ownerName, codeLanguage }: NamedHandover, code: string, host: string) {
  const language: Language = codeLanguage === 'de' ? 'de' : 'en';
  const say = texts[language];
  const title = say.title(ownerName);
  const document: MailDocument = {
    language,
    title,
    blocks: [
      { type: 'heading', text: title },
      { type: 'paragraph', text: say.message },
      { type: 'code', text: `${code.slice(0, 4)} ${code.slice(4)}` },
      { type: 'paragraph', text: say.stranger },
    ],
    footer: [{ text: say.reason(host) }],
  };
  return { subject: title, text: renderMailText(document), html: renderMailHtml(document) };
}
