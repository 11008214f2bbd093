import { fileURLToPath } from 'node:url';
import { freePort } from '../test/free-port.ts';
import { startServerProcess } from './server-process.ts';
import { postRequest, type Target } from './target.ts';

const program = fileURLToPath(new URL('./limit-server.ts', import.meta.url));
/** The reference server ignores credentials but reads as many bytes of them as the others. */
const credentials = [`kti_${'0'.repeat(22)}`, `kts_${'0'.repeat(49)}`] as const;

/** The reference server that all others are compared with. */
export async function startLimit(redisUrl: string): Promise<Target> {
  const port = await freePort();
  const server = await startServerProcess({
    args: [program],
    env: { PORT: String(port), REDIS_URL: redisUrl },
    stdio: ['ignore', 'ignore', 'inherit'],
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/introspect`, { method: 'POST' })).ok,
  });
  return {
    ...server,
    name: 'limit',
    port,
    tokenRequests: [postRequest(port, '/token', { grant_type: 'client_credentials' }, credentials)],
    wrongSecretRequests: [],
    introspectionRequest: (token) => postRequest(port, '/introspect', { token }, credentials),
  };
}
