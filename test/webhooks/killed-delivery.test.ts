import { once } from 'node:events';
import { runJson } from '../cli/run-command.ts';
import { eventually } from '../eventually.ts';
import { startChildServer } from '../faults/child-server.ts';
import { createTestStores } from '../harness.ts';
import { askPostgres } from '../services.ts';
import { startReceiver } from './webhook-receiver.ts';

/** `NOTICE_KILLS=100` runs the long form. */
const kills = Number(process.env['NOTICE_KILLS'] ?? 2);

test(`loses nothing and repeats with the same id if the delivering process is killed ${kills} times`, async () => {
  const receiver = await startReceiver();
  const stores = await createTestStores();
  const networks = { KEYTURN_WEBHOOK_NETWORKS: '127.0.0.0/8' };
  const environment = { DATABASE_URL: stores.databaseUrl, KEYTURN_ROOT_KEY: stores.rootKey, ...networks };
  const run = (line: string) => runJson<Record<string, string>>(line.split(' '), environment);
  await run(`webhooks create --name Chat --to ${receiver.url} --kind grace_period_began,grace_period_undone`);
  const { client_id: client } = await run('clients create --name Sync');
  for (let turns = 0; turns < 2; turns++) {
    await run(`clients regenerate ${client} --yes`);
    await run(`clients undo ${client} --yes`);
  }
  const tried: string[] = [];
  for (let killed = 0; killed < kills; killed++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    // Every second time, the receiver has accepted the event, and nobody knows.
    receiver.state.status = killed % 2 === 0 ? 500 : 204;
    const child = await startChildServer(stores, networks);
    const exit = once(child.process, 'exit');
    receiver.state.onRequest = async ({ id }) => {
      tried.push(id);
      child.process.kill('SIGKILL');
      resolve();
      await exit;
    };
    await promise;
    await exit;
    // A lease lasts longer than the longest attempt. Nobody waits for it here.
    await askPostgres(stores.databaseUrl, `UPDATE notice_receivers SET leased_until = '-infinity'`);
  }
  receiver.state.onRequest = undefined;
  receiver.state.status = 204;
  const child = await startChildServer(stores, networks);
  const accepted = Math.floor(kills / 2);
  await eventually(() => receiver.received.length >= accepted + 4);
  await child.terminate();
  const [began, undone] = ['dev.keyturn.grace_period_began', 'dev.keyturn.grace_period_undone'];
  const ids = receiver.received.map(({ id }) => id);
  expect(receiver.received.slice(accepted).map(({ type }) => type)).toEqual([began, undone, began, undone]);
  expect(ids.slice(0, accepted)).toEqual(Array(accepted).fill(ids[accepted]));
  expect(new Set(ids).size).toBe(4);
  expect(tried).toEqual(Array(kills).fill(ids[0]));
  await receiver.close();
}, 1_800_000);
