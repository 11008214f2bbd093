import type { IncomingHttpHeaders } from 'node:http';
import { basicUser, shellQuote } from '../text/quote-text.ts';

/** HTTP request that is both sent and printed as an equivalent `curl` command. */
export type Call = {
  method: 'GET' | 'POST';
  url: string;
  /** Client ID and secret for HTTP Basic. */
  user?: { clientId: string; clientSecret: string };
  headers?: Readonly<Record<string, string>>;
  json?: unknown;
  form?: Readonly<Record<string, string>>;
};

export type Answer = { status: number; headers: IncomingHttpHeaders; body: unknown };

export function toCurl(call: Call): string {
  const words = ['curl', '-sS'];
  // curl already sends a request with data as POST.
  if (call.method === 'POST' && !call.json && !call.form) words.push('-X', 'POST');
  if (call.user) words.push('-u', shellQuote(basicUser(call.user.clientId, call.user.clientSecret)));
  for (const [name, value] of Object.entries(call.headers ?? {})) words.push('-H', shellQuote(`${name}: ${value}`));
  if (call.json)
    words.push('-H', shellQuote('Content-Type: application/json'), '-d', shellQuote(JSON.stringify(call.json)));
  for (const [name, value] of Object.entries(call.form ?? {}))
    words.push('--data-urlencode', shellQuote(`${name}=${value}`));
  words.push(shellQuote(call.url));
  return words.join(' ');
}

/** Sends a request on its own connection, as curl does, so that no connection stays open. */
export async function send(call: Call): Promise<Answer> {
  const { request } = await import('node:http');
  const body = call.json ? JSON.stringify(call.json) : call.form && new URLSearchParams(call.form).toString();
  const type = call.json ? 'application/json' : 'application/x-www-form-urlencoded';
  return await new Promise((resolve, reject) => {
    const sent = request(
      call.url,
      {
        method: call.method,
        agent: false,
        ...(call.user ? { auth: basicUser(call.user.clientId, call.user.clientSecret) } : {}),
        headers: {
          ...call.headers,
          ...(body === undefined ? {} : { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }),
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: parse(text) }),
        );
        response.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
