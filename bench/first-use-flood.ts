/**
 * `npm run bench:first-use`: compares the latency of ordinary token requests while wrong secrets are sent for clients
 * whose imported secrets are hashed, and while none are. Both alternate within one run, so other load affects both. Never
 * fails.
 */
import { hash } from 'bcrypt';
import { generateSecret } from '../src/credentials/credential-format.ts';
import { runCommand } from '../test/cli/run-command.ts';
import { startServices } from '../test/services.ts';
import { createDeployment } from './keyturn-deployment.ts';
import { startKeyturn } from './keyturn-target.ts';
import { type Load, runLoad } from './load.ts';
import { leaveServersCore } from './server-process.ts';
import { postRequest } from './target.ts';

const integrations = 200;
const hashedClients = 20;
/** The cost that Hydra and other servers use by default. */
const bcryptCost = 10;
const rounds = 6;
const seconds = 3;
const connections = 8;
/** One or two hashes are computed at a time, so a few connections always keep some waiting. */
const floodConnections = 6;

leaveServersCore();
await using ends = new AsyncDisposableStack();
const stores = await startServices();
ends.defer(() => stores.stop());
const deployment = await createDeployment(stores, integrations);
ends.defer(() => deployment.remove());
const rows = await Promise.all(
  Array.from({ length: hashedClients }, async (_, index) => ({
    client_id: `hashed-${index}`,
    client_secret_hash: await hash(generateSecret('kts_').slice(4), bcryptCost),
  })),
);
const imported = await runCommand(['clients', 'import', '-'], deployment.env, JSON.stringify(rows));
if (imported.code !== 0) throw new Error(imported.stderr);

const server = await startKeyturn(deployment, 'first use', {}, { on: 'anywhere' });
ends.defer(() => server.stop());
const { port, tokenRequests } = server;

let turn = 0;
const ordinary = () => tokenRequests[turn++ % integrations];
const wrong = () => {
  const client = [`hashed-${turn++ % hashedClients}`, `x${generateSecret('kts_').slice(4)}`] as const;
  return postRequest(port, '/oauth2/token', { grant_type: 'client_credentials' }, client);
};

const measure = (forSeconds: number) =>
  runLoad({ port, connections, seconds: forSeconds, next: ordinary, expectedStatus: 200 });

async function measureInFlood(): Promise<{ load: Load; flood: Load }> {
  const flood = runLoad({
    port,
    connections: floodConnections,
    seconds: seconds + 1,
    next: wrong,
    expectedStatus: 401,
  });
  const load = await measure(seconds);
  return { load, flood: await flood };
}

await measure(seconds);
const quiet: Load[] = [];
const flooded: Load[] = [];
const floods: Load[] = [];
for (let round = 0; round < rounds; round++) {
  quiet.push(await measure(seconds));
  const { load, flood } = await measureInFlood();
  flooded.push(load);
  floods.push(flood);
}
const percentile = (loads: readonly Load[], share: number) => {
  const all = loads.flatMap(({ latencies }) => [...latencies]).sort((left, right) => left - right);
  return all[Math.floor(all.length * share)] ?? Number.NaN;
};
for (const share of [0.5, 0.99]) {
  const [without, during] = [percentile(quiet, share), percentile(flooded, share)];
  console.log(
    `p${share * 100} of ordinary tokens: ${without.toFixed(2)} ms without, ${during.toFixed(2)} ms during the flood, ratio ${(during / without).toFixed(2)}`,
  );
}
const sum = (loads: readonly Load[], of: (load: Load) => number) => loads.reduce((total, load) => total + of(load), 0);
console.log(
  `ordinary tokens: ${sum(quiet, ({ answers }) => answers)} without, ${sum(flooded, ({ answers }) => answers)} during, ${sum(flooded, ({ refusals }) => refusals)} rejected; wrong secrets: ${sum(floods, ({ answers }) => answers)} got 401, ${sum(floods, ({ refusals }) => refusals)} got 503`,
);
