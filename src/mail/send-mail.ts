import type { Transporter } from 'nodemailer';
import type { Mailbox, MailSettings } from '../configuration/mail-settings.ts';
import { isMailAddress } from '../configuration/mail-settings.ts';
import { plainLine } from './mail-text.ts';

/** A mail to one receiver, in both forms. */
type Mail = {
  to: Mailbox;
  subject: string;
  text: string;
  html: string;
  /** Identifies the mail without the domain, so that a repeated one has the same Message-ID (RFC 5322 §3.6.4). */
  id: string;
  /** Names and values of further headers. */
  headers?: Readonly<Record<string, string>>;
};

/**
 * - `retry`: the server could not be reached or asks to try again; `isUnknown` if it may have accepted the mail.
 * - `parked`: the server refuses this mail for good.
 */
type MailResult =
  | { as: 'delivered' }
  | { as: 'retry'; reason: string; isUnknown?: boolean }
  | { as: 'parked'; reason: string };

/** Sends mails by SMTP (RFC 5321). */
export type Mailer = {
  from: Mailbox;
  /** Sends a mail. Never rejects. @param signal ends the attempt. */
  send(mail: Mail, signal?: AbortSignal): Promise<MailResult>;
  /** Connects and authenticates without sending anything. @throws the error of the server or the connection. */
  check(): Promise<void>;
};

/** Longest wait in milliseconds for a connection, for the greeting, and between two answers of the server. */
const waitMs = 15_000;

/** nodemailer is loaded with the first mail, so that a deployment without a mail server never loads it. */
export function createMailer(settings: MailSettings): Mailer {
  const { from, replyTo } = settings;
  let opened: Promise<Transporter> | undefined;
  const open = () => {
    opened ??= openTransport(settings);
    return opened;
  };
  return {
    from,
    send: async ({ to, subject, text, html, id, headers = {} }, signal) => {
      if (!isMailAddress(to.address)) return { as: 'parked', reason: 'the e-mail address is not valid' };
      try {
        const transport = await open();
        await transport.sendMail({
          from,
          to: { name: plainLine(to.name), address: to.address },
          ...(replyTo ? { replyTo } : {}),
          subject: plainLine(subject),
          text,
          html,
          messageId: `<${id}@${from.address.replace(/^.*@/, '')}>`,
          headers: {
            // RFC 3834 §5: vacation responders do not answer.
            'Auto-Submitted': 'auto-generated',
            'X-Auto-Response-Suppress': 'All',
            ...headers,
          },
          disableFileAccess: true,
          disableUrlAccess: true,
          ...(signal ? { signal } : {}),
        });
        return { as: 'delivered' };
      } catch (error) {
        return resultOf(error as SmtpError);
      }
    },
    check: async () => {
      await (await open()).verify();
    },
  };
}

async function openTransport({ host, port, isTls, startTls, credentials }: MailSettings): Promise<Transporter> {
  const { createTransport } = await import('nodemailer');
  return createTransport({
    host,
    port,
    secure: isTls,
    requireTLS: startTls === 'required',
    ignoreTLS: startTls === 'off',
    ...(credentials ? { auth: credentials } : {}),
    connectionTimeout: waitMs,
    greetingTimeout: waitMs,
    socketTimeout: waitMs,
    dnsTimeout: waitMs,
  });
}

type SmtpError = Error & { code?: string; command?: string; responseCode?: number };

/** Errors before the server can have accepted anything. */
const beforeSending = /^(ECONNECTION|EDNS|ETLS|EAUTH|EPROXY|ECONNREFUSED|ENOTFOUND)$/;

/**
 * Decides what an error means. Only a permanent refusal (RFC 5321 §4.2.1) of the receiver or the content is final: one of the
 * sender or of the login concerns every mail, and an operator will correct it.
 */
function resultOf({ code = '', command = '', responseCode, message }: SmtpError): MailResult {
  const reason = plainLine(message).slice(0, 300);
  const isOfMail = command === 'RCPT TO' || command === 'DATA';
  if (responseCode !== undefined) {
    return responseCode >= 500 && isOfMail ? { as: 'parked', reason } : { as: 'retry', reason };
  }
  const isKnown = beforeSending.test(code) || command === 'CONN' || code === 'EENVELOPE';
  return { as: 'retry', reason, ...(isKnown ? {} : { isUnknown: true }) };
}
