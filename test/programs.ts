/** Programs that only some tests need. Those tests are skipped if a program is missing, and the run says so first. */
import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findProgram } from './services/service-programs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

type Check = () => boolean | Promise<boolean>;

const found =
  (...names: string[]): Check =>
  () =>
    names.every((name) => findProgram([name]) !== undefined);

const exists =
  (...paths: string[]): Check =>
  () =>
    paths.some((path) => existsSync(path));

const runs =
  (command: string, ...args: string[]): Check =>
  () =>
    promisify(execFile)(command, args).then(
      () => true,
      () => false,
    );

/** The module of nginx that runs JavaScript, where Debian installs it. */
export const njsModule = '/usr/lib/nginx/modules/ngx_http_js_module.so';

/** Debian's Python, because Debian's packages need it. */
export const debianPython = '/usr/bin/python3';

const chromiums = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** The path in `CHROMIUM`, or that of the browser on Debian and other distributions. */
export const chromiumPath = process.env['CHROMIUM'] ?? chromiums.find((path) => existsSync(path));

/** Validates Kubernetes manifests. It is a Python package, and `KUBERNETES_VALIDATE` is its path. */
export const kubernetesValidate = process.env['KUBERNETES_VALIDATE'] ?? 'kubernetes-validate';

/** The program `hydra`, in `HYDRA` or on the path. */
export const hydraPath = process.env['HYDRA'] ?? findProgram(['hydra']);

/** The directory of an unpacked Keycloak distribution, which has `bin/kc.sh`. */
export const keycloakHome = process.env['KEYCLOAK_HOME'];

const programs = {
  Apache: exists('/usr/lib/apache2/modules/mod_oauth2.so'),
  Authlib: runs(debianPython, '-c', 'import requests, authlib.integrations.requests_client, authlib.oauth2.rfc8414'),
  Chromium: () => chromiumPath !== undefined,
  Go: found('go'),
  HAProxy: exists('/usr/sbin/haproxy'),
  Hydra: () => hydraPath !== undefined,
  'Java compiler': found('javac'),
  Keycloak: () => keycloakHome !== undefined,
  Maven: found('mvn'),
  PHP: runs('php', '-r', 'curl_init();'),
  PgBouncer: () => findProgram(['pgbouncer', '../sbin/pgbouncer']) !== undefined,
  'PostgreSQL client': found('pg_dump', 'pg_restore', 'psql'),
  'PostgreSQL server': found('postgres', 'initdb', 'pg_basebackup'),
  'Python 3.10 with venv': runs('python3', '-c', 'import sys, venv; sys.exit(sys.version_info < (3, 10))'),
  'Python 3.9': runs('python3', '-c', 'import sys; sys.exit(sys.version_info < (3, 9))'),
  'Python requests': runs('python3', '-c', 'import requests'),
  'Python requests-oauthlib': runs(debianPython, '-c', 'import requests_oauthlib'),
  'Redis server': () => findProgram(['redis-server', 'valkey-server']) !== undefined,
  Ruby: found('ruby'),
  // A shim of rustup exists without a toolchain, too.
  Rust: runs('cargo', '--version'),
  bash: found('bash'),
  curl: found('curl'),
  fish: found('fish'),
  'kubernetes-validate': runs(kubernetesValidate, '--help'),
  mount: runs('unshare', '--mount', 'true'),
  nginx: exists('/usr/sbin/nginx'),
  'nginx with njs': exists(njsModule),
  openssl: found('openssl'),
  tmux: found('tmux'),
  zsh: found('zsh'),
} satisfies Record<string, Check>;

export type ProgramName = keyof typeof programs;

/** Looks for all programs. Returns the names of the missing ones. */
export async function findMissingPrograms(): Promise<string[]> {
  const checked = await Promise.all(
    Object.entries(programs).map(async ([name, check]) => ({ name, is: await check() })),
  );
  return checked.filter(({ is }) => !is).map(({ name }) => name);
}

/** Returns the test files, and the files that they share, that name the program. */
export function testsThatNeed(name: string): string[] {
  return globSync('test/**/*.ts', { cwd: root }).filter((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    return text.includes("/programs.ts'") && text.includes(`'${name}'`);
  });
}

/** Whether all of the programs exist, as found at the start of the run (global-setup.ts). */
export function hasPrograms(...names: ProgramName[]): boolean {
  const missing = process.env['TEST_MISSING_PROGRAMS'];
  if (missing === undefined) throw new Error('TEST_MISSING_PROGRAMS is not set: test files are run by Jest');
  return names.every((name) => !missing.split(',').includes(name));
}

/** Returns `describe`, or `describe.skip` if one of the programs is missing. */
export function describeWith(...names: ProgramName[]): typeof describe | typeof describe.skip {
  return hasPrograms(...names) ? describe : describe.skip;
}

/** Returns `test`, or `test.skip` if one of the programs is missing. */
export function testWith(...names: ProgramName[]): typeof test | typeof test.skip {
  return hasPrograms(...names) ? test : test.skip;
}
