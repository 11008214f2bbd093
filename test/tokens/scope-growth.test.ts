import { createAccessKey, saveKey } from '../../src/access-keys/manage-access-keys.ts';
import { updateClient } from '../../src/clients/manage-clients.ts';
import { createContact } from '../../src/contacts/manage-contacts.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { actor, endpointsOf, register, registerBothFormats, type TestClient } from '../oauth/fixture.ts';

const resources = { opaque: 'https://opaque.example', jwt: 'https://jwt.example' };
let server: TestServer;
let api: ReturnType<typeof endpointsOf>;
let apis: Record<'opaque' | 'jwt', TestClient>;

beforeAll(async () => {
  server = await startTestServer();
  api = endpointsOf(server.publicUrl);
  apis = await registerBothFormats(server.core, resources);
});
afterAll(() => server?.close());

const change = (id: string, patch: { scope?: string; information?: string[] }) =>
  server.core.change((transaction) => updateClient(transaction, server.core, actor, id, patch));

/** Introspects a token twice: the second answer may come from a cache. */
async function scopeOf(token: string, at: TestClient): Promise<unknown> {
  const [first, second] = [await api.introspect(at, token), await api.introspect(at, token)];
  expect(second.text).toBe(first.text);
  return first.json['active'] ? first.json['scope'] : first.json;
}

describe.each(['opaque', 'jwt'] as const)('a live %s token', (format) => {
  it('has the scope that was granted when it was issued, of which the client still has', async () => {
    const client = await register(server.core, { name: 'Grows', kind: 'integration', scope: 'orders:read' });
    const answer = await api.token(client, { resource: resources[format] });
    expect(answer.json['scope']).toBe('orders:read');
    const token = answer.json['access_token'] as string;

    await change(client.id, { scope: 'orders:read orders:delete' });
    expect(await scopeOf(token, apis[format])).toBe('orders:read');
    await change(client.id, { scope: 'orders:delete' });
    expect(await scopeOf(token, apis[format])).toEqual({ active: false });
    await change(client.id, { scope: 'orders:update orders:read' });
    expect(await scopeOf(token, apis[format])).toBe('orders:read');
    expect(await scopeOf(await api.accessToken(client, { resource: resources[format] }), apis[format])).toBe(
      'orders:update orders:read',
    );
  });

  it('has the scope that its access key allowed when it was issued, of which the key still allows', async () => {
    const { core } = server;
    const scope = 'orders:read orders:update orders:delete';
    const client = await register(core, { name: 'Keyed', kind: 'integration', scope });
    const contact = await core.change((tx) =>
      createContact(
        tx,
        core,
        { ...actor, permissions: [], organizationId: null },
        { name: 'Ann', email: 'ann@example.com' },
      ),
    );
    const input = { name: format, permissions: { orders: ['read', 'update'] as const } };
    const { key, accessKey } = await core.change((tx) => createAccessKey(tx, core, actor, contact.id, input));
    const save = (...orders: ('read' | 'update' | 'delete')[]) =>
      core.change((tx) => saveKey(tx, core, actor, key.id, { permissions: { orders } }));
    const token = await api.accessToken(client, { resource: resources[format], access_key: accessKey });
    expect(await scopeOf(token, apis[format])).toBe('orders:read orders:update');
    await save('read', 'delete');
    expect(await scopeOf(token, apis[format])).toBe('orders:read');
    await save('read', 'update', 'delete');
    expect(await scopeOf(token, apis[format])).toBe('orders:read orders:update');
  });

  it('does not gain what its resource server offers later', async () => {
    const other = `other-${format}`;
    await register(server.core, {
      name: other,
      kind: 'resource_server',
      resource: `https://${other}.example`,
      information: [other],
      tokenFormat: format,
    });
    const client = await register(server.core, {
      name: 'Two APIs',
      kind: 'integration',
      scope: `orders:read ${other}:read`,
    });
    const token = await api.accessToken(client, { resource: resources[format] });
    await change(apis[format].id, { information: ['orders', other] });
    expect(await scopeOf(token, apis[format])).toBe('orders:read');
    expect(await scopeOf(await api.accessToken(client, { resource: resources[format] }), apis[format])).toBe(
      `orders:read ${other}:read`,
    );
    await server.core.change(async (transaction) => {
      await updateClient(transaction, server.core, actor, client.id, { scope: 'orders:read' });
      await updateClient(transaction, server.core, actor, apis[format].id, { information: ['orders'] });
    });
  });
});

it('allows nothing once its scope is older than the 100 last ones', async () => {
  const client = await register(server.core, { name: 'Restless', kind: 'integration', scope: 'orders:read' });
  const token = await api.accessToken(client, { resource: resources.opaque });
  const changes = async (count: number) => {
    for (let index = 0; index < count; index++) {
      await change(client.id, { scope: index % 2 ? 'orders:read' : 'orders:read orders:create' });
    }
  };
  await changes(100);
  expect(await scopeOf(token, apis.opaque)).toBe('orders:read');
  await changes(1);
  expect(await scopeOf(token, apis.opaque)).toEqual({ active: false });
});
