import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { CommandEnd, say } from './terminal.ts';

const waitMs = 600_000;

/**
 * Signs in with the browser: opens a page of the console, which leads the browser to a port on this machine with a code
 * (RFC 8252 §7.3), and exchanges the code for an operator token (RFC 7636).
 * @throws {CommandEnd} 1 if the person does not allow it within ten minutes.
 */
export async function logInWithBrowser(url: string): Promise<string> {
  const [state, verifier] = [randomBytes(32).toString('base64url'), randomBytes(32).toString('base64url')];
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const redirectUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`;
  const parameters = new URLSearchParams({
    redirect_uri: redirectUri,
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    name: hostname()
      .replace(/[^\w.-]/g, '')
      .slice(0, 60),
  });
  const page = `${url}/console/command-line?${parameters}`;
  say(`Open this page in your browser, and allow the command line to sign in:\n${page}`);
  openBrowser(page);
  const timer = setTimeout(() => server.emit('given-up'), waitMs);
  try {
    return await exchange(url, await codeFrom(server, state), verifier);
  } finally {
    clearTimeout(timer);
    server.closeAllConnections();
    server.close();
  }
}

/** Waits for the browser. Requests without the state come from another program, and are ignored. */
function codeFrom(server: ReturnType<typeof createServer>, state: string): Promise<string> {
  return new Promise((resolve, reject) => {
    server.on('given-up', () => reject(new CommandEnd(1, 'error: No sign-in was completed within ten minutes.')));
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://127.0.0.1');
      const code = searchParams.get('code');
      response.setHeader('Content-Type', 'text/plain; charset=utf-8');
      response.setHeader('Connection', 'close');
      if (pathname !== '/callback' || code === null || searchParams.get('state') !== state) {
        response.writeHead(404).end('Not found.\n');
        return;
      }
      response.end('Signed in. You can close this page.\n', () => resolve(code));
    });
  });
}

async function exchange(url: string, code: string, verifier: string): Promise<string> {
  const body = new URLSearchParams({ code, code_verifier: verifier });
  const response = await fetch(`${url}/command-line/token`, { method: 'POST', body, redirect: 'error' });
  const answer = (await response.json().catch(() => ({}))) as { operator_token?: string; detail?: string };
  if (!response.ok || !answer.operator_token) {
    throw new CommandEnd(1, `error: ${answer.detail ?? `The server answered with status ${response.status}.`}`);
  }
  return answer.operator_token;
}

/** Opens the default browser. If there is none, the person opens the page. */
function openBrowser(page: string): void {
  const command = process.platform === 'darwin' ? 'open' : process.platform === 'win32' ? 'explorer' : 'xdg-open';
  spawn(command, [page], { stdio: 'ignore', detached: true })
    .on('error', () => undefined)
    .unref();
}
