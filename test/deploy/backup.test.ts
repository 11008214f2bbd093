import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { runCommand, runJson } from '../cli/run-command.ts';
import type { Stores } from '../harness.ts';
import { endpointsOf, inactive, type TestClient } from '../oauth/fixture.ts';
import { describeWith } from '../programs.ts';
import { createEmptyTestDatabase } from '../services.ts';

const script = (name: string) => fileURLToPath(new URL(`../../deploy/backup/${name}`, import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'keyturn-backup-'));
const file = join(directory, 'keyturn.dump');

afterAll(() => rmSync(directory, { recursive: true }));

function run(name: string, databaseUrl: string, target = file): { status: number | null; stderr: string } {
  return spawnSync(script(name), [target], {
    env: { PATH: process.env['PATH'], DATABASE_URL: databaseUrl },
    encoding: 'utf8',
  });
}

describeWith('PostgreSQL client')('both stores are lost, and the database comes back from a backup', () => {
  let before: AdminServer;
  let after: AdminServer;
  let stores: Stores;
  let shop: TestClient;
  let orders: TestClient;
  let stopped: TestClient;
  let ended: TestClient;
  const tokens: Record<string, string> = {};

  beforeAll(async () => {
    before = await startAdminServer();
    ({ stores } = before);
    const api = { name: 'API', kind: 'resource_server', resource: 'https://api.example', information: ['orders'] };
    orders = await register(api);
    [shop, stopped, ended] = [await register(), await register(), await register()] as [
      TestClient,
      TestClient,
      TestClient,
    ];
    await before.adminFetch(`/clients/${stopped.id}/disable`, { method: 'POST' });
    await turn(ended);

    const { accessToken, revoke: revokeToken } = endpointsOf(before.publicUrl);
    // Revoking removes the record from Redis. It is put back later, as after a restart of Redis from an older file.
    const redis = new Redis(stores.redisUrl);
    const records = new Map<string, Buffer>();
    const revoke = async (client: TestClient, token: string) => {
      for (const key of await redis.keys(`${stores.redisPrefix}*`)) records.set(key, await redis.dumpBuffer(key));
      await revokeToken(client, token);
    };
    tokens['kept'] = await accessToken(shop);
    tokens['revoked before the backup'] = await accessToken(shop);
    await revoke(shop, tokens['revoked before the backup']);
    expect(run('backup.sh', stores.databaseUrl)).toMatchObject({ status: 0 });

    tokens['revoked after the backup'] = await accessToken(shop);
    await revoke(shop, tokens['revoked after the backup']);
    await before.adminFetch(`/clients/${shop.id}/tokens/revoke`, { method: 'POST' });
    tokens['issued after all were revoked, and revoked'] = await accessToken(shop);
    await revoke(shop, tokens['issued after all were revoked, and revoked']);
    await before.close();

    for (const [key, record] of records) await redis.restore(key, 3_600_000, record, 'REPLACE');
    redis.disconnect();
    // A process takes the restored database for another server.
    const databaseUrl = await createEmptyTestDatabase();
    expect(run('restore.sh', databaseUrl)).toMatchObject({ status: 0 });
    const environment = { DATABASE_URL: databaseUrl, KEYTURN_ROOT_KEY: stores.rootKey };
    expect(await runCommand(['migrate'], environment)).toMatchObject({ code: 0 });
    const asked = await runCommand(['after-restore'], environment);
    expect([asked.code, asked.stderr]).toEqual([2, expect.stringContaining('--yes')]);
    const told = await runJson(['after-restore', '--yes'], environment);
    expect(told).toMatchObject({ clients: 4, last_event: { at: expect.any(String) } });
    after = await startAdminServer({ stores: { ...stores, databaseUrl } });
  });

  afterAll(() => after?.close());

  async function register(
    body: object = { name: 'Integration', kind: 'integration', scope: 'orders:read' },
  ): Promise<TestClient> {
    const { json } = await before.adminFetch('/clients', { method: 'POST', body });
    return { id: json.client_id, secret: json.client_secret };
  }

  /** A client whose secret is regenerated without a grace period. */
  async function turn(client: TestClient): Promise<void> {
    const review = await before.adminFetch(`/clients/${client.id}/regeneration/review`, { method: 'POST' });
    const body = { confirmation: review.json.confirmation, overlap_seconds: 0 };
    const { status } = await before.adminFetch(`/clients/${client.id}/regenerate`, { method: 'POST', body });
    if (status !== 201) throw new Error(`not regenerated: ${status}`);
  }

  it('credentials work, and so do tokens that they obtain', async () => {
    const { accessToken, introspect } = endpointsOf(after.publicUrl);
    const token = await accessToken(shop);
    expect((await introspect(orders, token)).json).toMatchObject({ active: true, client_id: shop.id });
    const shown = await after.adminFetch(`/clients/${shop.id}/secret/reveal`, { method: 'POST' });
    expect(shown.json.client_secret).toBe(shop.secret);
  });

  it.each([
    'kept',
    'revoked before the backup',
    'revoked after the backup',
    'issued after all were revoked, and revoked',
  ])('a token of before is not taken: %s', async (name) => {
    expect((await endpointsOf(after.publicUrl).introspect(orders, tokens[name] ?? '')).text).toBe(inactive);
  });

  it('what had ended stays ended', async () => {
    const { token } = endpointsOf(after.publicUrl);
    expect((await token(stopped)).status).toBe(401);
    expect((await token(ended)).status).toBe(401);
  });

  it('the audit log verifies, and records the restore', async () => {
    const environment = { DATABASE_URL: after.stores.databaseUrl, KEYTURN_ROOT_KEY: stores.rootKey };
    expect(await runCommand(['audit', 'verify'], environment)).toMatchObject({ code: 0 });
    const { json } = await after.adminFetch('/audit-events?action=deployment.after_restore');
    expect(json.data).toHaveLength(1);
  });

  it('a database that is not empty is rejected and not changed', async () => {
    const { status, stderr } = run('restore.sh', after.stores.databaseUrl);
    expect([status, stderr]).toEqual([1, expect.stringContaining('not empty')]);
  });

  it('the file is readable by its owner only, and a failed backup leaves no file', () => {
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const nowhere = join(directory, 'nowhere.dump');
    expect(run('backup.sh', 'postgres://127.0.0.1:1/none', nowhere).status).not.toBe(0);
    expect(() => statSync(nowhere)).toThrow('ENOENT');
    expect(() => statSync(`${nowhere}.part`)).toThrow('ENOENT');
  });
});
