import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCertificate } from '../certificates.ts';
import { eventually } from '../eventually.ts';
import { createWorld, hour, type World } from '../regeneration/world.ts';
import { startClusterApi } from './cluster-api.ts';
import { ended, runCommand, startCommand } from './run-command.ts';

let world: World;
let cluster: Awaited<ReturnType<typeof startClusterApi>>;

beforeEach(async () => {
  world = await createWorld();
  await world.adminFetch(`/clients/${world.shop.id}`, { method: 'PATCH', body: { self_rotation: true } });
  cluster = await startClusterApi({ client_id: world.shop.id, client_secret: world.shop.secret, note: 'kept' });
});
afterEach(async () => {
  await cluster.close();
  await world.close();
});

const args = (...more: string[]) => [
  'agent',
  '--issuer',
  world.publicUrl,
  '--kubernetes-secret',
  'sync-client',
  '--service-account',
  cluster.serviceAccount,
  '--every',
  '1s',
  ...more,
];
const hasBoth = () => cluster.secret()['previous_client_secret'] !== undefined;
const current = () => ({
  id: cluster.secret()['client_id'] ?? '',
  secret: cluster.secret()['client_secret'] ?? '',
});

test('writes both values to a Secret, restarts the program, and finishes when the new one is in use', async () => {
  const running = startCommand(args('--restart', 'sync'), cluster.environment);
  const end = ended(running);
  await eventually(() => cluster.state.restarts > 0);
  expect(cluster.secret()).toEqual({
    client_id: world.shop.id,
    client_secret: expect.stringMatching(/^kts_/),
    previous_client_secret: world.shop.secret,
    rotation: expect.stringContaining('idempotency_key'),
    note: 'kept',
  });
  // Kubernetes replaces the token, and a controller labels the Secret, while the agent waits.
  cluster.replaceToken('second-token');
  cluster.change(() => {
    cluster.state.labels = { team: 'shop' };
  });
  await eventually(async () => {
    world.pass(2 * hour);
    await world.token(current());
    return (await world.progress()).state === 'finished';
  });
  expect(await end).toMatchObject({ code: 0 });
  expect(Object.keys(cluster.secret()).sort()).toEqual(['client_id', 'client_secret', 'note']);
  expect(cluster.state.labels).toEqual({ team: 'shop' });
  expect([await world.works(current()), await world.works(world.shop)]).toEqual([true, false]);
});

test('an agent that was killed continues the same rotation after the API server failed', async () => {
  // A source of the previous secret keeps the grace period running.
  await world.token(world.shop);
  const killed = startCommand(args(), cluster.environment);
  const end = ended(killed);
  await eventually(hasBoth);
  killed.kill('SIGKILL');
  await end;
  const both = cluster.secret();
  cluster.state.failures = 2;
  await world.token(current());
  const { code, stderr } = await runCommand(args('--until', 'first-use'), cluster.environment);
  expect([code, stderr]).toEqual([0, expect.stringContaining('waiting: The API server answered with status 503.')]);
  expect(await world.regenerations()).toHaveLength(1);
  const { rotation: _rotation, ...kept } = both;
  expect(cluster.secret()).toEqual(kept);
});

test('does not overwrite a credential that somebody else has written in the meantime', async () => {
  let isFirst = true;
  cluster.state.beforePatch = () => {
    // The first patch stores the rotation before its request.
    if (isFirst)
      cluster.change(() => {
        cluster.state.data['client_secret'] = cluster.encode('kts_other');
      });
    isFirst = false;
  };
  const { code, stderr } = await runCommand(args(), cluster.environment);
  expect([code, stderr]).toEqual([1, expect.stringContaining('Somebody else has changed the credential')]);
  expect(cluster.secret()['client_secret']).toBe('kts_other');
  expect(await world.regenerations()).toEqual([]);
});

test('refuses another Secret, a server with another certificate, and a place outside of a cluster', async () => {
  const other = args().with(4, 'other-client');
  expect(await runCommand(other, cluster.environment)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('secrets "other-client" is forbidden'),
  });
  writeFileSync(join(cluster.serviceAccount, 'ca.crt'), makeCertificate({ isCa: true }).cert);
  expect(await runCommand(args('--wait', '0s'), cluster.environment)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('The API server cannot be reached'),
  });
  expect(await runCommand(args())).toMatchObject({ code: 2, stderr: expect.stringContaining('works in a Pod') });
  expect(cluster.secret()['client_secret']).toBe(world.shop.secret);
});
