import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import type { ClientPatch } from '../../src/clients/given-details.ts';
import { updateClient } from '../../src/clients/manage-clients.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { askPostgres } from '../services.ts';
import { actor, endpointsOf, inactive, invoicesResource, ordersResource, registerAll } from './fixture.ts';
import { send } from './http-client.ts';

let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let api: ReturnType<typeof endpointsOf>;
let redis: Redis;

beforeAll(async () => {
  server = await startTestServer({ env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  clients = await registerAll(server.core);
  api = endpointsOf(server.publicUrl);
  redis = new Redis(server.stores.redisUrl);
});

afterAll(async () => {
  redis?.disconnect();
  await server?.close();
});

const recordsInRedis = async () => (await redis.keys(`${server.stores.redisPrefix}*`)).length;
const invalidScope = {
  error: 'invalid_scope',
  error_description: 'The requested scope is unknown or not granted to this client.',
};

describe('an access token', () => {
  it('is described completely, in an answer that is not cached', async () => {
    const answer = await api.token(clients.shop);
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      access_token: expect.stringMatching(/^kta_[0-9A-Za-z]{49}$/),
      token_type: 'Bearer',
      expires_in: 3600,
      scope: 'orders:read orders:create products:read',
    });
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      pragma: 'no-cache',
      'x-content-type-options': 'nosniff',
    });
  });

  it('is issued to a client that sends its secret in the body', async () => {
    const { id, secret } = clients.shop;
    const answer = await api.token(clients.shop, { client_id: id, client_secret: secret }, { headers: {} });
    expect(answer.status).toBe(400); // the request has Basic credentials too
    const posted = await send(api.tokenUrl, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: id,
        client_secret: secret,
      }).toString(),
    });
    expect(posted.status).toBe(200);
    expect(await api.introspect(clients.orders, posted.json['access_token'] as string)).toMatchObject({
      json: { active: true, client_id: id },
    });
  });

  it('is different for every request', async () => {
    const tokens = await Promise.all(Array.from({ length: 20 }, () => api.accessToken(clients.shop)));
    expect(new Set(tokens).size).toBe(20);
  });

  it('is stored in Redis under its SHA-256 for 3600 seconds, so that read access to Redis reveals no token', async () => {
    const token = await api.accessToken(clients.shop);
    const key = server.stores.redisPrefix + createHash('sha256').update(token).digest('base64url');
    const seconds = await redis.ttl(key);
    expect(seconds).toBeGreaterThan(3590);
    expect(seconds).toBeLessThanOrEqual(3600);
    const keys = await redis.keys(`${server.stores.redisPrefix}*`);
    const values = keys.map(async (name) =>
      (await redis.type(name)) === 'stream'
        ? JSON.stringify(await redis.xrange(name, '-', '+'))
        : await redis.get(name),
    );
    for (const text of [...keys, ...(await Promise.all(values))]) {
      expect(text).not.toContain(token);
      expect(text).not.toContain(token.slice(4, 47));
      expect(text).not.toMatch(/kt[skao]_/);
    }
  });

  it('is not stored in PostgreSQL, and neither are secrets', async () => {
    const token = await api.accessToken(clients.shop);
    await api.revoke(clients.shop, token);
    const tables = await askPostgres(
      server.stores.databaseUrl,
      `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`,
    );
    const dump = await Promise.all(
      tables.map(({ table_name: name }) =>
        askPostgres(server.stores.databaseUrl, `SELECT coalesce(json_agg(t)::text, '') AS rows FROM "${name}" t`),
      ),
    );
    const text = JSON.stringify(dump);
    expect(text).toContain(clients.shop.id);
    for (const value of [token, ...Object.values(clients).map(({ secret }) => secret)]) {
      expect(text).not.toContain(value);
      expect(text).not.toContain(value.slice(4, 47));
      expect(text).not.toContain(Buffer.from(value).toString('hex'));
      expect(text).not.toContain(Buffer.from(value).toString('base64').slice(0, 60));
    }
  });
});

describe('scope', () => {
  it('is the requested one if granted, without repetitions and in the requested order', async () => {
    const answer = await api.token(clients.shop, { scope: 'products:read orders:read products:read' });
    expect(answer.json).toMatchObject({ scope: 'products:read orders:read' });
  });

  it('is empty for an integration without permissions, which still gets a token', async () => {
    const answer = await api.token(clients.bare);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ scope: '' });
    const seen = await api.introspect(clients.orders, answer.json['access_token'] as string);
    expect(seen.json).toMatchObject({ active: true, scope: '' });
  });

  it.each([
    ['that no resource server offers', 'orders:read planets:move'],
    ['that was not granted', 'orders:delete'],
    ['of another integration', 'invoices:read'],
    ['in another case', 'Orders:read'],
    ['with a line break', 'orders:read\r\norders:create'],
    ['separated by a tab', 'orders:read\torders:create'],
    ['separated by a comma', 'orders:read,orders:create'],
    ['that is a wildcard', '*'],
    ['named like a member of every object', '__proto__'],
    ['with a look-alike character of another script', 'оrders:read'],
    ['of only spaces, which is malformed (RFC 6749 §3.3)', '   '],
    ['of 4,000 items', Array.from({ length: 4000 }, (_, index) => index.toString(36)).join(' ')],
  ])('%s is rejected, and no token is issued', async (_, scope) => {
    const before = await recordsInRedis();
    const answer = await api.token(clients.shop, { scope });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_scope' } });
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(await recordsInRedis()).toBe(before);
  });

  it('of 10,000 items exceeds the size of a request, so no token is issued', async () => {
    const before = await recordsInRedis();
    const answer = await api.token(clients.shop, { scope: 'a '.repeat(10_000) });
    expect(answer.status).toBe(413);
    expect(await recordsInRedis()).toBe(before);
  });

  it('that was removed from an integration is rejected', async () => {
    const { partner } = clients;
    const patch = (change: ClientPatch) =>
      server.core.change((transaction) => updateClient(transaction, server.core, actor, partner.id, change));
    await patch({ scope: 'orders:read' });
    expect(await api.token(partner, { scope: 'invoices:read' })).toMatchObject({ status: 400, json: invalidScope });
    expect((await api.token(partner)).json).toMatchObject({ scope: 'orders:read' });
    await patch({ scope: 'orders:read invoices:read' });
    expect((await api.token(partner)).json).toMatchObject({ scope: 'orders:read invoices:read' });
  });
});

describe('resource', () => {
  it('limits a token to its resource server and to the scopes it offers (RFC 8707)', async () => {
    const answer = await api.token(clients.partner, { resource: invoicesResource });
    expect(answer.json).toMatchObject({ scope: 'invoices:read' });
    const token = answer.json['access_token'] as string;
    expect((await api.introspect(clients.invoices, token)).json).toMatchObject({
      active: true,
      aud: invoicesResource,
      scope: 'invoices:read',
    });
    expect((await api.introspect(clients.orders, token)).text).toBe(inactive);
  });

  it('that is unknown is rejected', async () => {
    for (const resource of [
      'https://unknown.example',
      `${ordersResource}/`,
      'orders',
      'javascript:alert(1)',
      '__proto__',
    ]) {
      expect(await api.token(clients.shop, { resource })).toMatchObject({
        status: 400,
        json: { error: 'invalid_target', error_description: 'resource: no resource server has this identifier.' },
      });
    }
  });

  it('must not be repeated, so that no token is valid at two resource servers', async () => {
    const twice = new URLSearchParams([
      ['grant_type', 'client_credentials'],
      ['resource', ordersResource],
      ['resource', invoicesResource],
    ]);
    expect(
      await send(api.tokenUrl, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/x-www-form-urlencoded',
          Authorization: `Basic ${Buffer.from(`${clients.partner.id}:${clients.partner.secret}`).toString('base64')}`,
        },
        body: twice.toString(),
      }),
    ).toMatchObject({ status: 400, json: { error: 'invalid_target' } });
  });

  it('with a scope of another resource server is rejected', async () => {
    const asked = { resource: ordersResource, scope: 'invoices:read' };
    expect(await api.token(clients.partner, asked)).toMatchObject({ status: 400, json: invalidScope });
  });
});

describe('the token request', () => {
  it('is rejected from a resource server', async () => {
    const answer = await api.token(clients.orders);
    expect(answer).toMatchObject({ status: 400, json: { error: 'unauthorized_client' } });
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it.each([
    'authorization_code',
    'refresh_token',
    'password',
    'urn:openid:params:grant-type:ciba',
    'urn:ietf:params:oauth:grant-type:device_code',
    'CLIENT_CREDENTIALS',
    '__proto__',
    'constructor',
  ])('must have the grant type client_credentials, not %s', async (grant) => {
    const answer = await api.token(clients.shop, { grant_type: grant });
    expect(answer).toMatchObject({ status: 400, json: { error: 'unsupported_grant_type' } });
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it('must have a grant type', async () => {
    expect(await api.token(clients.shop, { grant_type: '' })).toMatchObject({
      status: 400,
      json: { error: 'invalid_request' },
    });
  });
});

describe('parameters', () => {
  it('are ignored if they are unknown (RFC 6749 §3.2)', async () => {
    const answer = await api.token(clients.shop, {
      audience: 'x',
      __proto__: 'x',
      '__proto__[active]': 'true',
      'constructor[prototype][x]': 'x',
      [`a${'[b]'.repeat(2000)}`]: 'x',
      'scope[]': 'orders:delete',
    });
    expect(answer).toMatchObject({ status: 200, json: { scope: 'orders:read orders:create products:read' } });
    expect(({} as Record<string, unknown>)['active']).toBeUndefined();
  });

  it('count as missing if they are empty (RFC 6749 §3.2)', async () => {
    const answer = await api.token(clients.shop, { scope: '', resource: '', client_secret: '', client_assertion: '' });
    expect(answer).toMatchObject({ status: 200, json: { scope: 'orders:read orders:create products:read' } });
  });

  it('must not be repeated, even with equal or empty values', async () => {
    for (const repeated of [
      'scope=a&scope=a',
      'scope=&scope=',
      'audience=a&audience=b',
      'grant_type=client_credentials',
    ]) {
      const answer = await send(api.tokenUrl, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/x-www-form-urlencoded',
          Authorization: `Basic ${Buffer.from(`${clients.shop.id}:${clients.shop.secret}`).toString('base64')}`,
        },
        body: `grant_type=client_credentials&${repeated}`,
      });
      expect(answer).toMatchObject({
        status: 400,
        json: { error: 'invalid_request', error_description: 'Parameters must not be repeated.' },
      });
      expect(answer.headers['cache-control']).toBe('no-store');
    }
  });

  it('are rejected if there are 100,000', async () => {
    const many = Array.from({ length: 100_000 }, (_, index) => `p${index}=`).join('&');
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    expect((await send(api.tokenUrl, { method: 'POST', headers, body: many })).status).toBe(413);
  });
});
