import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { childEnvironment } from '../child-environment.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { makeAssertion, registerKeyClient } from '../oauth/assertion.ts';
import { post } from '../oauth/http-client.ts';
import { program } from '../program.ts';
import { createWorld, hour, type World } from '../regeneration/world.ts';
import { ended, runCommand, startCommand } from './run-command.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

let world: World;
let directory: string;
let file: string;

beforeEach(async () => {
  world = await createWorld();
  await world.adminFetch(`/clients/${world.shop.id}`, { method: 'PATCH', body: { self_rotation: true } });
  directory = mkdtempSync(join(tmpdir(), 'keyturn-agent-'));
  file = join(directory, 'client.json');
  const { id: client_id, secret: client_secret } = world.shop;
  writeFileSync(file, JSON.stringify({ client_id, client_secret, note: 'kept' }), { mode: 0o644 });
});
afterEach(async () => {
  await world.close();
  rmSync(directory, { recursive: true });
});

type Credentials = { client_id: string; client_secret: string; previous_client_secret?: string; note?: string };

const read = (): Credentials => JSON.parse(readFileSync(file, 'utf8'));
const args = (...more: string[]) => ['agent', '--issuer', world.publicUrl, '--file', file, '--every', '1s', ...more];
const hasBoth = () => read().previous_client_secret !== undefined;
const current = () => ({ id: read().client_id, secret: read().client_secret });

async function undo(): Promise<void> {
  const [{ id }] = await world.regenerations();
  expect((await world.post(`/regenerations/${id}/undo`)).status).toBe(200);
}

test('the example rotates the secret of a running program, which never fails, until everything has moved', async () => {
  const child = spawn('bash', [join(root, 'examples/agent/run.sh'), '--every', '1s'], {
    env: {
      ...childEnvironment(),
      DIRECTORY: directory,
      ISSUER: world.publicUrl,
      CLIENT_ID: world.shop.id,
      CLIENT_SECRET: world.shop.secret,
      SECONDS_BETWEEN_TOKENS: '1',
      NODE: process.execPath,
      KEYTURN: `${process.execPath} ${program}`,
    },
  });
  child.stdin.end();
  const end = ended(child);
  await eventually(() => existsSync(file) && hasBoth());
  expect(read()).toEqual({
    client_id: world.shop.id,
    client_secret: expect.stringMatching(/^kts_/),
    previous_client_secret: world.shop.secret,
  });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  await eventually(async () => {
    world.pass(2 * hour);
    return (await world.progress()).state === 'finished';
  });
  const { code, stdout } = await end;
  expect(code).toBe(0);
  expect(stdout).toContain('The new credential is in use, and the previous one has ended.');
  expect(stdout).toContain('read the credentials again');
  expect(stdout.match(/answered with (\d+)/g)?.every((line) => line.endsWith('200'))).toBe(true);
  expect(Object.keys(read())).toEqual(['client_id', 'client_secret']);
  expect([await world.works(current()), await world.works(world.shop)]).toEqual([true, false]);
  expect(existsSync(`${file}.rotation`)).toBe(false);
});

test('an agent that was killed continues the same rotation, and ends at the first use of the new secret', async () => {
  await world.token(world.shop);
  const killed = startCommand(args(), {});
  const end = ended(killed);
  await eventually(hasBoth);
  killed.kill('SIGKILL');
  await end;
  const both = read();
  expect(both.note).toBe('kept');
  const { code, stderr } = await runCommand(args('--until', 'first-use', '--wait', '0s'));
  expect([code, stderr]).toEqual([1, expect.stringContaining('The new credential was not used yet.')]);
  expect(read()).toEqual(both);
  await world.token(current());
  const proven = await runCommand(args('--until', 'first-use', '--json'));
  expect([proven.code, JSON.parse(proven.stdout)]).toEqual([
    0,
    expect.objectContaining({ state: 'overlapping', first_used_at: expect.any(String) }),
  ]);
  expect(proven.stdout).not.toContain('kts_');
  expect(await world.regenerations()).toHaveLength(1);
  expect(existsSync(`${file}.rotation`)).toBe(false);
});

test('a lost answer is repeated with the stored key after a crash before the file was written', async () => {
  writeFileSync(`${file}.rotation`, JSON.stringify({ idempotency_key: 'f0a1'.repeat(8), overlap_seconds: 7_200 }));
  const rotate = () =>
    fetch(`${world.publicUrl}/oauth2/credentials/rotate`, {
      method: 'POST',
      headers: {
        Authorization: `Basic ${Buffer.from(`${world.shop.id}:${world.shop.secret}`).toString('base64')}`,
        'Idempotency-Key': 'f0a1'.repeat(8),
      },
      body: new URLSearchParams({ overlap_seconds: '7200', finish_when_unused: 'true' }),
    });
  expect((await rotate()).status).toBe(200);
  await runCommand(args('--wait', '0s'));
  expect(read().previous_client_secret).toBe(world.shop.secret);
  expect(await world.works(current())).toBe(true);
});

test('an undone rotation puts the previous secret back, and a rejected one leaves the file as it is', async () => {
  const before = read();
  const notified = join(directory, 'notified');
  const running = startCommand(args('--run', `echo notified >> '${notified}'`), {});
  const end = ended(running);
  await eventually(hasBoth);
  await undo();
  const { code, stderr } = await end;
  expect([code, stderr]).toEqual([1, expect.stringContaining('An operator has undone the rotation.')]);
  expect(read()).toEqual(before);
  expect(readFileSync(notified, 'utf8')).toBe('notified\nnotified\n');
  expect(await world.works(current())).toBe(true);

  await world.adminFetch(`/clients/${world.shop.id}`, { method: 'PATCH', body: { self_rotation: false } });
  const rejected = await runCommand(args());
  expect([rejected.code, rejected.stderr]).toEqual([1, expect.stringContaining('may not rotate its own credential')]);
  expect(read()).toEqual(before);
  writeFileSync(file, '{"client_id":"x"}');
  expect(await runCommand(args())).toMatchObject({ code: 2, stderr: expect.stringContaining('client_secret') });
});

test('generates the next key of a client without a secret, waits for its use, and drops the old one', async () => {
  const port = await freePort();
  const issuer = `http://localhost:${port}`;
  const own = await createWorld({ env: { KEYTURN_PORT: String(port), KEYTURN_ISSUER: issuer } });
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const first: JWK = await exportJWK(privateKey);
  const { d: _private, ...publicJwk } = first;
  const client = await registerKeyClient(own.core, { jwks: { keys: [publicJwk] } }, { selfRotation: true });
  writeFileSync(file, JSON.stringify({ client_id: client, private_key: first }));
  const read = (): Record<string, JWK> => JSON.parse(readFileSync(file, 'utf8'));
  const uses = async (key: JWK) => {
    const now = Math.floor(own.now() / 1_000);
    const claims = { iat: now, exp: now + 60 };
    const pair = { alg: 'ES256', privateKey: (await importJWK(key, 'ES256')) as CryptoKey };
    const answer = await post(`${own.publicUrl}/oauth2/token`, {
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await makeAssertion(pair, client, issuer, { claims }),
    });
    return answer.status === 200;
  };
  expect(await uses(first)).toBe(true);
  const agent = ['agent', '--issuer', issuer, '--file', file, '--every', '1s', '--until', 'first-use', '--json'];
  const end = ended(startCommand(agent, {}));
  await eventually(() => read()['previous_private_key'] !== undefined);
  const next = read()['private_key'] as JWK;
  expect(read()['previous_private_key']).toEqual(first);
  expect([next.kid, next.d, next.alg]).toEqual([expect.any(String), expect.any(String), 'ES256']);
  expect([await uses(first), await uses(next)]).toEqual([true, true]);
  const { code, stdout } = await end;
  expect([code, JSON.parse(stdout).first_used_at]).toEqual([0, expect.any(String)]);
  const shown = await own.adminFetch(`/clients/${client}`);
  expect([shown.text.includes(next.d ?? ''), shown.text.includes(next.kid ?? '')]).toEqual([false, true]);

  await eventually(async () => {
    own.pass(2 * hour);
    await uses(next);
    return (await own.progress(client)).state === 'finished';
  });
  expect([await uses(first), await uses(next)]).toEqual([false, true]);
  await own.close();
});
