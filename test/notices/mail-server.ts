import type { AddressInfo } from 'node:net';
import { type ParsedMail, simpleParser } from 'mailparser';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** A mail as the server has accepted it. */
type ReceivedMail = ParsedMail & { recipients: string[]; raw: string };

export type MailServer = {
  port: number;
  mails: ReceivedMail[];
  /** Number of connections so far. */
  connections: number;
  /** The answer to a recipient, or to the content; accepts by default. */
  answer: (what: 'recipient' | 'content', to: string) => Error | undefined | Promise<Error | undefined>;
  close(): Promise<void>;
};

/** Returns the rejection of an SMTP server with this code. */
export function rejection(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}

/** Starts a real SMTP server on a free port of this machine. */
export async function startMailServer(options: SMTPServerOptions = {}, port = 0): Promise<MailServer> {
  const mailServer: MailServer = {
    port: 0,
    mails: [],
    connections: 0,
    answer: () => undefined,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    closeTimeout: 100,
    onConnect: (_session, done) => {
      mailServer.connections += 1;
      done();
    },
    onRcptTo: async ({ address }, _session, done) => done(await mailServer.answer('recipient', address)),
    onData: async (stream, { envelope }, done) => {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of stream) chunks.push(chunk as Buffer);
      } catch (error) {
        // The client was killed.
        return done(error as Error);
      }
      const raw = Buffer.concat(chunks).toString('utf8');
      const recipients = envelope.rcptTo.map(({ address }) => address);
      const error = await mailServer.answer('content', recipients[0] ?? '');
      if (!error) mailServer.mails.push({ ...(await simpleParser(raw)), recipients, raw });
      done(error);
    },
    ...options,
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  mailServer.port = (server.server.address() as AddressInfo).port;
  return mailServer;
}

/** The environment of a server that sends its mails there. */
export function mailEnvironment(port: number): Record<string, string> {
  return {
    KEYTURN_SMTP_URL: `smtp://127.0.0.1:${port}`,
    KEYTURN_MAIL_FROM: 'Keyturn <keyturn@example.com>',
    KEYTURN_ADMIN_URL: 'https://admin.example.com',
  };
}
