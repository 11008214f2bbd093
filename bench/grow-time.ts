import { createDeployment } from './keyturn-deployment.ts';
import { startKeyturn } from './keyturn-target.ts';
import { runLoad } from './load.ts';
import { tokenIn } from './measure.ts';
import { residentMegabytes } from './server-process.ts';
import type { Table } from './table.ts';

const minutes = 30;
/** A burst of work followed by a pause: this scenario measures memory, not speed. */
const burst = { seconds: 1, connections: 32 } as const;
const burstsEachMinute = 6;

/** Measures the memory of one process over half an hour of tokens and introspections. */
export async function growTime(stores: { databaseUrl: string; redisUrl: string }): Promise<Table> {
  await using ends = new AsyncDisposableStack();
  const deployment = await createDeployment(stores, 1_000);
  ends.defer(() => deployment.remove());
  const keyturn = await startKeyturn(deployment, 'keyturn');
  ends.defer(() => keyturn.stop());
  const rows: string[][] = [];
  let answers = 0;
  for (let minute = 0; minute <= minutes; minute++) {
    if (minute % 5 === 0) rows.push([String(minute), String(answers), residentMegabytes(keyturn.pid).toFixed(0)]);
    if (minute === minutes) break;
    for (let count = 0; count < burstsEachMinute; count++) {
      const nextAt = performance.now() + 60_000 / burstsEachMinute;
      answers += await work();
      await new Promise((resolve) => setTimeout(resolve, nextAt - performance.now()));
    }
  }
  return { title: 'Time, under bursts of tokens and introspections', head: ['minutes', 'answers', 'memory, MB'], rows };

  async function work(): Promise<number> {
    const tokens: string[] = [];
    let at = 0;
    const asked = await runLoad({
      ...burst,
      port: keyturn.port,
      next: () => keyturn.tokenRequests[at++ % keyturn.tokenRequests.length],
      expectedStatus: 200,
      onBody: (body) => tokens.push(tokenIn(body)),
    });
    const introspected = await runLoad({
      ...burst,
      port: keyturn.port,
      next: () => {
        const token = tokens.pop();
        return token === undefined ? undefined : keyturn.introspectionRequest?.(token);
      },
      expectedStatus: 200,
    });
    return asked.answers + introspected.answers;
  }
}
