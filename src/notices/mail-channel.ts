import { createHash } from 'node:crypto';
import { findInvitationLink } from '../invitations/manage-invitations.ts';
import { createMailer, type Mailer } from '../mail/send-mail.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import type { MailChannelDeps, NoticeChannel } from './channel.ts';
import { findMailReceiver, findMailReceivers, type MailReceiver } from './mail-receivers.ts';
import { type Notice, type NoticeKind, noticeKinds } from './notice.ts';
import { writeNoticeMail } from './notice-mail.ts';
import type { Language } from './notice-text.ts';
import { findEnabledKinds } from './switches.ts';
import { unsubscribeUrl } from './unsubscribe.ts';

/** The addresses at which people reach the deployment. */
type MailLinks = {
  /** The public listener, whose pages need no sign-in. */
  issuer: string;
  console: string;
  /** The portal for contacts of organizations; undefined if there is none. */
  portal: string | undefined;
};

/**
 * Delivers notices by e-mail. Several that wait for one person are one mail, and one thing makes a mail an hour at most.
 * @returns nothing if the deployment has no mail server.
 */
export function createMailChannels({
  database,
  keyRing,
  clock,
  config: { mail, issuer, consoleUrl, portalUrl },
}: MailChannelDeps): NoticeChannel[] {
  if (!mail) return [];
  const links = { issuer, console: consoleUrl, portal: portalUrl };
  return [createMailChannel({ database, keyRing, clock }, createMailer(mail), links)];
}

/** Kinds that have a channel of their own. */
const separate: readonly NoticeKind[] = ['handover_code_sent', 'portal_link_requested'];

type Deps = Omit<MailChannelDeps, 'config'>;

function createMailChannel(deps: Deps, mailer: Mailer, links: MailLinks): NoticeChannel {
  const { database, keyRing } = deps;
  return {
    name: 'mail',
    batchSize: 100,
    collectMs: 30_000,
    quietMs: 3_600_000,
    // Codes and sign-in links are mails of their own, to their receiver alone.
    findReceivers: async (transaction, notice) =>
      separate.includes(notice.kind) ? [] : await findMailReceivers(transaction, notice),
    deliver: async (id, notices, signal) => {
      const organizationId = notices[0]?.organizationId ?? deploymentOrganization;
      const receiver = await findMailReceiver(database, id, organizationId);
      if (!receiver) return notices.map(() => ({ as: 'skipped', reason: 'the contact was deleted' }));
      const enabled = await findEnabledKinds(database, { organizationId: receiver.organizationId, receiver: id });
      const wanted = notices.filter(({ kind }) => enabled.has(kind));
      const off = { as: 'skipped', reason: 'the receiver has switched this kind off' } as const;
      if (wanted.length === 0) return notices.map(() => off);
      const stoppable = [...new Set(wanted.map(({ kind }) => kind))].filter((kind) => !noticeKinds[kind].isMandatory);
      const stopUrl =
        stoppable.length === 0
          ? undefined
          : unsubscribeUrl(keyRing, links.issuer, {
              organizationId: receiver.organizationId,
              receiver: id,
              kinds: stoppable,
            });
      const invitations = await findLinks(deps, wanted);
      const result = await mailer.send(
        {
          to: { name: receiver.name, address: receiver.address },
          ...writeNoticeMail(wanted, {
            language: languageOf(receiver),
            host: new URL(links.issuer).host,
            linkTo: (notice) => invitations.get(notice.id) ?? linkFor(links, receiver, notice),
            stopUrl,
          }),
          id: messageId(notices, id),
          headers: {
            'X-Keyturn-Notice': wanted.map((notice) => notice.id).join(' '),
            // RFC 2369 §3.2 and RFC 8058.
            ...(stopUrl === undefined
              ? {}
              : { 'List-Unsubscribe': `<${stopUrl}>`, 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' }),
          },
        },
        signal,
      );
      return notices.map(({ kind }) => (enabled.has(kind) ? result : off));
    },
  };
}

/** Finds the links of the invitations that notices are about, and that can still be accepted. */
async function findLinks(deps: Deps, notices: readonly Notice[]) {
  const found = new Map<string, { url: string; isPortal: boolean }>();
  for (const { id, data } of notices) {
    const url = data.invitation && (await findInvitationLink(deps.database, deps, data.invitation));
    if (url) found.set(id, { url, isPortal: new URL(url).pathname.startsWith('/portal/') });
  }
  return found;
}

/** Returns an id that is the same for the same notices and receiver, so that a repeated mail is recognisable. */
export function messageId(notices: readonly Notice[], receiver: string): string {
  const to = createHash('sha256').update(receiver).digest('hex').slice(0, 16);
  return `${notices[0]?.id}.${to}`;
}

function languageOf({ language }: MailReceiver): Language {
  return language === 'de' ? 'de' : 'en';
}

const pages: Readonly<Record<Notice['subject']['type'], (id: string) => string>> = {
  client: (id) => `/console/clients/${encodeURIComponent(id)}`,
  access_key: (id) => `/console/access-keys/${id}`,
  contact: (id) => `/console/contacts/${id}`,
  organization: (id) => `/console/organizations/${id}`,
  signing_key: () => '/console/signing-keys',
  deleted_contact: () => '/console/audit',
  root_key: () => '/console/system',
  webhook: (id) => `/console/webhooks/${id}`,
};

/** Contacts of organizations use the portal, operators the console. */
function linkFor(links: MailLinks, receiver: MailReceiver, { subject }: Notice) {
  if (links.portal !== undefined && receiver.organizationId !== deploymentOrganization) {
    // Without permissions, a contact sees only their own access keys.
    const isShown = receiver.isOperator || subject.type === 'access_key';
    const page = isShown ? pages[subject.type](subject.id).replace('/console/', '/portal/') : '/portal/';
    return { url: new URL(page, links.portal).href, isPortal: true };
  }
  if (!receiver.isOperator) return undefined;
  return { url: new URL(pages[subject.type](subject.id), links.console).href, isPortal: false };
}
