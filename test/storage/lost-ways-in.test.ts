import { randomUUID } from 'node:crypto';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';
import { createTestStores, type Stores } from '../harness.ts';
import { askPostgres } from '../services.ts';
import { backUp, restore } from './restored-database.ts';

let stores: Stores;
let server: ConsoleServer;

beforeEach(async () => {
  stores = await createTestStores();
  server = await startConsole({ stores });
});
afterEach(() => server.close());

/** Acts, then brings the database back to its state before, and starts a server on it that knows the act from Redis. */
async function lose(act: () => Promise<unknown>): Promise<void> {
  await server.close();
  const backup = await backUp(stores);
  server = await startConsole({ stores });
  await act();
  await server.close();
  await restore(stores, backup);
  server = await startConsole({ stores });
}

async function send(method: string, path: string, body?: object) {
  const answer = await server.adminFetch(path, { method, ...(body ? { body } : {}) });
  if (answer.status > 299) throw new Error(`${method} ${path}: ${answer.text}`);
  return answer.json;
}

const isSignedIn = async (cookie: string) => (await server.look('/console/integrations', cookie)).status === 200;

async function lossEvent() {
  const { data } = await send('GET', '/audit-events?action=deployment.changes_lost');
  expect(data).toHaveLength(1);
  return data[0].after;
}

test('sessions that were ended, and those of a deleted contact, stay ended if the database has lost it', async () => {
  const [stays, signedOut, leaver] = await Promise.all([server.operator(), server.operator(), server.operator()]);
  const cookies: string[] = [];
  for (const { token } of [stays, signedOut, leaver]) cookies.push(await server.signIn(token));
  await lose(async () => {
    await send('DELETE', `/contacts/${signedOut.id}/sessions`);
    await send('DELETE', `/contacts/${leaver.id}`);
  });

  expect(await Promise.all(cookies.map(isSignedIn))).toEqual([true, false, false]);
  // Its operator token has ended too, and it may not do anything if it finds another way in.
  expect((await send('GET', `/contacts/${leaver.id}`)).permissions).toEqual([]);
  expect((await server.adminFetch('/me', { token: leaver.token })).status).toBe(401);
  expect((await server.adminFetch('/me', { token: signedOut.token })).status).toBe(200);
  expect(await lossEvent()).toMatchObject({ removed: 2 });
});

test('removed passkeys, withdrawn invitations and removed webhooks are removed again', async () => {
  const { id } = await server.operator();
  const passkey = randomUUID();
  await askPostgres(
    stores.databaseUrl,
    `INSERT INTO passkeys (id, name_id, rp_id, contact, name, public_key, counter, transports, created_at)
     VALUES ('credential', '${passkey}', 'localhost', '${id}', 'Laptop', '\\x00', 0, '{}', now())`,
  );
  const invited = { email: 'ida@example.com', name: 'Ida', permissions: ['contacts:manage'] };
  const invitation = await send('POST', '/invitations', invited);
  const webhook = await send('POST', '/webhooks', { name: 'Chat', url: 'https://chat.example/' });
  await lose(async () => {
    await send('DELETE', `/contacts/${id}/passkeys/${passkey}`);
    await send('DELETE', `/invitations/${invitation.id}`);
    await send('DELETE', `/webhooks/${webhook.id}`);
  });

  expect((await send('GET', `/contacts/${id}/passkeys`)).data).toEqual([]);
  expect((await send('GET', '/invitations')).data).toEqual([]);
  expect((await send('GET', '/webhooks')).data).toEqual([]);
  expect(await lossEvent()).toMatchObject({ removed: 3 });
});

test('trusts and identity providers that were removed or trust others are disabled, renamed ones stay enabled', async () => {
  const client = await send('POST', '/clients', { name: 'Shop', kind: 'integration' });
  const trust = (name: string) =>
    send('POST', '/trusts', {
      client_id: client.client_id,
      name,
      issuer: `https://${name}.example`,
      conditions: [{ claim: 'sub', equals: name }],
    });
  const provider = (name: string) =>
    send('POST', '/identity-providers', { name, issuer: `https://${name}.example`, client_id: 'keyturn' });
  const trusts = [await trust('removed'), await trust('narrowed'), await trust('renamed')];
  const providers = [await provider('removed'), await provider('narrowed'), await provider('renamed')];
  await lose(async () => {
    for (const [path, [removed, narrowed, renamed]] of [
      ['/trusts', trusts],
      ['/identity-providers', providers],
    ] as const) {
      await send('DELETE', `${path}/${removed?.id}`);
      await send('PATCH', `${path}/${narrowed?.id}`, { issuer: 'https://other.example' });
      await send('PATCH', `${path}/${renamed?.id}`, { name: 'other' });
    }
  });

  for (const path of ['/trusts', '/identity-providers']) {
    const { data } = await send('GET', path);
    const enabled = data.filter(
      (each: { enabled?: boolean; status?: string }) => each.enabled ?? each.status === 'enabled',
    );
    expect([path, enabled.map(({ name }: { name: string }) => name)]).toEqual([path, ['renamed']]);
  }
  expect(await lossEvent()).toMatchObject({ distrusted: 4 });
});

test('an operator token is accepted only from its networks again', async () => {
  const { id: contact } = await server.operator();
  const { id, operator_token: token } = await send('POST', '/operator-tokens', {
    name: 'Pipeline',
    contact_id: contact,
  });
  const use = async (address: string) =>
    (await server.adminFetch('/me', { token, headers: { 'x-forwarded-for': address } })).status;
  await lose(() =>
    send('PATCH', `/operator-tokens/${id}`, { allowed_networks: ['198.51.100.0/24'], network_mode: 'enforce' }),
  );

  expect([await use('198.51.100.7'), await use('203.0.113.9')]).toEqual([200, 401]);
  expect(await lossEvent()).toMatchObject({ narrowed: 1 });
});
