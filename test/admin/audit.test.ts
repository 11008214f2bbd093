import { Writable } from 'node:stream';
import { createLog } from '../../src/observability/log.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

let server: AdminServer;
let logged = '';

beforeAll(async () => {
  const stream = new Writable({
    write(chunk, _encoding, done) {
      logged += chunk;
      done();
    },
  });
  server = await startAdminServer({
    log: createLog('trace', stream),
    env: { KEYTURN_TRUST_PROXY: '127.0.0.0/8' },
  });
});
afterAll(() => server.close());

test('records every change with its operator and address, but no rejected change and no secret', async () => {
  const { id: operatorId, token } = await server.operator();
  const secrets: string[] = [token];
  const call = async (method: string, path: string, body?: object) => {
    const headers = { 'x-forwarded-for': '203.0.113.9, 198.51.100.7' };
    const answer = await server.adminFetch(path, { method, body, token, headers });
    secrets.push(...(answer.text.match(/kt[skao]_[0-9A-Za-z]{49}/g) ?? []));
    return answer;
  };

  const api = { name: 'API', kind: 'resource_server', resource: 'https://a.example', information: ['orders'] };
  await call('POST', '/clients', api);
  const { json: client } = await call('POST', '/clients', { name: 'Shop', kind: 'integration', scope: 'orders:read' });
  const path = `/clients/${client.client_id}`;
  await call('PATCH', path, { name: 'Shop 2' });
  await call('POST', `${path}/secret/reveal`);
  await call('POST', `${path}/authorization-token`);
  await call('DELETE', `${path}/authorization-token`);
  await call('POST', `${path}/tokens/revoke`);
  await call('DELETE', path);
  await call('PATCH', path, { nothing: 'known' });
  await call('POST', `${path}/disable`);
  await call('POST', `${path}/enable`);
  await call('POST', `${path}/disable`);
  await call('DELETE', path);
  const { json: contact } = await call('POST', '/contacts', { name: 'Ada', email: 'ada@example.com' });
  await call('PATCH', `/contacts/${contact.id}`, { permissions: ['audit:view'] });
  await call('POST', `/contacts/${contact.id}/operator-token`);
  await call('DELETE', `/contacts/${contact.id}/operator-token`);
  await call('DELETE', `/contacts/${contact.id}`);

  const { json } = await server.adminFetch(`/audit-events?limit=200&actor=${operatorId}`);
  const events = [...json.data].reverse() as { action: string; address: string; before: unknown; after: unknown }[];
  expect(events.map(({ action }) => action)).toEqual([
    'client.create',
    'client.create',
    'client.update',
    'client.reveal_secret',
    'authorization_token.issue',
    'authorization_token.revoke',
    'client.revoke_tokens',
    'client.disable',
    'client.enable',
    'client.disable',
    'client.delete',
    'contact.create',
    'contact.update',
    'operator_token.issue',
    'operator_token.revoke',
    'contact.delete',
  ]);
  expect(new Set(events.map(({ address }) => address))).toEqual(new Set(['198.51.100.7']));
  expect(events[2]).toMatchObject({
    target: client.client_id,
    before: { name: 'Shop', access_key: 'optional' },
    after: { name: 'Shop 2', access_key: 'optional' },
  });

  expect(secrets.length).toBeGreaterThanOrEqual(6);
  const rows = await server.core.database.query('SELECT e::text AS row FROM audit_events e');
  const places = { audit: JSON.stringify(rows), answers: JSON.stringify(json), log: logged };
  for (const [place, text] of Object.entries(places)) {
    const found = secrets.filter((secret) => text.includes(secret));
    expect([place, found]).toEqual([place, []]);
  }
  expect(logged).toContain(operatorId);
});

test('filters audit events by action, target and time', async () => {
  const { json: client } = await server.adminFetch('/clients', {
    method: 'POST',
    body: { name: 'Filtered', kind: 'integration' },
  });
  await server.adminFetch(`/clients/${client.client_id}/disable`, { method: 'POST' });
  const actions = async (query: string) =>
    (await server.adminFetch(`/audit-events?target=${client.client_id}&${query}`)).json.data.map(
      ({ action }: { action: string }) => action,
    );
  expect(await actions('')).toEqual(['client.disable', 'client.create']);
  expect(await actions('action=client.create')).toEqual(['client.create']);
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
  expect(await actions(`since=${tomorrow}`)).toEqual([]);
  expect(await actions(`until=${tomorrow}`)).toHaveLength(2);
  expect(await actions(`until=${encodeURIComponent('2020-01-01T00:00:00+02:00')}`)).toEqual([]);
});

test('ignores a forwarded address unless it comes from a trusted proxy', async () => {
  const direct = await startAdminServer();
  try {
    const headers = { 'x-forwarded-for': '203.0.113.9' };
    await direct.adminFetch('/clients', { method: 'POST', body: { name: 'A', kind: 'integration' }, headers });
    const { json } = await direct.adminFetch('/audit-events?action=client.create');
    expect(json.data[0].address).toBe('127.0.0.1');
  } finally {
    await direct.close();
  }
});
