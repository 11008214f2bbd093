import { type Browser, chromium } from 'playwright-core';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { chromiumPath } from '../programs.ts';

/** A response of the console. Requests store no cookies and follow no redirects. */
type ConsoleAnswer = { status: number; headers: Headers; text: string; location: string | null };

export type ConsoleServer = AdminServer & {
  look(path: string, cookie?: string): Promise<ConsoleAnswer>;
  /** Sends a form from a page of the console, unless `headers` set another origin. */
  send(
    path: string,
    form: Record<string, string>,
    cookie?: string,
    headers?: Record<string, string>,
  ): Promise<ConsoleAnswer>;
  /** Sends a form and requests the page that it redirects to. */
  sendAndLook(path: string, form: Record<string, string>, cookie: string): Promise<ConsoleAnswer>;
  /**
   * Signs in.
   * @returns the cookie of the new session.
   */
  signIn(token: string): Promise<string>;
};

export async function startConsole(options: Parameters<typeof startAdminServer>[0] = {}): Promise<ConsoleServer> {
  const env = { KEYTURN_TRUST_PROXY: '127.0.0.1/32', ...options.env };
  const server = await startAdminServer({ ...options, env });
  let visitors = 0;
  const ask = async (path: string, cookie: string | undefined, init: RequestInit): Promise<ConsoleAnswer> => {
    // Use a different address for each request, so that the limit of failed attempts does not affect other tests.
    const from = { 'x-forwarded-for': `198.51.${++visitors >> 8}.${visitors & 255}` };
    const headers = { ...from, ...(init.headers as Record<string, string>), ...(cookie ? { cookie } : {}) };
    const response = await fetch(`${server.adminUrl}${path}`, { ...init, headers, redirect: 'manual' });
    const { status } = response;
    return {
      status,
      headers: response.headers,
      text: await response.text(),
      location: response.headers.get('location'),
    };
  };
  const send: ConsoleServer['send'] = (path, form, cookie, headers = { origin: server.adminUrl }) =>
    ask(path, cookie, { method: 'POST', body: new URLSearchParams(form), headers });
  return {
    ...server,
    send,
    look: (path, cookie) => ask(path, cookie, {}),
    async sendAndLook(path, form, cookie) {
      const answer = await send(path, form, cookie);
      if (answer.status !== 303) return answer;
      const left = answer.headers.getSetCookie().find((each) => each.startsWith('keyturn-done='));
      const session = cookieOf(answer) || cookie;
      return await ask(answer.location ?? '', left ? `${session}; ${left.split(';')[0]}` : session, {});
    },
    async signIn(token) {
      const answer = await send('/console/sign-in', { token });
      if (answer.status !== 303) throw new Error(`no session: ${answer.status} ${answer.text}`);
      return cookieOf(answer);
    },
  };
}

/** Returns the name and value of the session cookie in a response, or an empty string. */
export function cookieOf({ headers }: Pick<ConsoleAnswer, 'headers'>): string {
  return (
    headers
      .getSetCookie()
      .find((each) => /^(__Host-)?keyturn=/.test(each))
      ?.split(';')[0] ?? ''
  );
}

export async function launchBrowser(): Promise<Browser> {
  if (!chromiumPath) throw new Error('there is no browser');
  return await chromium.launch({
    executablePath: chromiumPath,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
}
