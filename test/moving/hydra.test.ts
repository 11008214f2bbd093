import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { runCommand } from '../cli/run-command.ts';
import { freePort } from '../free-port.ts';
import { runBeside } from '../interop/run-beside.ts';
import { endpointsOf, type TestClient } from '../oauth/fixture.ts';
import { describeWith, hydraPath } from '../programs.ts';
import { askPostgres, createEmptyTestDatabase } from '../services.ts';
import { createUnchangedPrograms, type UnchangedPrograms } from './unchanged-programs.ts';

const execute = promisify(execFile);
const scope = 'orders.read reports:export';

/**
 * Hydra's clients are created and listed by its own command line, their hashed secrets are read from its database, and
 * the programs that used them get tokens from Keyturn. To run it, build the Go module `github.com/ory/hydra/v2`, and
 * put `hydra` on the path or set `HYDRA`.
 */
describeWith('Hydra')('moving from Hydra', () => {
  let directory: string;
  let programs: UnchangedPrograms;
  let server: AdminServer;
  let api: TestClient;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'keyturn-hydra-'));
    programs = await createUnchangedPrograms();
    server = await startAdminServer();
    const scopes = scope.split(' ').map((name) => ({ name, description: `Permission ${name}` }));
    const offer = { name: 'Shop', kind: 'resource_server', resource: 'https://api.example.com', scopes };
    const { json } = await server.adminFetch('/clients', { method: 'POST', body: offer });
    api = { id: json.client_id, secret: json.client_secret };
  });
  afterAll(async () => {
    await server?.close();
    await programs?.remove();
    await rm(directory, { recursive: true, force: true });
  });

  it.each(['pbkdf2', 'bcrypt'])(
    'gives tokens to unchanged programs whose secrets Hydra has hashed with %s, with the same Client IDs, secrets and scopes',
    async (hasher) => {
      const dsn = await createEmptyTestDatabase();
      const [publicPort, adminPort] = [await freePort(), await freePort()];
      const admin = `http://127.0.0.1:${adminPort}`;
      const settings = {
        DSN: dsn.includes('?') ? dsn : `${dsn}?sslmode=disable`,
        SECRETS_SYSTEM: 'a-system-secret-of-a-test',
        URLS_SELF_ISSUER: `http://127.0.0.1:${publicPort}`,
        SERVE_PUBLIC_PORT: String(publicPort),
        SERVE_ADMIN_PORT: String(adminPort),
        OAUTH2_HASHERS_ALGORITHM: hasher,
        SQA_OPT_OUT: 'true',
      };
      const run = async (...args: string[]) =>
        (await execute(hydraPath ?? '', args, { env: { ...process.env, ...settings }, cwd: directory })).stdout;

      await run('migrate', 'sql', 'up', '-e', '--yes');
      const hydra = await runBeside({
        files: {},
        command: () => [
          'env',
          ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
          hydraPath ?? '',
          'serve',
          'all',
          '--dev',
        ],
        withinMs: 60_000,
        answers: async () => {
          const { status } = await fetch(`${admin}/health/ready`);
          if (status !== 200) throw new Error(`status ${status}`);
        },
      });
      let created: { client_id: string; client_secret: string }[];
      let listed: { items: { client_id: string }[] };
      try {
        const create = async (authMethod: string) =>
          JSON.parse(
            await run(
              ...[
                'create',
                'oauth2-client',
                '--endpoint',
                admin,
                '--format',
                'json',
                '--name',
                `Sync by ${authMethod}`,
              ],
              ...['--grant-type', 'client_credentials', '--scope', scope.replace(' ', ',')],
              ...['--token-endpoint-auth-method', authMethod],
            ),
          );
        created = [await create('client_secret_basic'), await create('client_secret_post')];
        for (const [index, method] of methods.entries()) {
          const { client_id: id, client_secret: secret } = created[index] ?? { client_id: '', client_secret: '' };
          const url = `http://127.0.0.1:${publicPort}/oauth2/token`;
          const tokens = await programs.getTokens(url, { id, secret, scope }, [method]);
          expect(Object.keys(tokens)).toEqual(programs.names([method]));
        }
        listed = JSON.parse(await run('list', 'oauth2-clients', '--endpoint', admin, '--format', 'json'));
      } finally {
        await hydra.stop();
      }
      const rows = await askPostgres(dsn, 'SELECT id, client_secret FROM hydra_client');
      const hashes = new Map(rows.map(({ id, client_secret: hash }) => [id, hash]));
      expect(
        [...hashes.values()].every((hash) => String(hash).startsWith(hasher === 'bcrypt' ? '$2' : '$pbkdf2')),
      ).toBe(true);
      const exported = join(directory, `${hasher}.json`);
      const items = listed.items.map((item) => ({ ...item, client_secret: hashes.get(item.client_id) }));
      await writeFile(exported, JSON.stringify({ ...listed, items }));

      const ours = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
      const imported = await runCommand(['clients', 'import', exported], ours);
      expect(imported).toMatchObject({ code: 0 });
      expect(imported.stderr).toContain('2 imported, 0 rejected.');

      const { tokenUrl, introspect } = endpointsOf(server.publicUrl);
      for (const [index, method] of methods.entries()) {
        const { client_id: id, client_secret: secret } = created[index] ?? { client_id: '', client_secret: '' };
        const tokens = await programs.getTokens(tokenUrl, { id, secret, scope }, [method]);
        expect(Object.keys(tokens)).toEqual(programs.names([method]));
        for (const token of Object.values(tokens)) {
          expect((await introspect(api, token)).json).toMatchObject({ client_id: id, scope });
        }
      }
    },
    540_000,
  );
});

const methods = ['client_secret_basic', 'client_secret_post'] as const;
