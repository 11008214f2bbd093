import { compareTokens } from './compare-tokens.ts';
import { createDeployment } from './keyturn-deployment.ts';
import { startKeyturn } from './keyturn-target.ts';
import { startLimit } from './limit-target.ts';
import type { Table } from './table.ts';

const sizes = [1, 32, 256, 2_000] as const;

/** Measures token rate and latency by the number of connections that send requests without a pause. */
export async function growConnections(stores: { databaseUrl: string; redisUrl: string }): Promise<Table> {
  await using ends = new AsyncDisposableStack();
  const deployment = await createDeployment(stores, 100);
  ends.defer(() => deployment.remove());
  const limit = await startLimit(stores.redisUrl);
  ends.defer(() => limit.stop());
  const keyturn = await startKeyturn(deployment, 'keyturn');
  ends.defer(() => keyturn.stop());
  const rows: string[][] = [];
  for (const connections of sizes) {
    const { ratio, p50Ms, p99Ms, limitP99Ms } = await compareTokens(limit, keyturn, connections);
    rows.push([String(connections), ratio.toFixed(2), p50Ms.toFixed(2), p99Ms.toFixed(2), limitP99Ms.toFixed(2)]);
  }
  return {
    title: 'Connections that ask for tokens without a pause',
    head: ['connections', 'tokens, to limit', 'p50 ms', 'p99 ms', "limit's p99 ms"],
    rows,
  };
}
