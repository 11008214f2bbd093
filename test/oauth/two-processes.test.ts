import { startAdminServer } from '../admin/admin-server.ts';
import { eventually } from '../eventually.ts';
import { askPostgres } from '../services.ts';
import { startTcpProxy } from '../tcp-proxy.ts';
import { jwtBearer, makeAssertion, makePair, registerKeyClient } from './assertion.ts';
import { type DeafProcesses, startDeafProcesses } from './deaf-processes.ts';
import { endpointsOf, inactive, type TestClient } from './fixture.ts';
import { post } from './http-client.ts';

let here: DeafProcesses['here'];
let there: DeafProcesses['there'];
let atHere: DeafProcesses['atHere'];
let atThere: DeafProcesses['atThere'];
let api: DeafProcesses['api'];
let change: DeafProcesses['change'];
let cachedClient: DeafProcesses['cachedClient'];
let close: DeafProcesses['close'] | undefined;

beforeAll(async () => {
  ({ here, there, atHere, atThere, api, change, cachedClient, close } = await startDeafProcesses());
});
afterAll(() => close?.());

async function regenerate(path: string): Promise<Record<string, string>> {
  const { confirmation } = await change('POST', `${path}/regeneration/review`);
  return await change('POST', `${path}/regenerate`, { confirmation });
}

/** Changes that make something valid on one process, each used on the other one right after the answer. */
const uses: Record<string, () => Promise<boolean>> = {
  'a new secret': async () => {
    const { client, path } = await cachedClient();
    const { client_secret: secret = '' } = await regenerate(path);
    return (await atThere.token({ ...client, secret })).status === 200;
  },
  'a client that was enabled again': async () => {
    const { client, path } = await cachedClient();
    await change('POST', `${path}/disable`);
    await eventually(async () => (await atThere.token(client)).status === 401);
    await change('POST', `${path}/enable`);
    return (await atThere.token(client)).status === 200;
  },
  'a widened scope': async () => {
    const { client, path } = await cachedClient();
    await change('PATCH', path, { scope: 'orders:read orders:create' });
    return (await atThere.token(client, { scope: 'orders:create' })).status === 200;
  },
  'a token that was issued after all earlier ones were revoked': async () => {
    const { client, path } = await cachedClient();
    await change('POST', `${path}/tokens/revoke`);
    return (await atThere.introspect(api, await atHere.accessToken(client))).text !== inactive;
  },
  'a token that it issues after all earlier ones were revoked': async () => {
    const { client, path } = await cachedClient();
    await change('POST', `${path}/tokens/revoke`);
    const token = await atThere.accessToken(client);
    return (
      (await atThere.introspect(api, token)).text !== inactive &&
      (await atHere.introspect(api, token)).text !== inactive
    );
  },
  'a token of a secret that was just made': async () => {
    const { client, path } = await cachedClient();
    const { client_secret: secret = '' } = await regenerate(path);
    return (await atThere.introspect(api, await atHere.accessToken({ ...client, secret }))).text !== inactive;
  },
  'the earlier secret after an undo': async () => {
    const { client, path } = await cachedClient();
    const { regeneration_id: id } = await regenerate(path);
    await change('POST', `${path}/regenerations/${id}/undo`);
    return (await atThere.token(client)).status === 200;
  },
  'a new access key, and what it was given later': async () => {
    const { client } = await cachedClient('orders:read orders:create');
    const contact = await change('POST', '/contacts', { name: 'Ann', email: 'ann@example.com' });
    const key = await change('POST', `/contacts/${contact.id}/access-keys`, {
      name: `k${Math.random()}`,
      permissions: { orders: ['read'] },
    });
    const form = { access_key: key.access_key as string };
    if ((await atThere.token(client, form)).status !== 200) return false;
    await change('PATCH', `/access-keys/${key.id}`, { permissions: { orders: ['read', 'create'] } });
    if ((await atThere.token(client, { ...form, scope: 'orders:create' })).status !== 200) return false;
    await change('POST', `/access-keys/${key.id}/disable`);
    await eventually(async () => (await atThere.token(client, form)).status === 400);
    await change('POST', `/access-keys/${key.id}/enable`);
    return (await atThere.token(client, form)).status === 200;
  },
  'a new resource server': async () => {
    const { client, path } = await cachedClient();
    const name = `stock${Math.floor(Math.random() * 1e9)}`;
    const target = `https://${name}.example`;
    const made = await change('POST', '/clients', {
      name,
      kind: 'resource_server',
      resource: target,
      information: [name],
    });
    const _server = { id: made.client_id as string, secret: made.client_secret as string };
    await change('PATCH', path, { scope: `orders:read ${name}:read` });
    return (await atThere.token(client, { resource: target })).status === 200;
  },
};

test.each(Object.keys(uses))('accepts on one process, right after another one has answered: %s', async (name) => {
  for (let round = 0; round < 3; round++) expect([round, await uses[name]?.()]).toEqual([round, true]);
});

test('issues no token for a first registered key that ended while the process had cached its client', async () => {
  const leaked = await makePair();
  const id = await registerKeyClient(here.core, { jwks: { keys: [leaked.publicJwk] } }, { scope: 'orders:read' });
  const ask = async (scope: string) =>
    await post(`${here.publicUrl}/oauth2/token`, {
      grant_type: 'client_credentials',
      scope,
      client_assertion_type: jwtBearer,
      client_assertion: await makeAssertion(leaked, id, here.core.config.issuer),
    });
  expect((await ask('orders:read')).status).toBe(200);
  // No notification is sent, so the process still has the earlier client in its cache.
  await askPostgres(
    here.stores.databaseUrl,
    `UPDATE clients SET scope = '{orders:create,orders:read}' WHERE client_id = '${id}';
     INSERT INTO secrets (id, client, client_id, generation, verifier, key_version, hint, created_at, retires_at, ended_as, registration)
     SELECT id, id, client_id, 0, '\\x00', '', 'key', now(), now(), 'finished',
       jsonb_build_object('auth_method', auth_method, 'jwks', jwks, 'jwks_uri', NULL, 'certificate_subject', NULL)
     FROM clients WHERE client_id = '${id}';
     INSERT INTO changes (kind, target, at, expires_at) VALUES ('client', '${id}', now(), now() + interval '1 day')`,
  );
  // The cached client lacks this permission, so it is read again.
  expect((await ask('orders:create')).status).not.toBe(200);
});

test('accepts exactly one of two changes with the same If-Match on two processes at once', async () => {
  const { path } = await cachedClient();
  for (let round = 0; round < 5; round++) {
    const current = (await here.adminFetch(path)).headers.get('etag') ?? '';
    const answers = await Promise.all(
      [here, there].map((server, index) =>
        server.adminFetch(path, {
          method: 'PATCH',
          body: { name: `Round ${round}, ${index}` },
          headers: { 'if-match': current },
        }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412]);
  }
});

test('issues no token that it knows to have ended while its record was being stored', async () => {
  const proxy = await startTcpProxy(here.stores.redisUrl);
  const slow = await startAdminServer({ stores: { ...here.stores, redisUrl: proxy.url } });
  const atSlow = endpointsOf(slow.publicUrl);
  const { client, path } = await cachedClient();
  await atSlow.accessToken(client);
  proxy.stall();
  const coming = atSlow.token(client);
  await change('POST', `${path}/tokens/revoke`);
  await slow.core.feed.sync();
  proxy.restore();
  const { status, json } = await coming;
  expect(status).toBe(200);
  expect((await atHere.introspect(api, json['access_token'] as string)).text).not.toBe(inactive);
  await slow.close();
  await proxy.close();
});

/** Returns numbers from 0 to below 1 that depend on the seed alone (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test('processes accept everything that is valid after any order of confirmed changes on either of them', async () => {
  const seed = Number(process.env['TWO_PROCESSES_SEED'] ?? 1);
  const random = createRandom(seed);
  const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)] as T;
  const both = [
    { server: here, at: atHere },
    { server: there, at: atThere },
  ];
  type Known = {
    client: TestClient;
    isEnabled: boolean;
    undo?: { id: string; secret: string } | undefined;
    tokens: string[];
  };
  const all: Known[] = [];
  for (let count = 0; count < 3; count++) {
    const { client } = await cachedClient();
    all.push({ client, isEnabled: true, tokens: [] });
  }

  const changes: Record<
    string,
    (known: Known, act: (path: string, body?: object) => Promise<Record<string, string>>) => Promise<void>
  > = {
    enable: async (known, act) => {
      await act('/enable');
      known.isEnabled = true;
    },
    disable: async (known, act) => {
      await act('/disable');
      if (known.isEnabled) known.tokens = [];
      known.isEnabled = false;
    },
    'revoke all': async (known, act) => {
      await act('/tokens/revoke');
      known.tokens = [];
    },
    regenerate: async (known, act) => {
      const { confirmation } = await act('/regeneration/review');
      const { regeneration_id: id = '', client_secret: secret = '' } = await act('/regenerate', { confirmation });
      known.undo = { id, secret: known.client.secret };
      known.client = { ...known.client, secret };
      // Tokens of the previous secret stay valid, but an undo ends those of the new one; keep none to tell them apart.
      known.tokens = [];
    },
    undo: async (known, act) => {
      if (!known.undo) return;
      await act(`/regenerations/${known.undo.id}/undo`);
      known.client = { ...known.client, secret: known.undo.secret };
      known.undo = undefined;
      known.tokens = [];
    },
  };

  for (let step = 0; step < 150; step++) {
    const known = pick(all);
    const change = pick(Object.keys(changes));
    const where = pick(both);
    const history = { seed, step, change, where: both.indexOf(where) };
    await changes[change]?.(known, async (path, body = {}) => {
      const answer = await where.server.adminFetch(`/clients/${known.client.id}${path}`, { method: 'POST', body });
      expect({ ...history, path, isDone: answer.status < 300 }).toEqual({ ...history, path, isDone: true });
      return answer.json;
    });
    if (!known.isEnabled) continue;
    for (const { at } of both) {
      expect({ ...history, token: (await at.token(known.client)).status }).toEqual({ ...history, token: 200 });
    }
    // The other process may not know for a moment that tokens of the earlier epoch have ended.
    known.tokens.push(await where.at.accessToken(known.client));
    for (const token of known.tokens.slice(-3)) {
      const { text } = await pick(both).at.introspect(api, token);
      expect({ ...history, isActive: text !== inactive }).toEqual({ ...history, isActive: true });
    }
  }
});
