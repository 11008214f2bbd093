import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { hasPrograms } from '../programs.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

const run = promisify(execFile);
const version = '4.32.5';
/** Virtual environment that is kept between runs, because its installation takes longer than the test. */
const home = join(tmpdir(), `keyturn-schemathesis-${version}`);
const program = join(home, 'bin', 'schemathesis');

/**
 * Matches paths whose requests can revoke the operator token of the run. They are tested in a separate run at the end.
 */
const endsOperators = '^/admin/v1/contacts/[{]id[}](/operator-token)?$';

/**
 * Valid requests may be rejected for reasons that no schema expresses, such as a cursor that was never issued. All
 * other checks are enabled.
 */
const options = [
  '--exclude-checks=positive_data_acceptance',
  '--phases=examples,coverage,fuzzing',
  '--max-examples=5',
  '--seed=1',
  '--continue-on-failure',
  '--no-color',
];

/**
 * Installs schemathesis in a virtual environment.
 * @returns the reason why the installation is not possible, or undefined.
 */
async function install(): Promise<string | undefined> {
  if (existsSync(program)) return undefined;
  if (!hasPrograms('Python 3.10 with venv')) return 'there is no python3 of version 3.10 or later with venv';
  try {
    await run('python3', ['-m', 'venv', home]);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `schemathesis==${version}`];
    await run(join(home, 'bin', 'python'), pip, { timeout: 180_000 });
    return undefined;
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    return `it cannot be installed: ${(error as Error).message.split('\n')[0]}`;
  }
}

const missing = await install();
if (missing) console.warn(`The schemathesis run is skipped: ${missing}`);

/** Generated bodies and URLs may also be too large, which schemathesis does not expect by itself. */
const config = join(tmpdir(), `keyturn-schemathesis-${process.pid}.toml`);
const rejected = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, 431, 500, 503];

let server: AdminServer;

beforeAll(async () => {
  await writeFile(config, `[checks.negative_data_rejection]\nexpected-statuses = [${rejected.join(', ')}]\n`);
  server = await startAdminServer({ env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  const body = { name: 'API', kind: 'resource_server', resource: 'https://api.example.com', information: ['orders'] };
  await server.adminFetch('/clients', { method: 'POST', body });
});
afterAll(async () => {
  await rm(config, { force: true });
  await server?.close();
});

(missing ? test.skip : test)(
  'responds to generated requests as documented in OpenAPI, and rejects those that violate it',
  async () => {
    for (const paths of [`--exclude-path-regex=${endsOperators}`, `--include-path-regex=${endsOperators}`]) {
      const args = [
        `--config-file=${config}`,
        'run',
        `${server.adminUrl}/admin/v1/openapi.json`,
        `--url=${server.adminUrl}`,
        `--header=Authorization: Bearer ${await server.operatorToken()}`,
        paths,
        ...options,
      ];
      const { code, stdout } = await run(program, args, { maxBuffer: 2 ** 28, cwd: tmpdir() }).then(
        (ended) => ({ ...ended, code: 0 }),
        (error: { code: number; stdout: string }) => error,
      );
      // Show the output from the first failure on, without the hints at the end.
      expect(code === 0 ? '' : stdout.slice(stdout.indexOf('1. Test Case ID'), -3_000)).toBe('');
      expect(stdout).toMatch(/Test cases:\s+\d+ generated/);
    }
  },
  600_000,
);
