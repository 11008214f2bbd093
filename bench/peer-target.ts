import { fileURLToPath } from 'node:url';
import { generateSecret } from '../src/credentials/credential-format.ts';
import { freePort } from '../test/free-port.ts';
import type { Credentials } from './keyturn-deployment.ts';
import { startServerProcess } from './server-process.ts';
import { postRequest, type Target } from './target.ts';

const form = { grant_type: 'client_credentials' };

/** oidc-provider by itself, with the same clients, on the same Redis. */
export async function startOidcProvider(redisUrl: string, clients: readonly Credentials[]): Promise<Target> {
  const port = await freePort();
  const server = await startServerProcess({
    args: [fileURLToPath(new URL('./peers/oidc-provider.ts', import.meta.url))],
    env: { PORT: String(port), REDIS_URL: redisUrl, CLIENTS: JSON.stringify(clients) },
    stdio: ['ignore', 'ignore', 'ignore'],
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/.well-known/openid-configuration`)).ok,
  });
  const [[id, secret] = ['', '']] = clients;
  return {
    ...server,
    name: 'oidc-provider',
    port,
    tokenRequests: clients.map((client) => postRequest(port, '/token', form, client)),
    wrongSecretRequests: clients.map(([known]) => postRequest(port, '/token', form, [known, generateSecret('kts_')])),
    introspectionRequest: (token) => postRequest(port, '/token/introspection', { token }, [id, secret]),
  };
}
