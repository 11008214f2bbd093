import { compareTokens } from './compare-tokens.ts';
import { createDeployment } from './keyturn-deployment.ts';
import { startKeyturn } from './keyturn-target.ts';
import { startLimit } from './limit-target.ts';
import { runLoad } from './load.ts';
import { residentMegabytes } from './server-process.ts';
import type { Table } from './table.ts';

/** The largest number of registered clients that send requests. */
const asking = 10_000;
const sizes = [10, 10_000, 1_000_000] as const;
const cell = (value: number, digits = 0) => value.toFixed(digits);

/** Measures token rate, first tokens, start-up time and memory by the number of registered clients. */
export async function growClients(stores: { databaseUrl: string; redisUrl: string }): Promise<Table> {
  const rows: string[][] = [];
  for (const clients of sizes) {
    await using ends = new AsyncDisposableStack();
    const deployment = await createDeployment(stores, Math.min(clients, asking), clients);
    ends.defer(() => deployment.remove());
    const limit = await startLimit(stores.redisUrl);
    ends.defer(() => limit.stop());
    const startedAt = performance.now();
    const keyturn = await startKeyturn(deployment, 'keyturn');
    ends.defer(() => keyturn.stop());
    const startSeconds = (performance.now() - startedAt) / 1_000;

    const requests = [...keyturn.tokenRequests];
    const first = await runLoad({
      port: keyturn.port,
      connections: 32,
      seconds: 60,
      next: () => requests.pop(),
      expectedStatus: 200,
    });
    const { ratio, processorMicros } = await compareTokens(limit, keyturn, 32);
    const firstOnes = clients < asking ? '–' : cell(first.answers / first.seconds);
    rows.push([
      cell(clients),
      cell(ratio, 2),
      cell(processorMicros),
      firstOnes,
      cell(startSeconds, 1),
      cell(residentMegabytes(keyturn.pid)),
    ]);
  }
  return {
    title: `Registered clients; up to ${asking} of them take turns`,
    head: ['clients', 'tokens, to limit', 'CPU µs a token', 'first tokens a second', 'start, seconds', 'memory, MB'],
    rows,
  };
}
