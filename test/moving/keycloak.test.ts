import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runCommand, runJson } from '../cli/run-command.ts';
import { freePort } from '../free-port.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { runBeside } from '../interop/run-beside.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { describeWith, keycloakHome } from '../programs.ts';
import { createUnchangedPrograms, type UnchangedPrograms } from './unchanged-programs.ts';

const execute = promisify(execFile);
const realm = 'shop';
const scope = 'orders:read products:read';
const secrets = { 'order-sync': 'pV7dQz1xKf5mRb9TnC3gYw8hLs2JaE6u', 'stock-sync': 'xK4qZt9mWb7RnC3gYw8hLs2JaE6uT5vd' };

/**
 * Keycloak's clients are created and exported by its own tools, and the programs that used them get tokens from Keyturn.
 * To run it, unpack the distribution `org.keycloak:keycloak-quarkus-dist` and set `KEYCLOAK_HOME`.
 */
describeWith('Keycloak', 'Java compiler')('moving from Keycloak', () => {
  let directory: string;
  let programs: UnchangedPrograms;
  let server: TestServer;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'keyturn-keycloak-'));
    programs = await createUnchangedPrograms();
    server = await startTestServer();
  });
  afterAll(async () => {
    await server?.close();
    await programs?.remove();
    await rm(directory, { recursive: true, force: true });
  });

  it('gives tokens to unchanged programs with the same Client IDs, secrets and scopes, after an export and an import', async () => {
    const [port, managementPort] = [await freePort(), await freePort()];
    const url = `http://127.0.0.1:${port}`;
    const environment = {
      ...process.env,
      KC_DB: 'dev-file',
      KC_DB_URL: `jdbc:h2:file:${directory}/h2;NON_KEYWORDS=VALUE`,
      KC_CACHE: 'local',
      KC_BOOTSTRAP_ADMIN_USERNAME: 'admin',
      KC_BOOTSTRAP_ADMIN_PASSWORD: 'admin-of-a-test',
    };
    const tool = (name: string, ...args: string[]) =>
      execute(join(keycloakHome ?? '', 'bin', name), args, { env: environment, cwd: directory });

    const options = `--http-host=127.0.0.1 --http-port=${port} --http-management-port=${managementPort}`;
    const assignments = Object.entries(environment).filter(([name]) => name.startsWith('KC_'));
    const keycloak = await runBeside({
      files: {},
      command: () => [
        'env',
        ...assignments.map(([name, value]) => `${name}=${value}`),
        join(keycloakHome ?? '', 'bin/kc.sh'),
        'start-dev',
        ...options.split(' '),
      ],
      withinMs: 240_000,
      answers: async () => {
        const { status } = await fetch(`${url}/realms/master`);
        if (status !== 200) throw new Error(`status ${status}`);
      },
    });
    try {
      const config = `${directory}/kcadm.config`;
      const login = ['--user', 'admin', '--password', 'admin-of-a-test'];
      await tool(
        'kcadm.sh',
        'config',
        'credentials',
        '--config',
        config,
        '--server',
        url,
        '--realm',
        'master',
        ...login,
      );
      await writeFile(join(directory, 'realm.json'), JSON.stringify(realmToCreate()));
      await tool('kcadm.sh', 'create', 'realms', '--config', config, '--file', join(directory, 'realm.json'));
      const tokenUrl = `${url}/realms/${realm}/protocol/openid-connect/token`;
      for (const [id, secret] of Object.entries(secrets)) {
        expect(Object.keys(await programs.getTokens(tokenUrl, { id, secret, scope }))).toEqual(programs.names());
      }
    } finally {
      await keycloak.stop();
    }
    const exported = join(directory, 'exported.json');
    await tool('kc.sh', 'export', '--realm', realm, '--file', exported);
    expect(await readFile(exported, 'utf8')).toContain(secrets['order-sync']);

    const ours = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
    const offer = ['--resource', 'https://api.example.com', '--information', 'orders,products'];
    const api = await runJson(['clients', 'create', '--name', 'Shop', '--kind', 'resource-server', ...offer], ours);
    const imported = await runCommand(['clients', 'import', exported], ours);
    expect(imported).toMatchObject({ code: 0 });
    expect(imported.stderr).toContain('2 imported, 0 rejected.');

    const { tokenUrl, introspect } = endpointsOf(server.publicUrl);
    for (const [id, secret] of Object.entries(secrets)) {
      const tokens = await programs.getTokens(tokenUrl, { id, secret, scope });
      expect(Object.keys(tokens)).toEqual(programs.names());
      const asApi = { id: api['client_id'] as string, secret: api['client_secret'] as string };
      for (const token of Object.values(tokens)) {
        expect((await introspect(asApi, token)).json).toMatchObject({ client_id: id, scope });
      }
    }
  }, 540_000);
});

/** A realm with clients that have service accounts, as its administrator would create them. */
function realmToCreate() {
  const clientScope = (name: string) => ({
    name,
    protocol: 'openid-connect',
    attributes: { 'include.in.token.scope': 'true' },
  });
  return {
    realm,
    enabled: true,
    clientScopes: scope.split(' ').map(clientScope),
    clients: Object.entries(secrets).map(([clientId, secret]) => ({
      clientId,
      secret,
      name: `The client ${clientId}`,
      serviceAccountsEnabled: true,
      standardFlowEnabled: false,
      publicClient: false,
      protocol: 'openid-connect',
      defaultClientScopes: scope.split(' '),
    })),
  };
}
