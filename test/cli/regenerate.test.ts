import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { askPostgres, createTestDatabase } from '../services.ts';
import { type Environment, runCommand, runJson } from './run-command.ts';

type Regenerated = {
  regeneration_id: string;
  client_id: string;
  client_secret: string;
  previous: { retires_at: string };
};

let environment: Environment;
let clientId: string;

beforeAll(async () => {
  environment = {
    DATABASE_URL: await createTestDatabase(),
    KEYTURN_ROOT_KEY: generateRootKey(),
    // No server listens at this address. Only commands that issue tokens may need it.
    REDIS_URL: 'redis://127.0.0.1:1',
  };
  const client = await runJson<{ client_id: string }>(['clients', 'create', '--name', 'Sync'], environment);
  clientId = client.client_id;
});

const run = (...args: string[]) => runCommand(args, environment);
const json = <T>(...args: string[]) => runJson<T>(args, environment);

test('clients regenerate first shows what it would break, and requires --yes without a terminal', async () => {
  const asked = await run('clients', 'regenerate', clientId);
  expect(asked).toMatchObject({ code: 2, stdout: '' });
  expect(asked.stderr).toContain('Not used in the last 30 days.');
  expect(asked.stderr).toContain('--yes');
});

test('clients regenerate prints only the new secret on standard output, and regenerations, undo and finish work afterwards', async () => {
  const regenerated = await run('clients', 'regenerate', clientId, '--overlap', '7d', '--yes');
  expect(regenerated.code).toBe(0);
  expect(regenerated.stdout).toMatch(/^kts_\w{49}\n$/);
  const list = await run('clients', 'regenerations', clientId);
  expect(list.stdout).toContain('overlapping');
  const days = (Date.parse(/until (\S+)/.exec(list.stdout)?.[1] ?? '') - Date.now()) / 86_400_000;
  expect(days).toBeGreaterThan(6.9);
  expect(days).toBeLessThan(7.1);
  expect(await json('clients', 'undo', clientId, '--yes')).toMatchObject({ state: 'undone' });
  expect(await run('clients', 'undo', clientId, '--yes')).toMatchObject({ code: 1, stdout: '' });

  const second = await json<Regenerated>('clients', 'regenerate', clientId, '--new-client-id', '--yes');
  expect(second.client_id).not.toBe(clientId);
  const args = ['clients', 'finish', second.client_id, second.regeneration_id, '--yes'];
  expect(await json(...args)).toMatchObject({ state: 'finished' });
  expect(await run(...args)).toMatchObject({ code: 1, stderr: expect.stringContaining('grace period has ended') });
});

test('clients usage shows each live secret', async () => {
  const usage = await json<{ secrets: unknown[] }>('clients', 'usage', clientId, '--hours', '48');
  expect(usage.secrets).toMatchObject([{ status: 'current', issued: 0 }]);
  expect((await run('clients', 'usage', clientId)).stdout).toContain('current');
  expect(await run('clients', 'usage', clientId, '--hours', '721')).toMatchObject({ code: 2 });
});

test('audit verify passes for an unmodified log and fails for a modified one', async () => {
  const whole = await json<{ events: number; checkpoint: string; finding: null }>('audit', 'verify');
  expect(whole).toMatchObject({ events: 5, finding: null });
  expect((await run('audit', 'checkpoint')).stdout.trim()).toBe(whole.checkpoint);
  expect(await run('audit', 'verify', '--recent')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('from event 6'),
  });
  expect(await run('audit', 'verify', '--checkpoint', whole.checkpoint)).toMatchObject({ code: 0 });
  expect(await run('audit', 'verify', '--checkpoint', `9${whole.checkpoint}`)).toMatchObject({ code: 1 });
  expect(await run('audit', 'verify', '--checkpoint', `5:${'0'.repeat(64)}`)).toMatchObject({ code: 1 });
  expect(await run('audit', 'verify', '--checkpoint', 'five')).toMatchObject({ code: 1 });
  await askPostgres(
    environment['DATABASE_URL'] ?? '',
    `SET session_replication_role = replica; UPDATE audit_events SET target = 'x' WHERE seq = 2`,
  );
  const tampered = await run('audit', 'verify');
  expect(tampered).toMatchObject({ code: 1, stderr: expect.stringContaining('event 2, changed') });
});

test('clients regenerations says why a source has not moved, and mark-moved marks it', async () => {
  const { client_id: id } = await json<{ client_id: string }>('clients', 'create', '--name', 'Marked');
  await askPostgres(
    environment['DATABASE_URL'] ?? '',
    `INSERT INTO usage_sources (owner, generation, address, user_agent, first_used_at, last_used_at, refused, expires_at)
     SELECT s.client, s.generation, '192.0.2.7', '', now(), now(), 0, now() + interval '1 day'
     FROM secrets s JOIN client_ids i ON i.client = s.client WHERE i.client_id = '${id}'`,
  );
  await run('clients', 'regenerate', id, '--yes');
  expect((await run('clients', 'regenerations', id)).stdout).toMatch(
    /Still uses the previous value:\n +192\.0\.2\.7 .*\n +never seen with the new value/,
  );
  const mark = ['clients', 'mark-moved', id, '--address', '192.0.2.7'];
  expect(await run(...mark)).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
  const marked = await run(...mark, '--yes');
  expect(marked.stdout).toMatch(/Uses the new value:\n +192\.0\.2\.7 .*\n +marked as moved by an operator\n/);
  const withdrawn = await run('clients', 'unmark-moved', id, '--address', '192.0.2.7', '--yes');
  expect(withdrawn.stdout).toMatch(
    /Still uses the previous value:\n +192\.0\.2\.7 .*\n +never seen with the new value/,
  );
  expect(await run(...mark, '--instance', 'pod-1', '--yes')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Source of the previous credential not found.'),
  });
});

test('clients update ends no key in use, but shows who uses it and how to rotate it; clients show lists the keys', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyturn-keys-'));
  const file = (kid: string) => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(join(directory, kid), JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid }] }));
    return join(directory, kid);
  };
  const create = ['clients', 'create', '--name', 'Signs', '--auth-method', 'private_key_jwt', '--jwks', file('first')];
  const { client_id: id } = await json<{ client_id: string }>(...create);
  await askPostgres(
    environment['DATABASE_URL'] ?? '',
    `INSERT INTO usage_sources (owner, generation, address, user_agent, first_used_at, last_used_at, refused, expires_at)
     SELECT client, 0, '192.0.2.7', 'sync/1.0', now(), now(), 0, now() + interval '1 day' FROM client_ids WHERE client_id = '${id}'`,
  );
  const refused = await run('clients', 'update', id, '--jwks', file('second'));
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('192.0.2.7  sync/1.0');
  expect(refused.stderr).toContain('key first stops working after the grace period');
  expect(refused.stderr).toContain(`keyturn clients regenerate ${id}`);
  const shown = await run('clients', 'show', id);
  expect(shown.stdout).toMatch(/^keys +key first current, never used$/m);
  rmSync(directory, { recursive: true });
});

test('clients regenerate replaces a secret by keys, and keys by a secret', async () => {
  const { client_id: id } = await json<{ client_id: string }>('clients', 'create', '--name', 'Keyed');
  const directory = mkdtempSync(join(tmpdir(), 'keyturn-keys-'));
  const file = join(directory, 'jwks.json');
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(file, JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'first' }] }));
  const replaced = await run('clients', 'regenerate', id, '--jwks', file, '--yes');
  expect(replaced).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('The previous credential is valid until'),
  });
  expect((await run('clients', 'regenerations', id)).stdout).toContain('key first');
  const back = await run('clients', 'regenerate', id, '--auth-method', 'client_secret_basic', '--yes');
  expect(back.stdout).toMatch(/^kts_\w{49}\n$/);
  expect(back.stderr).toContain('key first stops working after the grace period');
  rmSync(directory, { recursive: true });
});

test('clients regenerate gives a source that pauses for a week a grace period of two weeks', async () => {
  const { client_id: id } = await json<{ client_id: string }>('clients', 'create', '--name', 'Weekly');
  await askPostgres(
    environment['DATABASE_URL'] as string,
    `INSERT INTO usage_sources (owner, generation, address, user_agent, first_used_at, last_used_at, refused, longest_gap_seconds, expires_at)
     SELECT id, 1, '192.0.2.7', 'weekly', now() - interval '22 days', now() - interval '1 day', 0, 604800, now() + interval '30 days'
     FROM clients WHERE client_id = '${id}'`,
  );
  const asked = await run('clients', 'regenerate', id);
  expect(asked.stderr).toContain('Grace period: 14 days. A source pauses for up to 7 days between two uses');
  const { previous } = await json<Regenerated>('clients', 'regenerate', id, '--yes');
  expect(Math.round((Date.parse(previous.retires_at) - Date.now()) / 86_400_000)).toBe(14);
});
