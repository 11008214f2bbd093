import type { Permission } from '../../src/contacts/contact.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';
import { freePort } from '../free-port.ts';

type PortalAnswer = { status: number; headers: Headers; text: string; location: string | null };

/** What a link is issued for. */
type Person = { contact_id: string } | { organization_id: string; email: string; name: string };

export type PortalServer = ConsoleServer & {
  /** Requests a page of the portal. Stores no cookies and follows no redirects. */
  open(path: string, cookie?: string, headers?: Record<string, string>): Promise<PortalAnswer>;
  /** Sends a form from a page of the portal. */
  submit(
    path: string,
    form: Record<string, string>,
    cookie?: string,
    headers?: Record<string, string>,
  ): Promise<PortalAnswer>;
  /** Issues a link, and returns its URL. */
  link(person: Person, permissions?: readonly Permission[], more?: object): Promise<string>;
  /** Issues a link, opens it, and returns the cookie of the session. */
  enter(person: Person, permissions?: readonly Permission[], more?: object): Promise<string>;
  /** Creates things through the admin API, and returns the answer. */
  // biome-ignore lint/suspicious/noExplicitAny: the shape of a response is unknown until a test checks it.
  post(path: string, body?: object): Promise<any>;
};

/** Starts a server with a portal. Its URL has the name `localhost`. */
export async function startPortal(options: Parameters<typeof startConsole>[0] = {}): Promise<PortalServer> {
  const port = String(await freePort());
  const server = await startConsole({ ...options, env: { KEYTURN_PORTAL_PORT: port, ...options.env } });
  let visitors = 0;
  const ask = async (path: string, cookie: string | undefined, init: RequestInit): Promise<PortalAnswer> => {
    // Use a different address for each request, so that the limit of failed attempts does not affect other tests.
    const from = { 'x-forwarded-for': `198.51.${++visitors >> 8}.${visitors & 255}` };
    const headers = { ...from, ...(init.headers as Record<string, string>), ...(cookie ? { cookie } : {}) };
    const response = await fetch(new URL(path, server.portalUrl), { ...init, headers, redirect: 'manual' });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, location: response.headers.get('location') };
  };
  const post: PortalServer['post'] = async (path, body = {}) => {
    const answer = await server.adminFetch(path, { method: 'POST', body });
    if (answer.status > 299) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`);
    return answer.json;
  };
  const submit: PortalServer['submit'] = (path, form, cookie, headers = { origin: server.portalUrl }) =>
    ask(path, cookie, { method: 'POST', body: new URLSearchParams(form), headers });
  const link: PortalServer['link'] = async (person, permissions, more = {}) =>
    (await post('/portal-sessions', { ...person, permissions, ...more })).url;
  return {
    ...server,
    post,
    submit,
    link,
    open: (path, cookie, headers = {}) => ask(path, cookie, { headers }),
    async enter(person, permissions, more) {
      const code = new URL(await link(person, permissions, more)).searchParams.get('code') ?? '';
      const answer = await submit('/portal/sign-in', { code });
      const [cookie = ''] = portalCookie(answer).split(';');
      if (answer.status !== 303) throw new Error(`no session: ${answer.status} ${answer.text}`);
      return cookie;
    },
  };
}

/** Returns the Set-Cookie header of the session in a response, or an empty string. */
export function portalCookie({ headers }: Pick<PortalAnswer, 'headers'>): string {
  return headers.getSetCookie().find((each) => /^(__Host-)?keyturn-portal=/.test(each)) ?? '';
}
