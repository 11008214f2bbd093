import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createEmbedded, type Environment, ended, printed, runCommand, runJson, startCommand } from './run-command.ts';

type Step = { title: string; curl: string; status: number; body: Record<string, unknown> };
type Walk = {
  operator: { id: string; operator_token: string };
  resource_server: { client_id: string; client_secret: string };
  integration: { client_id: string; client_secret: string };
  first_token_ms: number;
  requests_during_rotation: number;
  steps: Step[];
};

let environment: Environment;
let dataDir: string;
let remove: () => Promise<void>;
let first: Walk;

beforeAll(async () => {
  ({ environment, dataDir, remove } = await createEmbedded());
  first = await runJson<Walk>(['quickstart', '--once'], environment);
});

afterAll(() => remove());

test('the first quickstart registers clients, gets a token, introspects it and rotates the secret', () => {
  expect(first.steps.map(({ status }) => status)).toEqual([200, 201, 201, 200, 200, 200, 201, 200, 200, 200]);
  expect(first.steps[1]?.body).toMatchObject({ information: ['orders', 'products', 'contacts'] });
  expect(first.steps[4]?.body).toMatchObject({ active: true, client_id: first.integration.client_id });
});

test('the integration requests tokens during the rotation, and both secrets work', () => {
  expect(first.requests_during_rotation).toBeGreaterThan(25);
  const [rotation] = (first.steps[9]?.body['data'] ?? []) as { state: string; using_new: object[] }[];
  expect(rotation).toMatchObject({ state: 'overlapping' });
  expect(rotation?.using_new).toContainEqual(expect.objectContaining({ user_agent: 'example-integration/1.0' }));
});

test('the second quickstart registers nothing and gets a token with the credentials of the first one', async () => {
  const second = await runJson<Walk>(['quickstart', '--once'], environment);
  expect(second.resource_server).toEqual(first.resource_server);
  expect(second.steps[2]?.body).toMatchObject(first.integration);
  expect(second.steps).toHaveLength(first.steps.length);
  expect(second.integration.client_secret).not.toBe(first.integration.client_secret);
  expect(second.operator.id).toBe(first.operator.id);
  expect(second.operator.operator_token).not.toBe(first.operator.operator_token);
  expect(second.first_token_ms).toBeGreaterThan(0);
  const { data } = await runJson<{ data: unknown[] }>(['clients', 'list'], environment);
  expect(data).toHaveLength(2);
});

describe('a running quickstart', () => {
  test('prints curl commands that work, locks its database, and exits with 0 on SIGTERM', async () => {
    const child = startCommand(['quickstart'], environment);
    const end = ended(child);
    const output = await printed(child, 'Ctrl-C to stop');
    expect(output.indexOf('Starts a server')).toBeLessThan(output.indexOf('Public listener'));
    const answers = output.split('\n').filter((line) => /^20[01] /.test(line));
    expect(answers).toHaveLength(10);
    expect(answers.filter((answer) => answer.length > 400)).toEqual([]);
    const lines = output.split('\n').filter((line) => line.startsWith('curl '));
    expect(lines).toHaveLength(10);
    for (const line of lines) {
      const shown = JSON.parse((await promisify(execFile)('bash', ['-c', `${line} --fail`])).stdout);
      expect(Object.keys(shown)).not.toContain('error');
    }
    const links = [output.match(/^http:.*\?code=.*$/m)?.[0]];
    child.stdin?.write('\n');
    links.push((await printed(child, 'Console: ')).match(/Console: (.*)/)?.[1]);
    expect(new Set(links).size).toBe(2);
    for (const link of links) expect((await fetch(String(link), { redirect: 'manual' })).status).toBe(200);
    const introspection = await promisify(execFile)('bash', ['-c', lines[4] ?? '']);
    expect(JSON.parse(introspection.stdout)).toMatchObject({ active: true, scope: 'orders:read products:read' });

    const [other, doctor] = await Promise.all([
      runCommand(['clients', 'list'], environment),
      runCommand(['doctor'], environment),
    ]);
    expect({ code: other.code, stdout: other.stdout }).toEqual({ code: 1, stdout: '' });
    expect(other.stderr).toContain(`open in process ${child.pid}`);
    expect(doctor.code).toBe(0);
    expect(doctor.stdout).toMatch(/^warn {2}database/m);

    child.kill('SIGTERM');
    expect((await end).code).toBe(0);
  });

  test('leaves no lock behind when it is killed', async () => {
    const child = startCommand(['quickstart'], environment);
    await printed(child, 'Ctrl-C to stop');
    expect(readFileSync(join(dataDir, 'postgres.pid'), 'utf8')).toBe(`${child.pid}\n`);
    child.kill('SIGKILL');
    await ended(child);
    const { data } = await runJson<{ data: { client_id: string }[] }>(['clients', 'list'], environment);
    expect(data.map((client) => client.client_id).sort()).toEqual(
      [first.integration.client_id, first.resource_server.client_id].sort(),
    );
  });
});

test('quickstart --once prints no link, because its server has stopped', async () => {
  const { code, stdout } = await runCommand(['quickstart', '--once'], environment);
  expect(code).toBe(0);
  expect(stdout).toContain('The server stops now.');
  expect(stdout).not.toContain('/console/sign-in');
});

test('quickstart exits with 1, names a port in use and says what to do', async () => {
  const port = Number(environment['KEYTURN_PORT']);
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(port, '0.0.0.0', resolve));
  const { code, stderr } = await runCommand(['quickstart', '--once'], environment);
  await new Promise((resolve) => taken.close(resolve));
  expect(code).toBe(1);
  expect(stderr).toContain(`Port ${port}`);
  expect(stderr).toContain('KEYTURN_PORT=');
});
