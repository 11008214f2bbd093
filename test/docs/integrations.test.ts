import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { endpointsOf, registerAll, type TestClient } from '../oauth/fixture.ts';
import { type ClientProgram, createClientProgram, hasLanguage, languageNames } from './client-programs.ts';

let server: AdminServer;
let shop: TestClient;
let orders: TestClient;
let accessKey: string;

beforeAll(async () => {
  server = await startAdminServer();
  ({ shop, orders } = await registerAll(server.core));
  const contact = await server.adminFetch('/contacts', {
    method: 'POST',
    body: { name: 'Partner', email: 'partner@example.com', permissions: [] },
  });
  const key = await server.adminFetch(`/contacts/${contact.json.id}/access-keys`, {
    method: 'POST',
    body: { name: 'Warehouse', permissions: { orders: ['read'] } },
  });
  accessKey = key.json.access_key;
});

afterAll(() => server?.close());

describe.each(languageNames)('the %s program of docs/integrations.md', (name) => {
  const isThere = hasLanguage(name);
  let program: ClientProgram;

  beforeAll(async () => {
    if (isThere) program = await createClientProgram(name);
  });

  afterAll(() => program?.remove());

  (isThere ? it : it.skip)(
    'gets a token for the client, and with an access key one for the contact, and names its instance',
    async () => {
      const ask = async (more: { ACCESS_KEY?: string; CLIENT_INSTANCE?: string }) =>
        (await endpointsOf(server.publicUrl).introspect(orders, await program.run({ ...environment(), ...more }))).json;
      expect(await ask({})).toMatchObject({
        active: true,
        client_id: shop.id,
        scope: 'orders:read orders:create products:read',
      });
      const instance = `${name} & co.`;
      expect(await ask({ ACCESS_KEY: accessKey, CLIENT_INSTANCE: instance })).toMatchObject({
        active: true,
        client_id: shop.id,
        scope: 'orders:read',
      });
      const { json } = await server.adminFetch(`/clients/${shop.id}/usage`);
      const { sources } = json.secrets[0] as { sources: { instance: string | null }[] };
      expect(sources.filter((source) => source.instance === instance)).toHaveLength(1);
    },
  );

  (isThere ? it : it.skip)('fails, and does not print a token, where the secret is wrong', async () => {
    const wrong = { ...environment(), CLIENT_SECRET: orders.secret };
    const outcome = await program.run(wrong).catch((error) => error);
    expect(outcome.stdout ?? outcome).not.toMatch(/kta_/);
    if (name !== 'Shell') expect(outcome.code).not.toBe(0);
  });
});

function environment() {
  return { TOKEN_URL: `${server.publicUrl}/oauth2/token`, CLIENT_ID: shop.id, CLIENT_SECRET: shop.secret };
}
