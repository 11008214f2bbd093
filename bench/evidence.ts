/**
 * `npm run bench:evidence`: measures which share of a token's processor time is spent on counting its use, which is the
 * evidence of rotations. Rounds of the server and of the counter alternate; `--against DIR` also measures the counter of
 * another checkout in the same rounds. Prints medians, never fails.
 */
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { createUsageCounter } from '../src/usage/usage-counter.ts';
import { startServices } from '../test/services.ts';
import { createDeployment } from './keyturn-deployment.ts';
import { startKeyturn } from './keyturn-target.ts';
import { measure } from './measure.ts';
import { leaveServersCore } from './server-process.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    against: { type: 'string', multiple: true, default: [] },
  },
});
const clients = 100;
const tokensInARound = 400_000;
const tokensPerSecond = 5_000;
/** The server takes what was counted every four seconds. */
const tokensInABatch = 4 * tokensPerSecond;
const lifetimeSeconds = 3_600;

/** Counts tokens of clients that each have one source, or name twenty instances. */
const cases = { 'without names': [undefined], 'with 20 instances': Array.from({ length: 20 }, (_, n) => `pod-${n}`) };
const owners = Array.from({ length: clients }, (_, n) => ({ owner: `client-${n}`, generation: 1, epoch: 0 }));

const directories = { 'this checkout': fileURLToPath(new URL('..', import.meta.url)) };
const counters = Object.entries({
  ...directories,
  ...Object.fromEntries(values.against.map((directory) => [directory, directory])),
});
const loaded = await Promise.all(
  counters.map(async ([name, directory]) => {
    const path = pathToFileURL(join(directory, 'src/usage/usage-counter.ts')).href;
    return {
      name,
      create: ((await import(path)) as { createUsageCounter: typeof createUsageCounter }).createUsageCounter,
    };
  }),
);

leaveServersCore();
await using ends = new AsyncDisposableStack();
const stores = await startServices();
ends.defer(() => stores.stop());
const deployment = await createDeployment(stores, clients);
ends.defer(() => deployment.remove());
const server = await startKeyturn(deployment, 'keyturn');
ends.defer(() => server.stop());
const load = {
  seconds: 1,
  connections: 32,
  clients,
  scenarios: ['token'],
  json: false,
  against: [],
  instances: 0,
} as const;

const tokens: number[] = [];
const times = new Map<string, number[]>();
for (let round = 0; round <= Number(values.rounds); round++) {
  const windows = await measure([server], { ...load, rounds: 1 }, () => undefined);
  if (round > 0) tokens.push(windows[0]?.processorMicros ?? Number.NaN);
  for (const [title, names] of Object.entries(cases)) {
    for (const { name, create } of round % 2 === 0 ? loaded : loaded.toReversed()) {
      const micros = countTokens(create, names);
      // Round 0 warms up the compiler.
      if (round > 0) times.set(`${title}, ${name}`, [...(times.get(`${title}, ${name}`) ?? []), micros]);
    }
  }
}
const tokenMicros = medianOf(tokens);
console.log(`one token: ${tokenMicros.toFixed(1)} µs of processor time`);
for (const [title, all] of times) {
  const micros = medianOf(all);
  console.log(`${title}: ${micros.toFixed(3)} µs, ${((micros / tokenMicros) * 100).toFixed(2)} % of a token`);
}

/** Returns the processor time in microseconds of counting one token, with its share of the batches that are written. */
function countTokens(create: typeof createUsageCounter, names: readonly (string | undefined)[]): number {
  let now = Date.UTC(2026, 0, 1);
  const counter = create({ clock: () => now });
  const sources = names.map((instance) => ({ address: '192.0.2.1', userAgent: 'sync/1.0', instance }));
  const before = process.cpuUsage();
  for (let token = 0; token < tokensInARound; token++) {
    const source = sources[Math.floor(token / clients) % sources.length] as (typeof sources)[number];
    counter.issued(owners[token % clients] as (typeof owners)[number], source, lifetimeSeconds);
    if (token % tokensPerSecond === 0) now += 1_000;
    if (token % tokensInABatch === 0) JSON.stringify(counter.take());
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / tokensInARound;
}

function medianOf(numbers: readonly number[]): number {
  return numbers.toSorted((left, right) => left - right)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}
