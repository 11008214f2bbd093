import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { generateSecret } from '../src/credentials/credential-format.ts';
import { freePort } from '../test/free-port.ts';
import type { Credentials } from './keyturn-deployment.ts';
import { startServerProcess } from './server-process.ts';
import { postRequest, type Target } from './target.ts';

export type Peer = {
  name: string;
  program: string;
  token: string;
  /** Undefined if the server has no introspection endpoint. */
  introspection: string | undefined;
  /** The server only describes a client's own tokens, so one client both requests and introspects. */
  ownTokensOnly?: true;
};

const form = { grant_type: 'client_credentials' };
const ours: Peer = {
  name: 'oidc-provider',
  program: 'oidc-provider.ts',
  token: '/token',
  introspection: '/token/introspection',
};
const installed: readonly Peer[] = [
  { name: '@jmondi/oauth2-server', program: 'jmondi.js', token: '/token', introspection: '/introspect' },
  { name: '@node-oauth/oauth2-server', program: 'node-oauth.js', token: '/token', introspection: undefined },
  {
    name: 'better-auth',
    program: 'better-auth.js',
    token: '/oauth2/token',
    introspection: '/oauth2/introspect',
    ownTokensOnly: true,
  },
];

/** Lists the peers whose packages are installed. */
export function listPeers(): readonly Peer[] {
  if (existsSync(new URL('./peers/node_modules', import.meta.url))) return [ours, ...installed];
  console.error('npm ci --prefix bench/peers: and it is compared with other servers, too');
  return [ours];
}

/**
 * Starts another server in its own process as its documentation sets it up, with the same clients and the same Redis.
 */
export async function startPeer(
  { name, program, token: tokenPath, introspection, ownTokensOnly }: Peer,
  redisUrl: string,
  registered: readonly Credentials[],
): Promise<Target> {
  const port = await freePort();
  const clients = ownTokensOnly ? registered.slice(0, 1) : registered;
  const server = await startServerProcess({
    args: [fileURLToPath(new URL(`./peers/${program}`, import.meta.url))],
    env: { PORT: String(port), REDIS_URL: redisUrl, CLIENTS: JSON.stringify(clients) },
    stdio: ['ignore', 'ignore', 'ignore'],
    isReady: async () => (await fetch(`http://127.0.0.1:${port}${tokenPath}`, { method: 'POST' })).status > 0,
  });
  const [first = ['', ''] as const] = clients;
  return {
    ...server,
    name,
    port,
    tokenRequests: clients.map((client) => postRequest(port, tokenPath, form, client)),
    wrongSecretRequests: clients.map(([known]) => postRequest(port, tokenPath, form, [known, generateSecret('kts_')])),
    ...(introspection && {
      introspectionRequest: (token: string) => postRequest(port, introspection, { token }, first),
    }),
  };
}
