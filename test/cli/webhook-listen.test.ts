import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { createWorld, type World } from '../regeneration/world.ts';
import { ended, printed, runCommand, startCommand } from './run-command.ts';

let world: World;
let directory: string;

beforeEach(async () => {
  world = await createWorld({ env: { KEYTURN_WEBHOOK_NETWORKS: '127.0.0.0/8' } });
  directory = mkdtempSync(join(tmpdir(), 'keyturn-listen-'));
});
afterEach(async () => {
  rmSync(directory, { recursive: true });
  await world.close();
});

const create = async (url: string, kind: string) =>
  (await world.adminFetch('/webhooks', { method: 'POST', body: { name: 'Local', url, kinds: [kind] } })).json;

test('listen receives events on this machine, and rejects those that another secret has signed', async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  const [own, other] = [await create(url, 'root_key_old'), await create(url, 'root_key_old')];
  const file = join(directory, 'secret');
  writeFileSync(file, `${own.signing_secret}\n`);
  const listening = startCommand(
    ['webhooks', 'listen', '--port', String(port), '--secret-file', file, '--count', '1', '--json'],
    {},
  );
  const end = ended(listening);
  await printed(listening, 'listening on');
  const test = async (id: string) => (await world.adminFetch(`/webhooks/${id}/test`, { method: 'POST' })).json;
  expect(await test(other.id)).toMatchObject({ delivered: false, status: 401 });
  const sent = await test(own.id);
  const { code, stdout, stderr } = await end;
  expect([code, stderr]).toEqual([0, expect.stringContaining('rejected: no signature is of this secret')]);
  expect(JSON.parse(stdout)).toMatchObject({ id: sent.event_id, type: 'dev.keyturn.test', specversion: '1.0' });
});

test('listen follows the deliveries of a webhook on a server that cannot reach this machine', async () => {
  const { id } = await create('http://127.0.0.1:1/', 'grace_period_began');
  const { token } = await world.operator(['integrations:view']);
  const remote = { KEYTURN_URL: world.adminUrl, KEYTURN_OPERATOR_TOKEN: token };
  const args = ['webhooks', 'listen', '--poll', id, '--every', '0', '--count', '1', '--json'];
  const following = startCommand(args, remote);
  const end = ended(following);
  await printed(following, 'following');
  // The first look at the list shows what is old.
  let isRunning = true;
  const rotations = (async () => {
    while (isRunning) {
      await world.regenerate();
      await world.core.notices.turn();
    }
  })();
  const { code, stdout } = await end;
  isRunning = false;
  await rotations;
  expect([code, JSON.parse(stdout).type]).toEqual([0, 'dev.keyturn.grace_period_began']);
});

test('listen refuses a file without a signing secret', async () => {
  const file = join(directory, 'secret');
  writeFileSync(file, 'kts_not-one');
  expect(await runCommand(['webhooks', 'listen', '--secret-file', file])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('must contain a signing secret'),
  });
});
