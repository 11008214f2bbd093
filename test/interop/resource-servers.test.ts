import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { eventuallyIs } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, register, registerBothFormats, type TestClient } from '../oauth/fixture.ts';
import { send } from '../oauth/http-client.ts';

const page = 'docs/resource-servers.md';
const resources = { opaque: 'https://opaque.example/v1', jwt: 'https://jwt.example' };

let directory: string;
let server: TestServer;
let api: ReturnType<typeof endpointsOf>;
let shop: TestClient;
let servers: Record<keyof typeof resources, TestClient>;
const started: ChildProcess[] = [];

beforeAll(async () => {
  const port = await freePort();
  const issuer = `http://localhost:${port}`;
  server = await startTestServer({ env: { KEYTURN_PORT: String(port), KEYTURN_ISSUER: issuer } });
  api = endpointsOf(server.publicUrl);
  servers = await registerBothFormats(server.core, resources);
  shop = await register(server.core, { name: 'Shop', kind: 'integration', scope: 'orders:read orders:create' });

  // Install only the packed library and jose, as a user of the package would.
  directory = mkdtempSync(join(tmpdir(), 'keyturn-api-'));
  const packed = execFileSync(process.execPath, ['deploy/pack-library.ts', directory], { encoding: 'utf8' }).trim();
  mkdirSync(join(directory, 'node_modules/keyturn'), { recursive: true });
  execFileSync('tar', ['xzf', packed, '--strip-components=1', '-C', join(directory, 'node_modules/keyturn')]);
  cpSync('node_modules/jose', join(directory, 'node_modules/jose'), { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  cpSync('docs/examples', directory, { recursive: true });
});

afterAll(async () => {
  for (const child of started) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exit = once(child, 'exit');
    child.kill();
    await exit;
  }
  await server?.close();
  if (directory) rmSync(directory, { recursive: true });
});

/** Runs an example in its own process. Returns the URL of its orders. */
async function run(example: string, format: keyof typeof resources, node = process.execPath): Promise<string> {
  const port = await freePort();
  const child = spawn(node, [join(directory, example)], {
    env: {
      PORT: String(port),
      ISSUER: `http://localhost:${new URL(server.publicUrl).port}`,
      RESOURCE: resources[format],
      API_ID: servers[format].id,
      API_SECRET: servers[format].secret,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  started.push(child);
  let told = '';
  child.stderr.on('data', (data: Buffer) => {
    told += data;
  });
  const url = `http://localhost:${port}/orders`;
  await eventuallyIs(
    () => {
      if (child.exitCode !== null) throw new Error(told);
      return fetch(url).then(
        () => true,
        () => false,
      );
    },
    (answers) => answers,
  );
  return url;
}

/** Checks what every resource server with the library must accept and reject. */
async function expectProtection(url: string, format: keyof typeof resources): Promise<void> {
  const get = (token?: string) =>
    send(url, { headers: token === undefined ? {} : { Authorization: `Bearer ${token}` } });
  const resource = resources[format];
  const without = await get();
  expect(without.status).toBe(401);
  const [, metadata = ''] = /resource_metadata="([^"]+)"/.exec(without.headers['www-authenticate'] ?? '') ?? [];
  expect((await send(new URL(new URL(metadata).pathname, url).href)).json).toMatchObject({
    resource,
    authorization_servers: [expect.stringMatching(/^http:\/\/localhost:/)],
  });
  const token = await api.accessToken(shop, { scope: 'orders:read', resource });
  expect(await get(token)).toMatchObject({ status: 200, json: { caller: shop.id } });
  const narrow = await api.accessToken(shop, { scope: 'orders:create', resource });
  expect(await get(narrow)).toMatchObject({
    status: 403,
    json: { error: 'insufficient_scope' },
    headers: { 'www-authenticate': expect.stringContaining('scope="orders:read"') },
  });
  expect((await get('kta_x')).status).toBe(401);
  await api.revoke(shop, token);
  await eventuallyIs(
    () => get(token),
    ({ status }) => status === 401,
  );
}

describe('the documented examples', () => {
  test('are shown as they are tested', () => {
    const shown = [...readFileSync(page, 'utf8').matchAll(/<!-- file: examples\/(\S+) -->\n```js\n([\s\S]*?)```/g)];
    expect(shown.map(([, name]) => name).sort()).toEqual(readdirSync('docs/examples').sort());
    for (const [, name, text] of shown) expect(text).toBe(readFileSync(`docs/examples/${name}`, 'utf8'));
  });

  test('depend only on jose, unless they use a framework', async () => {
    expect(readdirSync(join(directory, 'node_modules')).sort()).toEqual(['jose', 'keyturn']);
    await expectProtection(await run('fetch.js', 'opaque'), 'opaque');
  });

  test.each(['express', 'fastify', 'koa'])('protect an API made with %s', async (framework) => {
    const link = join(directory, 'node_modules', framework);
    if (!existsSync(link)) symlinkSync(join(process.cwd(), 'node_modules', framework), link);
    await expectProtection(await run(`${framework}.js`, 'opaque'), 'opaque');
  });
});

describe('the resource-server library on each installed version of Node.js', () => {
  test.each(findNodes())('%s protects an API by introspection and by JWT', async (_version, node) => {
    for (const format of ['opaque', 'jwt'] as const)
      await expectProtection(await run('fetch.js', format, node), format);
  });
});

test('the resource-server library has complete types', () => {
  const consumer = join(directory, 'consumer.ts');
  writeFileSync(
    consumer,
    `import { createAccessTokenVerifier, type AccessToken } from 'keyturn/resource-server';
const verifier = createAccessTokenVerifier({ issuer: 'x', resource: 'x', clientId: 'x', clientSecret: 'x' });
export const found: Promise<AccessToken> = verifier.verify(new Request('https://x.example'), { scope: 'orders:read' });
// @ts-expect-error there is no such option
verifier.verify('x', { scopes: 'orders:read' });
`,
  );
  const options = [
    '--ignoreConfig',
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--types',
    'node',
    '--typeRoots',
  ];
  const tsc = ['node_modules/typescript/bin/tsc', ...options, 'node_modules/@types', consumer];
  expect(execFileSync(process.execPath, tsc, { encoding: 'utf8' })).toBe('');
});

/**
 * Returns the Node.js programs in PATH, TEST_NODES (a list of paths, as in PATH) and this one: from 20 on, one of each
 * major version.
 */
function findNodes(): [version: string, program: string][] {
  const named = (process.env['TEST_NODES'] ?? '').split(delimiter).filter(Boolean);
  const installed = (process.env['PATH'] ?? '').split(delimiter).map((path) => join(path, 'node'));
  const found = new Map<number, [string, string]>();
  for (const program of [process.execPath, ...named, ...installed]) {
    if (!existsSync(program)) continue;
    const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim();
    const major = Number.parseInt(version.slice(1), 10);
    if (major >= 20 && !found.has(major)) found.set(major, [version, program]);
  }
  return [...found.values()];
}
