import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { childEnvironment } from '../child-environment.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { program } from '../program.ts';
import { type Environment, runCommand, runJson } from './run-command.ts';

let server: TestServer;
let environment: Environment;
let clientId: string;
let contact: string;
let accessKey: string;

beforeAll(async () => {
  server = await startTestServer();
  const { databaseUrl, rootKey, redisUrl } = server.stores;
  environment = { DATABASE_URL: databaseUrl, KEYTURN_ROOT_KEY: rootKey, REDIS_URL: redisUrl };
  const create = (...args: string[]) => runJson<Record<string, string>>(args, environment);
  clientId = (await create('clients', 'create', '--name', 'Order sync'))['client_id'] ?? '';
  contact = (await create('contacts', 'create', '--name', 'Ann', '--email', 'ann@example.com'))['id'] ?? '';
  accessKey = (await create('access-keys', 'create', '--contact', contact, '--name', 'Key'))['id'] ?? '';
});
afterAll(() => server.close());

/** Runs a command whose standard output is on a full disk, or is a pipe whose reader has closed it. */
async function runWithout(output: 'space' | 'reader', args: readonly string[], input = '') {
  const full = output === 'space' ? openSync('/dev/full', 'w') : undefined;
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...childEnvironment(), ...environment },
    stdio: ['pipe', full ?? 'pipe', 'pipe'],
  });
  child.stdout?.destroy();
  if (full !== undefined) closeSync(full);
  child.stdin?.end(input);
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  return { code, stderr };
}

/** Counts everything that a new secret adds to the database. */
async function secretsMade(): Promise<unknown> {
  const [row] = await server.core.database.query(
    `SELECT (SELECT count(*) FROM secrets) AS secrets, (SELECT count(*) FROM clients) AS clients,
       (SELECT count(*) FROM operator_tokens) AS operator_tokens, (SELECT count(*) FROM authorization_tokens) AS tokens,
       (SELECT count(*) FROM console_links) AS links, (SELECT count(*) FROM audit_events) AS events`,
  );
  return row;
}

describe.each(['space', 'reader'] as const)('with no %s for standard output', (output) => {
  const code = output === 'space' ? 'ENOSPC' : 'EPIPE';
  test.each<[string, () => string[]]>([
    ['clients create', () => ['--name', 'Unseen']],
    ['clients regenerate', () => [clientId, '--yes']],
    ['clients authorization-token', () => [clientId]],
    ['contacts operator-token', () => [contact]],
    ['access-keys create', () => ['--contact', contact, '--name', 'Unseen']],
    ['access-keys regenerate', () => [accessKey, '--yes']],
    ['console link', () => ['--contact', contact]],
    ['clients import', () => ['-', '--fresh-secrets']],
  ])('keyturn %s exits with 1 and creates no secret that was not printed', async (command, options) => {
    const before = await secretsMade();
    const input = command === 'clients import' ? 'client_id\nunseen-1\n' : '';
    const ended = await runWithout(output, [...command.split(' '), ...options()], input);
    expect(ended).toEqual({ code: 1, stderr: expect.stringContaining(`Standard output cannot be written: ${code}.`) });
    expect(ended.stderr).not.toMatch(/\n\s+at |kt[skoa]_/);
    expect(await secretsMade()).toEqual(before);
  });
});

test('a result that cannot be written to a full disk exits with 1 without a stack trace, and a closed pipe is no failure', async () => {
  for (const args of [['clients', 'list'], ['clients', 'list', '--json'], ['--help'], ['completion', 'bash']]) {
    const full = await runWithout('space', args);
    expect({ args, ...full }).toEqual({ args, code: 1, stderr: expect.stringContaining('ENOSPC') });
    expect(full.stderr).not.toMatch(/\n\s+at /);
  }
  expect(await runWithout('reader', ['clients', 'list'])).toEqual({ code: 0, stderr: '' });
});

test('an import prints the secrets of each batch before it commits the batch', async () => {
  const ids = Array.from({ length: 3 }, () => `fresh-${randomBytes(4).toString('hex')}`);
  const { stdout } = await runCommand(
    ['clients', 'import', '-', '--fresh-secrets'],
    environment,
    `client_id\n${ids.join('\n')}\n`,
  );
  expect(stdout.trim().split('\n')).toEqual([
    'client_id,client_secret',
    ...ids.map((id) => expect.stringMatching(`^${id},kts_`)),
  ]);
});
