import { connect } from 'node:net';
import { announceClient, findKnownClient } from '../../src/clients/client-store.ts';
import { disableClient } from '../../src/clients/manage-clients.ts';
import { checksum, generateClientId, generateSecret } from '../../src/credentials/credential-format.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { askPostgres } from '../services.ts';
import { actor, endpointsOf, register, registerAll, type TestClient, watchQueries } from './fixture.ts';
import { type Answer, basicOf, type Form, post, rawBasic, sendRaw } from './http-client.ts';

let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let api: ReturnType<typeof endpointsOf>;
let disabled: TestClient;
let ended: TestClient;

beforeAll(async () => {
  server = await startTestServer({ env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  clients = await registerAll(server.core);
  api = endpointsOf(server.publicUrl);
  const { core } = server;
  disabled = clients.partner;
  await core.change((transaction) => disableClient(transaction, core, actor, disabled.id));
  ended = clients.bare;
  await core.change(async (transaction) => {
    const known = await findKnownClient(transaction, ended.id);
    if (!known) throw new Error('not registered');
    const at = new Date(core.clock());
    await transaction.query('UPDATE secrets SET retires_at = $2 WHERE client = $1', [known.client.id, at]);
    await announceClient(transaction, known.client, at);
  });
});

afterAll(() => server?.close());

const grant = { grant_type: 'client_credentials' };
const refused = {
  status: 401,
  text: '{"error":"invalid_client","error_description":"Client authentication failed."}',
};

/** Sends a form with a given Authorization header to the token endpoint. */
const withHeader = (authorization: string, form: Form = grant) =>
  post(api.tokenUrl, form, { headers: { Authorization: authorization } });

/** Returns all bytes of an answer that could reveal something: everything except its ID and date. */
function bytesOf({ status, rawHeaders, text }: Answer): string {
  const changing = /^(x-request-id|date)$/i;
  const headers = rawHeaders.flatMap((name, index) =>
    index % 2 === 0 ? [`${name}: ${changing.test(name) ? 'x' : rawHeaders[index + 1]}`] : [],
  );
  return [status, ...headers, '', text].join('\n');
}

/** Returns a secret that differs only in its last random character and has a valid checksum. */
function neighbourOf(secret: string): string {
  const last = secret.charAt(46);
  const payload = secret.slice(0, 46) + (last === 'a' ? 'b' : 'a');
  return payload + checksum(payload);
}

describe('a failed authentication', () => {
  it('is answered with the same bytes for every reason, so that no answer reveals which Client IDs exist', async () => {
    const { shop } = clients;
    const answers = {
      'nothing presented': await post(api.tokenUrl, grant),
      'an id alone': await post(api.tokenUrl, { ...grant, client_id: shop.id }),
      'a secret alone': await post(api.tokenUrl, { ...grant, client_secret: shop.secret }),
      'unknown client': await api.token({ id: generateClientId(), secret: shop.secret }),
      'impossible client': await api.token({ id: 'shop', secret: shop.secret }),
      'wrong secret': await api.token({ id: shop.id, secret: generateSecret('kts_') }),
      'a neighbour of the secret': await api.token({ id: shop.id, secret: neighbourOf(shop.secret) }),
      'impossible secret': await api.token({ id: shop.id, secret: 'hunter2' }),
      "another client's secret": await api.token({ id: shop.id, secret: clients.orders.secret }),
      'disabled client': await api.token(disabled),
      'ended secret': await api.token(ended),
      'in the body': await post(api.tokenUrl, { ...grant, client_id: shop.id, client_secret: generateSecret('kts_') }),
      'at introspection': await api.introspect({ id: shop.id, secret: generateSecret('kts_') }, 'x'),
      'at revocation': await api.revoke({ id: generateClientId(), secret: shop.secret }, 'x'),
      'Bearer instead of Basic': await withHeader(`Bearer ${generateSecret('kta_')}`),
      'junk instead of Basic': await withHeader('junk'),
    };
    const first = bytesOf(answers['nothing presented']);
    expect(first).toContain('\nWWW-Authenticate: Basic realm="http://localhost:4000"\n');
    expect(first).toContain('\nCache-Control: no-store\n');
    for (const [name, answer] of Object.entries(answers)) expect([name, bytesOf(answer)]).toEqual([name, first]);
    expect(answers['unknown client']).toMatchObject(refused);
  });

  it('sends the database the same statements for a Client ID that is in use and for an unknown one', async () => {
    const inUse = await register(server.core, { name: 'In use', kind: 'integration' });
    expect((await api.token(inUse)).status).toBe(200);
    const unknown = generateClientId();
    for (const id of [inUse.id, unknown]) {
      const attempt = () => api.token({ id, secret: generateSecret('kts_') });
      // The first look-up of a Client ID that this process does not know yet is the same for both.
      expect(await attempt()).toMatchObject(refused);
      const queries = watchQueries(server.core);
      expect(await attempt()).toMatchObject(refused);
      queries.stop();
      expect(queries.changeReads()).toBeGreaterThan(0);
      expect(queries.clientLookups()).toEqual([]);
    }
  });

  it('re-reads the client first, so that a change by another process is respected', async () => {
    const { core } = server;
    const client = await register(core, { name: 'Elsewhere', kind: 'integration' });
    expect((await api.token(client)).status).toBe(200);
    await core.change((transaction) => disableClient(transaction, core, actor, client.id));
    expect(await api.token(client)).toMatchObject(refused);
    // Commit the change as another process does whose notification has not arrived yet.
    await askPostgres(
      server.stores.databaseUrl,
      `ALTER TABLE changes DISABLE TRIGGER changes_announce;
       UPDATE clients SET enabled = true WHERE client_id = '${client.id}';
       INSERT INTO changes (kind, target, at, expires_at) VALUES ('client', '${client.id}', now(), now() + interval '1 day');
       ALTER TABLE changes ENABLE TRIGGER changes_announce`,
    );
    expect((await api.token(client)).status).toBe(200);
  });
});

describe('HTTP Basic', () => {
  it('is decoded exactly once (RFC 6749 Appendix B)', async () => {
    const { id, secret } = clients.shop;
    const encodeAll = (text: string) =>
      [...text].map((character) => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');
    expect((await withHeader(rawBasic(`${id}:${secret}`))).status).toBe(200);
    expect((await withHeader(rawBasic(`${encodeAll(id)}:${encodeAll(secret)}`))).status).toBe(200);
    const twice = encodeAll(encodeAll(secret));
    expect(await withHeader(rawBasic(`${id}:${twice}`))).toMatchObject(refused);
  });

  it('may use any case and several spaces (RFC 9110 §11.1)', async () => {
    const { id, secret } = clients.shop;
    const encoded = Buffer.from(`${id}:${secret}`).toString('base64');
    for (const header of [`basic ${encoded}`, `BASIC   ${encoded}`]) {
      expect((await withHeader(header)).status).toBe(200);
    }
  });

  it.each<[string, (id: string, secret: string) => string]>([
    ['with junk after the base64', (id, secret) => `${rawBasic(`${id}:${secret}`)} junk`],
    ['with junk within the base64', (id, secret) => rawBasic(`${id}:${secret}`).replace(/.{8}$/, '$&!!')],
    ['with a second value', (id, secret) => `${rawBasic(`${id}:${secret}`)}, ${rawBasic(`${id}:${secret}`)}`],
    ['without a colon', (id, secret) => rawBasic(`${id}${secret}`)],
    ['with an empty id', (_, secret) => rawBasic(`:${secret}`)],
    ['with an empty secret', (id) => rawBasic(`${id}:`)],
    ['with only a colon', () => rawBasic(':')],
    ['without credentials', () => 'Basic'],
    ['with empty base64', () => 'Basic ='],
    ['with a raw % in the secret', (id, secret) => rawBasic(`${id}:${secret}%`)],
    ['with an invalid percent-encoding', (id, secret) => rawBasic(`${id}:%zz${secret}`)],
    ['with a percent-encoding that is not UTF-8', (id, secret) => rawBasic(`${id}:${secret}%ff`)],
    ['with a raw +, which is a space', (id, secret) => rawBasic(`${id}:${secret}+`)],
    ['with an encoded +', (id, secret) => rawBasic(`${id}:${secret}%2B`)],
    ['with a raw : in the secret', (id, secret) => rawBasic(`${id}:${secret}:`)],
    ['with an encoded : instead of the colon', (id, secret) => rawBasic(`${id}%3A${secret}`)],
    ['with a + in the id', (id, secret) => rawBasic(`+${id}:${secret}`)],
    [
      'with a byte that is not UTF-8',
      (id, secret) => `Basic ${Buffer.from(`${id}:${secret}\xff`, 'latin1').toString('base64')}`,
    ],
  ])('%s is rejected', async (_, header) => {
    expect(await withHeader(header(clients.shop.id, clients.shop.secret))).toMatchObject(refused);
  });

  it('is rejected if the header is repeated, because parsers may choose different ones', async () => {
    const { shop } = clients;
    const header = `Authorization: ${basicOf(shop.id, shop.secret)}\r\n`;
    for (const second of [header, 'AUTHORIZATION: Bearer x\r\n']) {
      const body = 'grant_type=client_credentials';
      const { text } = await sendRaw(
        server.publicUrl,
        `POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\n${header}${second}Connection: close\r\n` +
          `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      expect(text).toMatch(/^HTTP\/1\.1 400 /);
      expect(text).toContain('"error":"invalid_request"');
      expect(text).toContain('Cache-Control: no-store');
    }
  });

  it('is rejected together with a secret in the body (RFC 6749 §2.3)', async () => {
    const { shop } = clients;
    const both = await api.token(shop, { client_id: shop.id, client_secret: shop.secret });
    expect(both).toMatchObject({
      status: 400,
      json: {
        error: 'invalid_request',
        error_description: 'The request must use exactly one client authentication method.',
      },
    });
    expect(both.headers['cache-control']).toBe('no-store');
  });

  it('is rejected together with another client_id in the body', async () => {
    const { shop, orders } = clients;
    expect((await api.token(shop, { client_id: shop.id })).status).toBe(200);
    expect(await api.token(shop, { client_id: orders.id })).toMatchObject({
      status: 400,
      json: { error: 'invalid_request' },
    });
  });
});

describe('a secret', () => {
  it.each<[string, (secret: string) => string]>([
    ['with a trailing NUL', (secret) => `${secret}\0`],
    ['with a leading NUL', (secret) => `\0${secret}`],
    ['with a trailing space', (secret) => `${secret} `],
    ['with a trailing line break', (secret) => `${secret}\r\n`],
    ['in upper case', (secret) => secret.toUpperCase()],
    ['in lower case', (secret) => secret.toLowerCase()],
    ['without its last character', (secret) => secret.slice(0, -1)],
    ['without its checksum', (secret) => secret.slice(0, 47)],
    ['with an additional character', (secret) => `${secret}0`],
    ['padded to 72 bytes', (secret) => secret.padEnd(72, '0')],
    ['repeated twice', (secret) => secret + secret],
    ['with the prefix of another kind', (secret) => secret.replace('kts_', 'kta_')],
    ['of 10 kB', () => 'x'.repeat(10_000)],
  ])('%s is rejected', async (_, change) => {
    const { id, secret } = clients.shop;
    expect(await post(api.tokenUrl, { ...grant, client_id: id, client_secret: change(secret) })).toMatchObject(refused);
    const asBasic = await withHeader(basicOf(id, change(secret)));
    expect(asBasic).toMatchObject(refused);
  });

  it.each(['client_secret', 'client_assertion', 'access_key', 'token'])(
    'or token in the URL (%s) is rejected even if it is valid, because URLs are logged',
    async (name) => {
      const { shop } = clients;
      for (const path of ['token', 'introspect', 'revoke']) {
        const url = `${server.publicUrl}/oauth2/${path}?${new URLSearchParams({ [name]: shop.secret })}`;
        expect(await post(url, grant, { basic: [shop.id, shop.secret] })).toMatchObject({
          status: 400,
          json: { error: 'invalid_request' },
        });
      }
    },
  );

  it('is valid only with the Client ID that it was issued with', async () => {
    const { shop, orders } = clients;
    expect(await api.token({ id: shop.id, secret: orders.secret })).toMatchObject(refused);
    expect(await api.token({ id: orders.id, secret: shop.secret })).toMatchObject(refused);
  });
});

describe('a malformed Client ID', () => {
  const impossible: [string, string][] = [
    ['of 10 kB', 'x'.repeat(10_000)],
    ['of 10 kB with the right prefix', `kti_${'a'.repeat(10_000)}`],
    ['__proto__', '__proto__'],
    ['constructor', 'constructor'],
    ['with SQL', "' OR 1=1--"],
    ['with U+202E', 'kti_\u202eaaaaaaaaaaaaaaaaaaaaa'],
    ['with NUL', 'kti_aaaaaaaaaaaaaaaaaaaaaa\0'],
    ['with a line break', 'kti_aaaaaaaaaaaaaaaaaaaaaa\n'],
    ['with a wildcard', 'kti_%'],
    ['without its last character', 'kti_aaaaaaaaaaaaaaaaaaaaa'],
    ['in upper case', 'KTI_AAAAAAAAAAAAAAAAAAAAAA'],
  ];

  it.each(impossible)('(%s) is rejected without a database query', async (_, id) => {
    const queries = watchQueries(server.core);
    expect(await post(api.tokenUrl, { ...grant, client_id: id, client_secret: clients.shop.secret })).toMatchObject(
      refused,
    );
    expect(await withHeader(basicOf(id, clients.shop.secret))).toMatchObject(refused);
    queries.stop();
    expect(queries.clientLookups()).toEqual([]);
  });

  it('does not matter for a malformed secret, which is rejected without a database query too', async () => {
    const queries = watchQueries(server.core);
    expect(await api.token({ id: generateClientId(), secret: `${clients.shop.secret.slice(0, -1)}_` })).toMatchObject(
      refused,
    );
    queries.stop();
    expect(queries.clientLookups()).toEqual([]);
  });
});

it('survives a client that disconnects in the middle of its request', async () => {
  const { hostname, port } = new URL(server.publicUrl);
  for (let round = 0; round < 20; round++) {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    socket.write(
      'POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ngrant',
    );
    await new Promise((resolve) => setTimeout(resolve, 5));
    socket.resetAndDestroy();
  }
  expect((await api.token(clients.shop)).status).toBe(200);
});
