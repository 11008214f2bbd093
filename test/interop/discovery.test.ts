import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../free-port.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, register } from '../oauth/fixture.ts';
import { debianPython, hasPrograms, type ProgramName, testWith } from '../programs.ts';

/**
 * Libraries of other languages read the discovery document and a JWT as in their documentation; dependencies are
 * fetched once.
 */

const run = promisify(execFile);
const programs = fileURLToPath(new URL('./discovery/', import.meta.url));
const built = mkdtempSync(join(tmpdir(), 'keyturn-discovery-'));
const resource = 'https://reports.example/';
const other = /^refused: .*(aud|audience)/i;

/** Returns `test`, or `test.skip` if the program is missing or cannot get the libraries, which it then logs. */
function guarantee(name: ProgramName, prepare: readonly string[], cwd: string): typeof test | typeof test.skip {
  if (!hasPrograms(name)) return test.skip;
  const [command = '', ...args] = prepare;
  const { status, error, stderr } = spawnSync(command, args, { cwd, timeout: 100_000, encoding: 'utf8' });
  if (status === 0) return test;
  console.warn(`${name} cannot be tested here: ${error?.message ?? stderr.slice(0, 500)}`);
  return test.skip;
}

const classPath = join(built, 'class-path');
const withJava = guarantee(
  'Maven',
  ['mvn', '-q', '-B', 'dependency:build-classpath', `-Dmdep.outputFile=${classPath}`],
  join(programs, 'java'),
);
const withGo = guarantee('Go', ['go', 'build', '-o', join(built, 'go'), '.'], join(programs, 'go'));
const withAuthlib = testWith('Authlib');

let server: TestServer;
let issuer: string;
let token: string;
let typJwt: string;
let subject: string;

beforeAll(async () => {
  const port = String(await freePort());
  issuer = `http://127.0.0.1:${port}`;
  server = await startTestServer({ env: { KEYTURN_ISSUER: issuer, KEYTURN_PORT: port } });
  const api = { resource, information: ['reports'], tokenFormat: 'jwt' } as const;
  await register(server.core, { name: 'Reports API', kind: 'resource_server', ...api });
  const typed = {
    resource: 'https://bills.example/',
    information: ['bills'],
    tokenFormat: 'jwt',
    tokenTyp: 'JWT',
  } as const;
  await register(server.core, { name: 'Bills API', kind: 'resource_server', ...typed });
  const scope = 'reports:read bills:read';
  const analyst = await register(server.core, { name: 'Analyst', kind: 'integration', scope });
  token = await endpointsOf(issuer).accessToken(analyst, { scope: 'reports:read' });
  typJwt = await endpointsOf(issuer).accessToken(analyst, { scope: 'bills:read' });
  subject = analyst.id;
});

afterAll(async () => {
  await server?.close();
  rmSync(built, { recursive: true, force: true });
});

async function linesOf(command: string, ...args: string[]): Promise<string[]> {
  const { stdout } = await run(command, args, { timeout: 60_000 });
  return stdout.trim().split('\n');
}

withJava(
  'Spring and Nimbus read the discovery document, and Spring accepts at+jwt with the documented configuration, and typ JWT without it',
  async () => {
    const program = join(programs, 'java', 'Discovery.java');
    const lines = await linesOf(
      'java',
      '-cp',
      readFileSync(classPath, 'utf8'),
      program,
      issuer,
      resource,
      token,
      typJwt,
    );
    const answers = Object.fromEntries(lines.map((line) => line.split(/ (.*)/s)));
    expect(answers).toEqual({
      nimbus: `${issuer}/oauth2/token`,
      'spring-client': `${issuer}/oauth2/token`,
      'spring-default': expect.stringContaining('at+jwt'),
      'spring-default-typ-jwt': subject,
      'spring-at+jwt': subject,
      'spring-other-audience': expect.stringMatching(other),
    });
  },
);

withGo('go-oidc reads the discovery document and verifies a JWT with its defaults', async () => {
  expect(await linesOf(join(built, 'go'), issuer, resource, token)).toEqual([subject, expect.stringMatching(other)]);
});

withAuthlib('Authlib finds the discovery document valid (RFC 8414)', async () => {
  const document = (await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).text()).replaceAll(
    issuer,
    'https://auth.example',
  );
  const program =
    'import json, sys; from authlib.oauth2.rfc8414 import AuthorizationServerMetadata as M; M(json.loads(sys.argv[1])).validate(); print("valid")';
  expect(await linesOf(debianPython, '-c', program, document)).toEqual(['valid']);
});
