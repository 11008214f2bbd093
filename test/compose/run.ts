/**
 * Tests the shipped image and compose file (`npm run test:compose`): builds the image, starts the deployment, gets a token
 * through the published port, restarts each container, and removes everything. Requires a Docker engine with Compose.
 */
import { type ChildProcess, execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCertificate } from '../certificates.ts';
import { freePort } from '../free-port.ts';
import { type Answer, basicOf, post, send } from '../oauth/http-client.ts';

type Output = { stdout: string; stderr: string };

const project = `keyturn-test-${process.pid}`;
const directory = mkdtempSync(join(tmpdir(), 'keyturn-compose-'));
const secrets = join(directory, 'secrets.env');
const [port, adminPort, tlsPort] = [await freePort(), await freePort(), await freePort()];
const issuer = `http://localhost:${port}`;
const admin = `http://localhost:${adminPort}/admin/v1`;
const image = `keyturn-test:${process.pid}`;
// Variables of the caller's shell must not reach this deployment, because Compose prefers them to the env file.
const ofAnother = /^(KEYTURN|COMPOSE)_|^(POSTGRES|REDIS)_PASSWORD$|^(POSTGRES|REDIS|NGINX|NODE)_IMAGE$/;
const environment = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !ofAnother.test(name))),
  KEYTURN_IMAGE: image,
  KEYTURN_BUILD_NETWORK: process.env['KEYTURN_BUILD_NETWORK'],
  KEYTURN_ISSUER: issuer,
  KEYTURN_PUBLISHED_PORT: String(port),
  KEYTURN_PUBLISHED_ADMIN_PORT: String(adminPort),
  KEYTURN_ALLOWED_HOSTS: `localhost:${tlsPort}`,
  KEYTURN_PUBLISHED_TLS_PORT: String(tlsPort),
  KEYTURN_TLS_DIRECTORY: directory,
};
const certificate = makeCertificate({ dns: ['localhost'] });
writeFileSync(join(directory, 'cert.pem'), certificate.cert);
writeFileSync(join(directory, 'key.pem'), certificate.key);
const [command, ...prefix] = composeCommand();
const results = { passed: 0, failed: 0 };
/** Longest time for which nginx sends no request to a process that failed, in milliseconds (deploy/proxy/nginx.conf). */
const proxyRestMs = 2_000;
const running = new Set<ChildProcess>();
let stopped: Error | undefined;

process.once('SIGINT', stop);
process.once('SIGTERM', stop);

try {
  await walk();
} catch (error) {
  results.failed += 1;
  if (!stopped) console.error(await logs());
  // Print the reason last, because only the end of a long output is kept by some systems.
  console.error((stopped ?? (error as Error)).message);
} finally {
  await takeDown();
}
console.log(`compose: ${results.passed} passed, ${results.failed} failed`);
process.exitCode = results.failed === 0 ? 0 : 1;

async function walk(): Promise<void> {
  await step('nothing starts without secrets, and the error names the command that creates them', async () => {
    const empty = join(directory, 'empty.env');
    writeFileSync(empty, '');
    const bare = ['-f', 'docker-compose.yml', '-p', project, '--env-file', empty, 'config'];
    const refused = await run(command, [...prefix, ...bare], environment).then(
      () => '',
      (error: Error) => error.message,
    );
    expect(refused.includes('make-secrets.sh'), refused);
  });
  await step('one command creates the secrets and never replaces them', async () => {
    await run('./deploy/make-secrets.sh', [secrets]);
    expect(
      await run('./deploy/make-secrets.sh', [secrets]).then(
        () => false,
        () => true,
      ),
      'it replaced them',
    );
  });
  await step('the image builds', () => compose('build', ...buildArgs()));
  await step('the image contains the dependencies of the server and no development dependencies', async () => {
    const { stdout } = await run('docker', ['run', '--rm', '--entrypoint', 'ls', image, '.', 'node_modules']);
    const found = new Set(stdout.split(/\s+/));
    const needed = ['dist', 'sql', 'LICENSE', 'package.json', 'sbom.cdx.json', ...directDependencies()];
    const missing = needed.filter((name) => !found.has(name));
    const surplus = ['src', 'test', ...developmentDependencies()].filter((name) => found.has(name));
    expect(missing.length + surplus.length === 0, `missing: ${missing}; too much: ${surplus}`);
  });
  await step('everything starts, and the schema is migrated before the server starts', async () => {
    await compose('up', '-d');
    await ready();
  });
  await step("the image's own health check passes", async () => {
    const { stdout: container } = await compose('ps', '-q', 'keyturn');
    await eventually(async () => {
      const { stdout } = await run('docker', ['inspect', '-f', '{{.State.Health.Status}}', container.trim()]);
      return stdout.trim() === 'healthy';
    }, 'it is not healthy');
  });

  await step('the server runs as an unprivileged user and cannot change its own files', async () => {
    const script = `const user = require('node:fs').statSync('/proc/1').uid;
      try { require('node:fs').writeFileSync('/app/written', ''); console.log(user, 'writable'); }
      catch (error) { console.log(user, error.code); }`;
    const { stdout } = await compose('exec', '-T', 'keyturn', 'node', '-e', script);
    expect(stdout.trim() === '1000 EROFS', stdout);
  });

  await step(
    'the server cannot change the schema or rewrite the audit log, and Redis requires a password',
    async () => {
      const asServer = (sql: string) => {
        const line = 'PGPASSWORD="$KEYTURN_SERVE_PASSWORD" psql -h postgres -U keyturn_serve -d keyturn -c "$0"';
        return compose('run', '--rm', '-T', 'roles', 'sh', '-c', line, sql).then(
          () => true,
          () => false,
        );
      };
      expect(await asServer('SELECT count(*) FROM clients'), 'it cannot read');
      expect(!(await asServer('CREATE TABLE more (id integer)')), 'it can create a table');
      expect(!(await asServer('DELETE FROM audit_events')), 'it can delete audit events');
      const { stdout } = await compose('exec', '-T', 'redis', 'env', '-u', 'REDISCLI_AUTH', 'redis-cli', 'get', 'x');
      expect(stdout.includes('NOAUTH'), stdout);
    },
  );
  await step('the image contains a list of its packages', async () => {
    const { stdout } = await run('docker', ['run', '--rm', '--entrypoint', 'cat', image, 'sbom.cdx.json']);
    expect(stdout.includes('"CycloneDX"') && stdout.includes('pkg:npm/ioredis@'), stdout.slice(0, 200));
  });

  const operator = await step('the first operator is created inside the container', async () => {
    const { stdout } = await compose(
      ...['exec', '-T', 'keyturn', 'node', 'dist/main.js', 'contacts', 'create', '--name', 'Ann'],
      ...['--email', 'ann@example.com', '--permission', 'all', '--operator-token', '--json'],
    );
    return (JSON.parse(stdout) as { operator_token: string }).operator_token;
  });
  const [api, integration] = await step<[Client, Client]>(
    'an API and an integration are registered through the admin port',
    async () => [
      await register(operator, {
        name: 'API',
        kind: 'resource_server',
        resource: 'https://api.example.com',
        information: ['orders'],
      }),
      await register(operator, { name: 'Order sync', kind: 'integration', scope: 'orders:read' }),
    ],
  );
  const token = await step('the integration gets a token through the published port', () => accessToken(integration));
  await step('the API finds the token active', () => requireActive(api, token));
  for (const service of ['redis', 'postgres', 'keyturn']) {
    await step(`after a restart of ${service} the token and the client still work`, async () => {
      await compose('restart', service);
      await ready();
      await requireActive(api, token);
      await requireActive(api, await accessToken(integration));
    });
  }
  await step('two processes behind nginx start', async () => {
    await nginxImage();
    await compose('--profile', 'replicas', 'up', '-d');
    await Promise.all(['keyturn', 'replica'].map(readyInside));
    await eventually(
      async () => (await throughProxy('/.well-known/jwks.json')).status === 200,
      'nginx does not answer',
    );
    await sleep(proxyRestMs);
  });
  for (const service of ['keyturn', 'replica']) {
    await step(`${service} is killed under load: no request fails, and no answer is wrong`, async () => {
      const wrong: string[] = [];
      let [underLoad, count] = [true, 0];
      const caller = async () => {
        for (; underLoad; count++) {
          const found = await introspectThroughProxy(integration, api).catch(String);
          if (found !== 'active') wrong.push(found);
        }
      };
      const callers = [caller(), caller(), caller(), caller()];
      const served = (rounds: number) => {
        const from = count;
        return eventually(async () => count - from >= rounds, `fewer than ${rounds} rounds were answered`);
      };
      await served(20);
      await compose('--profile', 'replicas', 'kill', service);
      await served(100);
      await compose('--profile', 'replicas', 'up', '-d', '--no-recreate', service);
      await readyInside(service);
      await sleep(proxyRestMs);
      underLoad = false;
      await Promise.all(callers);
      expect(wrong.length === 0, `${wrong.length} of ${count} went wrong: ${wrong.slice(0, 3)}`);
    });
  }
}

/** Sends a request through nginx, which forwards it to one of the two processes. */
function throughProxy(path: string, client?: Client, form?: Record<string, string>): Promise<Answer> {
  const authorization = client ? { Authorization: basicOf(client.client_id, client.client_secret) } : {};
  const options = { tls: { ca: certificate.cert }, headers: authorization };
  const url = `https://localhost:${tlsPort}${path}`;
  return form ? post(url, form, options) : send(url, options);
}

/**
 * Sends a request through nginx, and sends it again if Keyturn itself answers 503: a process or a store was late, because
 * it shares its processors with the rest of the test. The answer of nginx that no process is available is final.
 */
async function insistThroughProxy(...request: Parameters<typeof throughProxy>): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    const answer = await throughProxy(...request);
    const isLate = answer.status === 503 && !answer.text.includes('The service is not available at the moment');
    if (!isLate || attempt === 3) return answer;
    console.log(`  answered 503: ${answer.text}`);
    await sleep(Number(answer.headers['retry-after']) * 1_000);
  }
}

/** Gets a token and introspects it. Returns "active", or a description of the failure. */
async function introspectThroughProxy(integration: Client, api: Client): Promise<string> {
  const issued = await insistThroughProxy('/oauth2/token', integration, { grant_type: 'client_credentials' });
  const token = issued.json['access_token'];
  if (issued.status !== 200 || typeof token !== 'string') return `token: ${issued.status} ${issued.text}`;
  const found = await insistThroughProxy('/oauth2/introspect', api, { token });
  return found.json['active'] === true ? 'active' : `introspection: ${found.status} ${found.text}`;
}

/** Provides nginx's image. If it cannot be pulled, builds one from Debian's nginx under the same name. */
async function nginxImage(): Promise<void> {
  const name = /NGINX_IMAGE:-(nginx:[^}]+)\}/.exec(readFileSync('docker-compose.yml', 'utf8'))?.[1] as string;
  const has = (words: string[]) =>
    run('docker', words).then(
      () => true,
      () => false,
    );
  if ((await has(['image', 'inspect', name])) || (await has(['pull', '-q', name]))) return;
  const context = join(directory, 'nginx');
  mkdirSync(context);
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM debian:bookworm-slim\nRUN apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light && rm -rf /var/lib/apt/lists/*\n',
  );
  const network = process.env['KEYTURN_BUILD_NETWORK'];
  await run('docker', ['build', '-q', '-t', name, ...(network ? ['--network', network] : []), ...buildArgs(), context]);
}

type Client = { client_id: string; client_secret: string };

async function register(operator: string, body: object): Promise<Client> {
  const answer = await fetch(`${admin}/clients`, {
    method: 'POST',
    headers: { authorization: `Bearer ${operator}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.status === 201, `registering answered ${answer.status} ${await answer.clone().text()}`);
  return (await answer.json()) as Client;
}

async function call(path: string, client: Client, form: Record<string, string>): Promise<Record<string, unknown>> {
  const basic = Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64');
  const answer = await fetch(`${issuer}${path}`, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams(form),
  });
  expect(answer.ok, `${path} answered ${answer.status} ${await answer.clone().text()}`);
  return (await answer.json()) as Record<string, unknown>;
}

async function accessToken(client: Client): Promise<string> {
  return (await call('/oauth2/token', client, { grant_type: 'client_credentials' }))['access_token'] as string;
}

async function requireActive(api: Client, token: string): Promise<void> {
  const answer = await call('/oauth2/introspect', api, { token });
  expect(answer['active'] === true, 'the token is not active');
}

async function ready(): Promise<void> {
  const isReady = () =>
    fetch(`${issuer}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    );
  await eventually(isReady, 'it does not become ready');
}

/** Waits until a process that publishes no port is ready. */
async function readyInside(service: string): Promise<void> {
  const script =
    "fetch('http://127.0.0.1:4000/readyz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))";
  const isReady = () =>
    compose('--profile', 'replicas', 'exec', '-T', service, 'node', '-e', script).then(
      () => true,
      () => false,
    );
  await eventually(isReady, `${service} does not become ready`);
}

async function eventually(isSo: () => Promise<boolean>, otherwise: string): Promise<void> {
  const deadline = Date.now() + 90_000;
  while (!(await isSo())) {
    if (stopped) throw stopped;
    if (Date.now() > deadline) throw new Error(otherwise);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  if (stopped) throw stopped;
  const startedAt = Date.now();
  const result = await work().catch((error: Error) => {
    console.log(`✗ ${name}`);
    throw error;
  });
  results.passed += 1;
  console.log(`✓ ${name} (${Date.now() - startedAt} ms)`);
  return result;
}

function expect(isSo: boolean, otherwise: string): void {
  if (!isSo) throw new Error(otherwise);
}

/** Runs a program and returns its output. @throws {Error} with the end of its standard output if it fails. */
function run(program: string, words: string[], env: NodeJS.ProcessEnv = process.env): Promise<Output> {
  return new Promise((resolve, reject) => {
    // Use a separate process group, so that Ctrl+C reaches only this process, which then cleans up in order.
    const options = { env, maxBuffer: 64 * 1024 * 1024, detached: true };
    const child = execFile(program, words, options, (error, stdout, stderr) => {
      running.delete(child);
      if (!error) return resolve({ stdout, stderr });
      // A build writes the reason for its failure to standard output, after much other output.
      reject(new Error(`${error.message}\n${stdout.slice(-4_000)}`));
    });
    running.add(child);
  });
}

function compose(...words: string[]): Promise<Output> {
  const here = ['-f', 'docker-compose.yml', '-p', project, '--env-file', secrets];
  return run(command, [...prefix, ...here, ...words], environment);
}

/** Passes on the variables that name a proxy or a package registry, which containers do not inherit. */
function buildArgs(): string[] {
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'NPM_CONFIG_REGISTRY'];
  return names.flatMap((name) => {
    const value = process.env[name] ?? process.env[name.toLowerCase()];
    return value ? ['--build-arg', `${name}=${value}`] : [];
  });
}

/** Folder of a package in node_modules: its name, or the scope of a scoped package. */
function folderOf(name: string): string {
  return name.split('/')[0] as string;
}

/** Returns the folders of the packages that the server uses directly. */
function directDependencies(): string[] {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: object };
  return [...new Set(Object.keys(dependencies).map(folderOf))];
}

/** Returns the folders of the packages for development that no dependency of the server needs, by the lock file. */
function developmentDependencies(): string[] {
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { devDependencies: object };
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  const isShared = (name: string) => packages[`node_modules/${name}`]?.dev !== true;
  const shared = new Set(directDependencies());
  return Object.keys(devDependencies)
    .filter((name) => !isShared(name))
    .map(folderOf)
    .filter((name) => !shared.has(name));
}

async function logs(): Promise<string> {
  return compose('logs', '--tail', '40').then(
    ({ stdout }) => stdout,
    () => '',
  );
}

/** Ends the running programs, so that the current step fails and everything is removed as after any failure. */
function stop(signal: NodeJS.Signals): void {
  stopped = new Error(`stopped by ${signal}`);
  for (const { pid } of running) {
    try {
      if (pid) process.kill(-pid, 'SIGTERM');
    } catch {
      // The program has just ended.
    }
  }
}

/** Returns `docker compose` if the plugin is installed, otherwise `docker-compose`. */
function composeCommand(): [string, ...string[]] {
  try {
    execFileSync('docker', ['compose', 'version'], { stdio: 'ignore' });
    return ['docker', 'compose'];
  } catch {
    return ['docker-compose'];
  }
}

async function takeDown(): Promise<void> {
  if (existsSync(secrets)) {
    await compose('--profile', 'replicas', 'down', '-v', '--remove-orphans').catch((error: Error) =>
      console.error(error.message),
    );
  }
  // Keep the layers, so that the next build is fast. If the build failed, there is no image.
  await run('docker', ['rmi', '--no-prune', image]).catch(() => undefined);
  rmSync(directory, { recursive: true, force: true });
}
