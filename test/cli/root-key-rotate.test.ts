import { randomUUID } from 'node:crypto';
import { verifyAuditLog } from '../../src/audit/verify-audit-log.ts';
import { callAdmin } from '../../src/cli/call-admin.ts';
import { createKeyRing } from '../../src/credentials/key-ring.ts';
import { issueSecret } from '../../src/credentials/secret.ts';
import { insertSecret } from '../../src/secrets/secret-store.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { eventually } from '../eventually.ts';
import { createTestStores, type Stores, startTestServer, type TestServer } from '../harness.ts';
import { askPostgres } from '../services.ts';
import { ended, runCommand, runJson, startCommand } from './run-command.ts';

type Client = { client_id: string; client_secret: string };
type Report = {
  version: string;
  secrets: number;
  signing_keys: number;
  unreadable: string[];
  earlier_versions: { version: string; can_go: boolean; secrets: number; operator_tokens: number }[];
  holders: { type: string; id: string; version: string }[];
};

const [v1, v2] = [generateRootKey('v1'), generateRootKey('v2')];
const resource = 'https://jwt.example.com';

const open: TestServer[] = [];

/** Starts a server that is closed even if its test fails. */
async function startServer(options: { stores: Stores }): Promise<TestServer> {
  const server = await startTestServer(options);
  open.push(server);
  return server;
}

afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

function environmentOf(stores: Stores, rootKey: string) {
  return { DATABASE_URL: stores.databaseUrl, KEYTURN_ROOT_KEY: rootKey };
}

async function requestToken(publicUrl: string, client: Client, more: Record<string, string> = {}): Promise<Response> {
  const body = new URLSearchParams({ grant_type: 'client_credentials', ...more });
  return await fetch(`${publicUrl}/oauth2/token`, { method: 'POST', headers: authorizationOf(client), body });
}

async function introspect(publicUrl: string, server: Client, token: string): Promise<unknown> {
  const body = new URLSearchParams({ token });
  const request = { method: 'POST', headers: authorizationOf(server), body };
  return await (await fetch(`${publicUrl}/oauth2/introspect`, request)).json();
}

function authorizationOf({ client_id, client_secret }: Client) {
  return { Authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}` };
}

test('a rotation of the root key from v1 to v2 fails no request', async () => {
  const stores = { ...(await createTestStores()), rootKey: v1 };
  const both = `${v2},${v1}`;
  const rotate = () => runJson<Report>(['root-key', 'rotate'], environmentOf(stores, both));

  const before = await startServer({ stores });
  const create = <Body = Client>(route: `POST /${string}`, body: object, params = {}) =>
    callAdmin<Body>(before.core, route, { params, body: { ...body } });
  const offer = { kind: 'resource_server', resource, information: ['orders'], token_format: 'jwt' };
  const server = await create('POST /clients', { name: 'Shop', ...offer });
  const integration = { kind: 'integration', scope: 'orders:read' };
  const client = await create('POST /clients', { name: 'Sync', ...integration });
  const unsealed = await create('POST /clients', { name: 'Unsealed', ...integration, reveal: false });
  const contact = await create<{ id: string }>('POST /contacts', { name: 'Ann', email: 'ann@example.com' });
  await create('POST /contacts/{id}/operator-token', {}, { id: contact.id });
  const key = await create<{ id: string; access_key: string }>(
    'POST /contacts/{id}/access-keys',
    { name: 'Warehouse', permissions: { orders: ['read'] } },
    { id: contact.id },
  );
  const more = { access_key: key.access_key, resource };

  const during = await startServer({ stores: { ...stores, rootKey: both } });
  // The process caches verifiers of v1.
  const first = await requestToken(during.publicUrl, client, more);
  const { access_token: token } = (await first.json()) as { access_token: string };
  const report = await rotate();
  expect(report).toMatchObject({ version: 'v2', secrets: 3, signing_keys: 2, unreadable: [] });
  expect(report.earlier_versions).toEqual([
    expect.objectContaining({ version: 'v1', can_go: false, secrets: 1, sealed_copies: 0, operator_tokens: 1 }),
  ]);
  expect(report.holders).toEqual([
    expect.objectContaining({ type: 'client', id: unsealed.client_id, version: 'v1' }),
    expect.objectContaining({ type: 'operator_token', id: contact.id, version: 'v1' }),
  ]);
  const inMemory = async () => (await during.core.clients.find(client.client_id))?.secrets[0]?.keyVersion;
  await eventually(async () => (await inMemory()) === 'v2');
  for (const [one, form] of [[client, more] as const, [unsealed, {}] as const]) {
    expect((await requestToken(during.publicUrl, one, form)).status).toBe(200);
  }
  expect(await introspect(during.publicUrl, server, token)).toMatchObject({ active: true });

  const text = await runCommand(['root-key', 'rotate'], environmentOf(stores, both));
  expect(text.stdout).toContain('Keep v1.');
  expect(text.stdout).toContain(unsealed.client_id);

  const params = { client_id: unsealed.client_id };
  await callAdmin(during.core, 'POST /contacts/{id}/operator-token', { params: { id: contact.id }, body: {} });
  const review = await callAdmin(during.core, 'POST /clients/{client_id}/regeneration/review', { params });
  const body = { confirmation: review['confirmation'], revoke_tokens: true };
  const again = await callAdmin<Client>(during.core, 'POST /clients/{client_id}/regenerate', { params, body });
  const last = await rotate();
  expect(last).toMatchObject({ secrets: 0, signing_keys: 0, holders: [] });
  expect(last.earlier_versions).toMatchObject([{ version: 'v1', can_go: true, ended_secrets: 1 }]);
  // The old version is still needed for events from before the rotation.
  expect(await verifyAuditLog(during.core.database, during.core.keyRing)).toMatchObject({ finding: null });

  const after = await startServer({ stores: { ...stores, rootKey: v2 } });
  const answer = await requestToken(after.publicUrl, client, more);
  expect(answer.status).toBe(200);
  const { access_token: jwt } = (await answer.json()) as { access_token: string };
  expect(jwt).toMatch(/^eyJ/);
  expect(await introspect(after.publicUrl, server, jwt)).toMatchObject({ active: true, access_key_id: key.id });
  expect(await introspect(after.publicUrl, server, token)).toMatchObject({ active: true });
  expect((await requestToken(after.publicUrl, again)).status).toBe(200);
  expect((await requestToken(after.publicUrl, unsealed)).status).toBe(401);
  const reveal = (route: `POST /${string}`, of: object) =>
    callAdmin(after.core, route, { params: { ...of }, body: {} });
  expect(await reveal('POST /clients/{client_id}/secret/reveal', { client_id: client.client_id })).toMatchObject({
    client_secret: client.client_secret,
  });
  expect(await reveal('POST /access-keys/{id}/reveal', { id: key.id })).toMatchObject({ access_key: key.access_key });
  const { stdout } = await runCommand(['doctor'], environmentOf(stores, v2));
  expect(stdout).toMatch(/ok +secrets/);
});

test('root-key rotate leaves no partial change when it is killed, and continues when it runs again', async () => {
  const stores = { ...(await createTestStores()), rootKey: v1 };
  const total = 600;
  const first = await startTestServer({ stores });
  const plaintexts = new Map<number, string>();
  const { core } = first;
  const client = await runJson<Client>(['clients', 'create', '--name', 'Many'], environmentOf(stores, v1));
  const [{ id: owner } = { id: '' }] = await core.database.query<{ id: string }>('SELECT id FROM clients');
  await core.database.transaction(async (transaction) => {
    for (let generation = 2; generation <= total; generation++) {
      const id = randomUUID();
      const made = issueSecret(createKeyRing(v1), 'kts_', 'client-secret-pepper', { table: 'secrets', id });
      const { plaintext, sealed, ...verifier } = made;
      plaintexts.set(generation, plaintext);
      const dates = {
        createdAt: new Date(),
        retiresAt: new Date(Date.now() + 3_600_000),
        endedAs: null,
        registration: null,
        hash: null,
      };
      const secret = { id, clientId: client.client_id, generation, ...verifier, ...dates, sealed };
      await insertSecret(transaction, { kind: 'client', id: owner }, secret);
    }
  });
  await first.close();
  const ask = (sql: string) => askPostgres(stores.databaseUrl, sql);
  const countMade = async () =>
    Number((await ask(`SELECT count(*) FROM secrets WHERE key_version = 'v2'`))[0]?.['count']);
  await ask(`CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$;
    CREATE TRIGGER slow BEFORE UPDATE ON secrets FOR EACH STATEMENT EXECUTE FUNCTION take_time()`);

  const environment = environmentOf(stores, `${v2},${v1}`);
  const child = startCommand(['root-key', 'rotate'], environment);
  const end = ended(child);
  await eventually(async () => (await countMade()) > 0);
  child.kill('SIGKILL');
  await end;
  const made = await countMade();
  expect(made).toBeLessThan(total);
  const mixed = await ask(`SELECT 1 FROM secrets WHERE key_version <> split_part(sealed, '.', 1)`);
  expect(mixed).toEqual([]);

  await ask('DROP TRIGGER slow ON secrets');
  const report = await runJson<Report>(['root-key', 'rotate'], environment);
  // A batch whose commit was in progress when the process was killed may have been committed too.
  expect([total - made, total - made - 100]).toContain(report.secrets);
  expect(report.earlier_versions).toMatchObject([{ version: 'v1', can_go: true }]);
  expect(await countMade()).toBe(total);

  const last = await startTestServer({ stores: { ...stores, rootKey: v2 } });
  try {
    for (const generation of [total, total - 50]) {
      const secret = { client_id: client.client_id, client_secret: plaintexts.get(generation) ?? '' };
      expect((await requestToken(last.publicUrl, secret)).status).toBe(200);
    }
  } finally {
    await last.close();
  }
});

test('root-key rotate reports a sealed copy of another secret and leaves it unchanged', async () => {
  const stores = await createTestStores();
  const environment = environmentOf(stores, `${v2},${v1}`);
  await runJson(['clients', 'create', '--name', 'Whole'], environmentOf(stores, v1));
  await runJson(['clients', 'create', '--name', 'Changed'], environmentOf(stores, v1));
  await askPostgres(
    stores.databaseUrl,
    `UPDATE secrets SET verifier = sha256('other') WHERE client = (SELECT id FROM clients WHERE name = 'Changed')`,
  );
  const { code, stdout, stderr } = await runCommand(['root-key', 'rotate'], environment);
  expect(code).toBe(1);
  expect(stdout).toContain('Keep v1.');
  expect(stderr).toContain('error: 1 sealed copies cannot be decrypted');
});
