import { UsageError } from '../errors.ts';

/** An e-mail address with the name that is displayed. */
export type Mailbox = { name: string; address: string };

/** The mail server, and how mails are sent. */
export type MailSettings = {
  host: string;
  port: number;
  /** Whether the connection uses TLS from its beginning. */
  isTls: boolean;
  /** Whether a plain connection is upgraded: always, if the server offers it, or never. */
  startTls: 'required' | 'optional' | 'off';
  credentials: { user: string; pass: string } | undefined;
  from: Mailbox;
  replyTo: Mailbox | undefined;
};

type SmtpServer = Omit<MailSettings, 'from' | 'replyTo'>;

const startTlsModes = ['required', 'optional', 'off'] as const;

/**
 * Reads `KEYTURN_SMTP_URL`: `smtps://` for TLS from the beginning, `smtp://` for a plain connection that is upgraded. A
 * password is never sent without TLS, unless `?starttls=` allows it.
 * @throws {UsageError} The message repeats no part of the URL, because a reserved character in a password shifts them.
 */
function readSmtpUrl(text: string): SmtpServer {
  const url = URL.parse(text);
  if (!url || !/^smtps?:$/.test(url.protocol) || url.hostname === '') {
    throw new UsageError(
      'KEYTURN_SMTP_URL must have the form smtp://user:password@host:port or smtps://…; percent-encode reserved characters in the user and password',
    );
  }
  if (!['', '/'].includes(url.pathname) || url.hash !== '') {
    throw new UsageError('KEYTURN_SMTP_URL must not have a path; in the password, write %2F for / and %23 for #');
  }
  const isTls = url.protocol === 'smtps:';
  const [user, pass] = [decode(url.username), decode(url.password)];
  if ((user === '') !== (pass === ''))
    throw new UsageError('KEYTURN_SMTP_URL needs both a user and a password, or neither');
  const unknown = [...url.searchParams.keys()].find((name) => name !== 'starttls');
  if (unknown !== undefined) throw new UsageError('KEYTURN_SMTP_URL: the only parameter is starttls');
  const given = url.searchParams.get('starttls');
  const startTls = startTlsModes.find((mode) => mode === given);
  if (given !== null && (!startTls || isTls)) {
    throw new UsageError('KEYTURN_SMTP_URL: starttls must be required, optional or off, and only with smtp://');
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (isTls ? 465 : 587) : Number(url.port),
    isTls,
    startTls: startTls ?? (user === '' ? 'optional' : 'required'),
    credentials: user === '' ? undefined : { user, pass },
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError('KEYTURN_SMTP_URL has a % that does not begin a percent-encoded character; write %25 for %');
  }
}

/** Reads `address` or `Name <address>`. @throws {UsageError} */
function readMailbox(variable: string, text: string): Mailbox {
  const [, name = '', bracketed] = /^(.*?)\s*<([^<>]*)>$/.exec(text) ?? [];
  const mailbox = { name: name.replace(/^"(.*)"$/, '$1'), address: bracketed ?? text };
  if (!isMailAddress(mailbox.address) || /[\p{Cc}\p{Cf}]/u.test(mailbox.name)) {
    throw new UsageError(
      `${variable} must be an e-mail address, such as keyturn@example.com or Keyturn <keyturn@example.com>`,
    );
  }
  return mailbox;
}

/**
 * Returns whether a text is an address to which a mail can be sent: one address of RFC 5321 §4.1.2 without quoted parts, so
 * that no character of it has a meaning in a header.
 */
export function isMailAddress(text: string): boolean {
  return (
    text.length <= 254 &&
    /^[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*@[a-z\d]([a-z\d-]*[a-z\d])?(\.[a-z\d]([a-z\d-]*[a-z\d])?)*$/i.test(
      text,
    )
  );
}

/** Variables of mails. */
export const mailVariables = [
  'KEYTURN_SMTP_URL',
  'KEYTURN_SMTP_URL_FILE',
  'KEYTURN_MAIL_FROM',
  'KEYTURN_MAIL_REPLY_TO',
] as const;

type Read = (name: string) => string | undefined;

/**
 * Reads the settings of mails. Undefined if there is no mail server.
 * @param secret reads a variable that can also name a file.
 * @param problems receives what is wrong.
 */
export function readMailSettings(text: Read, secret: Read, problems: string[]): MailSettings | undefined {
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push((error as UsageError).message);
      return undefined;
    }
  };
  const mailbox = (name: string) => {
    const value = text(name);
    return value === undefined ? undefined : attempt(() => readMailbox(name, value));
  };
  const url = secret('KEYTURN_SMTP_URL');
  const [from, replyTo] = [mailbox('KEYTURN_MAIL_FROM'), mailbox('KEYTURN_MAIL_REPLY_TO')];
  if (url === undefined) {
    for (const name of ['KEYTURN_MAIL_FROM', 'KEYTURN_MAIL_REPLY_TO']) {
      if (text(name) !== undefined) problems.push(`${name} needs KEYTURN_SMTP_URL`);
    }
    return undefined;
  }
  if (text('KEYTURN_MAIL_FROM') === undefined) problems.push('KEYTURN_SMTP_URL needs KEYTURN_MAIL_FROM');
  const server = attempt(() => readSmtpUrl(url));
  return server && from && { ...server, from, replyTo };
}
