import { cpus } from 'node:os';
import { createDeployment } from './keyturn-deployment.ts';
import { startKeyturn } from './keyturn-target.ts';
import { runLoad } from './load.ts';
import type { Table } from './table.ts';

const sizes = [1, 2] as const;

/** Measures tokens per second by number of workers. Workers may use every core; load and stores use one of them. */
export async function growProcesses(stores: { databaseUrl: string; redisUrl: string }): Promise<Table> {
  const deployment = await createDeployment(stores, 100);
  const rows: string[][] = [];
  try {
    for (const workers of sizes) {
      const keyturn = await startKeyturn(
        deployment,
        `workers ${workers}`,
        { KEYTURN_WORKERS: String(workers) },
        { on: 'anywhere' },
      );
      try {
        let at = 0;
        const ask = (seconds: number) =>
          runLoad({
            port: keyturn.port,
            connections: 64,
            seconds,
            next: () => keyturn.tokenRequests[at++ % keyturn.tokenRequests.length],
            expectedStatus: 200,
          });
        await ask(2);
        const { answers, seconds } = await ask(5);
        rows.push([String(workers), (answers / seconds).toFixed(0)]);
      } finally {
        await keyturn.stop();
      }
    }
  } finally {
    await deployment.remove();
  }
  return {
    title: `Worker processes, on ${cpus().length} cores, of which the load and both stores take one`,
    head: ['workers', 'tokens a second'],
    rows,
  };
}
