import { randomBytes } from 'node:crypto';
import { runCommand } from '../cli/run-command.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { askPostgres } from '../services.ts';
import { endpointsOf, register } from './fixture.ts';
import { post } from './http-client.ts';

/** Imported secrets with characters that HTTP Basic of OAuth encodes and that of other protocols does not. */

const random = () => randomBytes(18).toString('base64url');
/** The decoded form of each secret differs from the secret, or it cannot be decoded. */
const secrets: Record<string, string> = {
  plus: `p+${random()}+x`,
  percent: `p%${random()}%`,
  encoded: `p%41${random()}%2B`,
  colon: `p:${random()}:x`,
  all: `+%41:${random()}:%zz+`,
};

/** A Client ID with all of these characters, and IDs that are the decoded form of one another. */
const ids = ['urn:example:app/1+a%2B=x', 'sync+stock', 'sync%2Bstock', 'https://app.example.com/oauth'];
const secretsOfIds = new Map(ids.map((id) => [id, `s${random()}`]));

let server: TestServer;
let withoutFastPath: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  withoutFastPath = await startTestServer({ stores: server.stores, env: { KEYTURN_FAST_PATH: 'off' } });
  const api = { kind: 'resource_server' as const, resource: 'https://orders.example', information: ['orders'] };
  await register(server.core, { name: 'Orders', ...api });
  const rows = Object.entries(secrets).map(([id, secret]) => ({ client_id: `special-${id}`, client_secret: secret }));
  rows.push(...[...secretsOfIds].map(([client_id, client_secret]) => ({ client_id, client_secret })));
  const { code, stderr } = await runCommand(
    ['clients', 'import', '-'],
    { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey },
    JSON.stringify(rows),
  );
  if (code !== 0) throw new Error(stderr);
});
afterAll(async () => {
  await withoutFastPath?.close();
  await server?.close();
});

const grant = { grant_type: 'client_credentials' };
const basic = (text: string) => ({ headers: { Authorization: `Basic ${Buffer.from(text).toString('base64')}` } });

test.each(Object.keys(secrets))(
  'accepts a secret with special characters (%s), form-encoded, as it is, and in the body',
  async (name) => {
    const [id, secret] = [`special-${name}`, secrets[name] ?? ''];
    for (const { publicUrl } of [server, withoutFastPath]) {
      const url = `${publicUrl}/oauth2/token`;
      // Twice, because the second request is answered from the cache of headers.
      for (const _ of [1, 2]) {
        const asWritten = await post(url, grant, basic(`${id}:${secret}`));
        const encoded = await endpointsOf(publicUrl).token({ id, secret });
        const inBody = await post(url, { ...grant, client_id: id, client_secret: secret });
        expect([asWritten.status, encoded.status, inBody.status]).toEqual([200, 200, 200]);
        const named = await post(url, { ...grant, client_id: id }, basic(`${id}:${secret}`));
        expect(named.status).toBe(200);
      }
      for (const wrong of [
        `${secret}x`,
        `x${secret}`,
        secret.replaceAll('+', ' '),
        encodeURIComponent(encodeURIComponent(secret)),
      ]) {
        if (wrong === secret) continue;
        expect([wrong, (await post(url, grant, basic(`${id}:${wrong}`))).status]).toEqual([wrong, 401]);
      }
    }
  },
);

test('shows an attempt with a wrong secret that cannot be decoded in the usage of its client', async () => {
  expect(
    (await post(`${server.publicUrl}/oauth2/token`, grant, basic('special-plus:%zz+not-the-secret+%'))).status,
  ).toBe(401);
  await server.core.usage.flush();
  const reasons = await askPostgres(
    server.stores.databaseUrl,
    `SELECT reason FROM rejected_requests r JOIN clients c ON c.id = r.client
     WHERE c.client_id = 'special-plus' ORDER BY seq DESC LIMIT 1`,
  );
  expect(JSON.stringify(reasons)).toContain('wrong_secret');
});

test.each(ids)('accepts the Client ID %s, form-encoded, in the body, and as it is if it has no colon', async (id) => {
  const secret = secretsOfIds.get(id) ?? '';
  for (const { publicUrl } of [server, withoutFastPath]) {
    const url = `${publicUrl}/oauth2/token`;
    for (const _ of [1, 2]) {
      const encoded = await post(url, grant, basic(`${encodeURIComponent(id)}:${secret}`));
      const inBody = await post(url, { ...grant, client_id: id, client_secret: secret });
      const asWritten = await post(url, grant, basic(`${id}:${secret}`));
      expect([encoded.status, inBody.status, asWritten.status]).toEqual([200, 200, id.includes(':') ? 401 : 200]);
    }
    // The secret of one ID is not accepted for another one that it may be the encoded form of.
    for (const other of ids.filter((each) => each !== id)) {
      expect((await post(url, { ...grant, client_id: other, client_secret: secret })).status).toBe(401);
    }
  }
});

test('rejects a Client ID with a space, a quote or another character of a shell, and says which ones are allowed', async () => {
  const rows = ['a b c', "a'b'c", 'a"b"c', 'a$b$c', 'a;b;c', '/abc', 'a`b`c', 'abc\u00e9'].map((client_id) => ({
    client_id,
    client_secret: `s${random()}`,
  }));
  const { code, stderr } = await runCommand(
    ['clients', 'import', '-', '--check'],
    { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey },
    JSON.stringify(rows),
  );
  expect(code).toBe(1);
  expect(stderr.match(/letters, digits and \. _ ~ @ \+ % : \/ = -/g)).toHaveLength(rows.length);
});
