/**
 * `npm run bench:equal-times`: compares the times of answers that must not differ, because a difference would reveal
 * which Client IDs exist or which tokens are live. Prints medians, never fails.
 */
import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { readConfig } from '../src/config.ts';
import { openCore } from '../src/core.ts';
import { generateClientId, generateSecret } from '../src/credentials/credential-format.ts';
import { createLog } from '../src/observability/log.ts';
import { startServer } from '../src/server.ts';
import { endpointsOf, register } from '../test/oauth/fixture.ts';
import { startServices } from '../test/services.ts';
import { createDeployment } from './keyturn-deployment.ts';

const integrations = 400;
/** Longer than a process uses a cached client without asking whether it has changed. */
const notFreshMs = 1_500;

await using ends = new AsyncDisposableStack();
const stores = await startServices();
ends.defer(() => stores.stop());
const deployment = await createDeployment(stores, integrations);
ends.defer(() => deployment.remove());
const env = { ...deployment.env, KEYTURN_PORT: '0', KEYTURN_ADMIN_PORT: '0' };
const core = await openCore(readConfig(env), createLog('warn', 2));
ends.defer(() => core.close());
const server = await startServer(core, { drainMs: 100 });
ends.defer(() => server.close());
const api = endpointsOf(server.publicUrl);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
ends.defer(() => agent.destroy());

const clients = deployment.integrations.map(([id, secret]) => ({ id, secret }));
const [shop = { id: '', secret: '' }] = clients;
const invoices = await register(core, {
  name: 'Invoices API',
  kind: 'resource_server',
  resource: 'https://invoices.example/v1',
  information: ['invoices'],
});
const foreign = await api.accessToken(shop);
const askToken = (id: string) => api.token({ id, secret: generateSecret('kts_') }, {}, { agent });
const askState = (token: string) => api.introspect(invoices, token, {}, { agent });

await compare('a wrong secret', 1_200, {
  'unknown client': () => askToken(generateClientId()),
  'known client': () => askToken(shop.id),
});
for (const client of clients) await api.token(client, {}, { agent });
await delay(notFreshMs);
await compare('the first wrong secret of a client', integrations, {
  'unknown client': () => askToken(generateClientId()),
  'client in use': (round) => askToken(clients[round]?.id ?? ''),
});
await compare('the introspection of a token that is not active', 1_200, {
  'never issued': () => askState(generateSecret('kta_')),
  'for another resource server': () => askState(foreign),
});

/** Alternates two requests, so that other load affects both, and prints their medians. */
async function compare(title: string, rounds: number, asks: Record<string, (round: number) => Promise<unknown>>) {
  const times = new Map(Object.keys(asks).map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    const entries = Object.entries(asks);
    for (const [name, ask] of round % 2 ? entries : entries.reverse()) {
      const startedAt = performance.now();
      await ask(round);
      // Leave out the first requests, which warm up the server.
      if (round >= rounds / 8) times.get(name)?.push(performance.now() - startedAt);
    }
  }
  const medians = [...times].map(([name, values]) => `${name} ${medianOf(values).toFixed(3)} ms`);
  console.log(`${title}: ${medians.join(', ')}`);
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN;
}
