import { findProvidersFor } from '../identity-providers/identity-provider-store.ts';
import { type MailBlock, type MailDocument, renderMailHtml, renderMailText } from '../mail/mail-document.ts';
import { createMailer, type Mailer } from '../mail/send-mail.ts';
import { findPortalSettings } from '../organizations/organization-store.ts';
import { insertLink } from '../sessions/link-store.ts';
import { findRequestedLanguage } from '../sessions/mail-link-requests.ts';
import type { Queryable, Row } from '../storage/database.ts';
import type { MailChannelDeps, NoticeChannel } from './channel.ts';
import { messageId } from './mail-channel.ts';
import type { Notice } from './notice.ts';
import { formatTime, type Language } from './notice-text.ts';

type Recipient = Row & { id: string; name: string; email: string; language: string | null; organization: string };

/** A way in to the portal for one contact. */
type WayIn = { recipient: Recipient; provider: string; url: string; isLink: boolean; endsAt: string | undefined };

const prefix = 'mailto:';

/**
 * Delivers sign-in links to the portal, at once. An address has one mail with a link for each organization that it is
 * known to. A link is made when its mail is sent, so no notice contains one.
 * @returns nothing if the deployment has no mail server or no portal.
 */
export function createMailLinkChannels(deps: MailChannelDeps): NoticeChannel[] {
  const { mail, portalUrl } = deps.config;
  return mail && portalUrl !== undefined ? [createMailLinkChannel(deps, createMailer(mail), portalUrl)] : [];
}

function createMailLinkChannel(deps: MailChannelDeps, mailer: Mailer, portalUrl: string): NoticeChannel {
  const { database, clock } = deps;
  return {
    name: 'mail_link',
    batchSize: 100,
    collectMs: 0,
    quietMs: 0,
    findReceivers: async (transaction, notice) => {
      if (notice.kind !== 'portal_link_requested') return [];
      const recipient = await findRecipient(transaction, notice);
      if (!recipient) return [];
      const { name, email } = recipient;
      const { organizationId } = notice;
      return [{ id: `${prefix}${email.toLowerCase()}`, organizationId, name: `${name} <${email}>` }];
    },
    deliver: async (receiver, notices, signal) => {
      const email = receiver.slice(prefix.length);
      const now = new Date(clock()).toISOString();
      const ways: (WayIn | undefined)[] = [];
      for (const notice of notices) {
        const { ends_at: endsAt = '' } = notice.data;
        const recipient = endsAt > now ? await findRecipient(database, notice) : undefined;
        const isSame = recipient?.email.toLowerCase() === email;
        ways.push(isSame ? await makeWayIn(deps, recipient, notice, portalUrl) : undefined);
      }
      const open = ways.filter((way) => way !== undefined);
      const [first] = open;
      const skipped = { as: 'skipped', reason: 'the link has expired, or the contact was changed' } as const;
      if (!first) return notices.map(() => skipped);
      const { name, email: address, language } = first.recipient;
      const spoken = language ?? (await findRequestedLanguage(database, email));
      const isOfOne = open.every(({ provider }) => provider === first.provider);
      const provider = isOfOne ? first.provider : ((await findPortalSettings(database)).name ?? 'Keyturn');
      const result = await mailer.send(
        {
          to: { name, address },
          ...writeLinkMail(provider, open, spoken === 'de' ? 'de' : 'en', new URL(deps.config.issuer).host),
          id: messageId(notices, receiver),
          headers: { 'X-Keyturn-Notice': notices.map(({ id }) => id).join(' ') },
        },
        signal,
      );
      return ways.map((way) => (way ? result : skipped));
    },
  };
}

async function findRecipient(database: Queryable, { thing }: Notice): Promise<Recipient | undefined> {
  const [row] = await database.query<Recipient>(
    `SELECT c.id, c.name, c.email, c.language, o.name AS organization
     FROM contacts c JOIN organizations o ON o.id = c.organization WHERE c.id = $1 AND o.enabled`,
    [thing.replace(/^contact:/, '')],
  );
  return row;
}

/** People of an organization that has an identity provider sign in there, because only it knows who may still do so. */
async function makeWayIn(
  deps: MailChannelDeps,
  recipient: Recipient,
  { organizationId, data }: Notice,
  portalUrl: string,
): Promise<WayIn> {
  const { database } = deps;
  const settings = await findPortalSettings(database, organizationId);
  const way = { recipient, provider: settings.name ?? 'Keyturn', endsAt: data.ends_at };
  if ((await findProvidersFor(deps, organizationId)).length > 0) {
    return { ...way, url: new URL(`/portal/sign-in/${organizationId}`, portalUrl).href, isLink: false };
  }
  const path = await insertLink(database, {
    site: 'portal',
    contact: recipient.id,
    grant: { permissions: null, returnUrl: settings.returnUrl },
    expiresAt: new Date(data.ends_at ?? 0),
    email: recipient.email.toLowerCase(),
  });
  return { ...way, url: new URL(path.replace('/console/', '/portal/'), portalUrl).href, isLink: true };
}

const texts = {
  en: {
    title: (provider: string) => `Sign in to ${provider}`,
    once: (until: string) => `This link works once, until ${until}, and only in the browser in which you requested it.`,
    each: (until: string) =>
      `Your address is known in several organizations. Each link works once, until ${until}, and only in the browser in which you requested it.`,
    atProvider: (organization: string) =>
      `People of ${organization} sign in at the identity provider of the organization.`,
    open: (organization: string) => `Sign in for ${organization}`,
    ignore: 'If you did not request this, ignore this mail. Never forward it.',
    reason: (host: string) => `Sent by Keyturn at ${host} because this address was entered there to sign in.`,
  },
  de: {
    title: (provider: string) => `Anmelden bei ${provider}`,
    once: (until: string) =>
      `Dieser Link gilt einmal, bis ${until}, und nur in dem Browser, in dem Sie ihn angefordert haben.`,
    each: (until: string) =>
      `Ihre Adresse ist in mehreren Organisationen bekannt. Jeder Link gilt einmal, bis ${until}, und nur in dem Browser, in dem Sie ihn angefordert haben.`,
    atProvider: (organization: string) =>
      `Personen von ${organization} melden sich beim Identity Provider der Organisation an.`,
    open: (organization: string) => `Anmelden für ${organization}`,
    ignore: 'Haben Sie das nicht angefordert, ignorieren Sie diese Mail. Leiten Sie sie nie weiter.',
    reason: (host: string) =>
      `Gesendet von Keyturn auf ${host}, weil diese Adresse dort zum Anmelden eingegeben wurde.`,
  },
} as const;

function writeLinkMail(
  provider: string,
  ways: readonly WayIn[],
  language: Language,
  host: string,
): { subject: string; text: string; html: string } {
  const say = texts[language];
  const [link, ...more] = ways.filter(({ isLink }) => isLink);
  const until = formatTime(link?.endsAt, language);
  const blocks: MailBlock[] = [{ type: 'heading', text: say.title(provider) }];
  if (link) blocks.push({ type: 'paragraph', text: more.length > 0 ? say.each(until) : say.once(until) });
  for (const { recipient, url, isLink } of ways) {
    if (!isLink) blocks.push({ type: 'paragraph', text: say.atProvider(recipient.organization) });
    blocks.push({ type: 'button', label: say.open(recipient.organization), url });
  }
  blocks.push({ type: 'step', text: say.ignore });
  const footer = [{ text: say.reason(host) }];
  const document: MailDocument = { language, title: say.title(provider), brand: provider, blocks, footer };
  return { subject: document.title, text: renderMailText(document), html: renderMailHtml(document) };
}
