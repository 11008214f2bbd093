import type { Config } from '../config.ts';

const timeoutMs = 2_000;

/** Sends GET to a listener of the server that runs on this machine with the same configuration. */
export async function askServer(
  { tlsFiles }: Config,
  { host, port, path }: { host: string; port: number; path: string },
): Promise<{ status: number | undefined; body: string }> {
  // A listener on every address is called over loopback; one on a single address responds only there.
  const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  // Only commands that send a request load node:http, which loads all of Node's fetch with it.
  const { request: httpRequest } = await import('node:http');
  const { request: httpsRequest } = await import('node:https');
  const options = { host: address, port, path, timeout: timeoutMs, agent: false };
  return await new Promise((resolve, reject) => {
    // The certificate names the issuer's host, not this address.
    const request = tlsFiles.cert ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    request.once('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.once('error', reject);
      response.once('end', () => resolve({ status: response.statusCode, body }));
    });
    request.once('timeout', () => request.destroy(new Error(`no response within ${timeoutMs} ms`)));
    request.once('error', reject);
    request.end();
  });
}
