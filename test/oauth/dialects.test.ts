import { type Dialect, dialectNames } from '../../src/configuration/dialects.ts';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { createLog } from '../../src/observability/log.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { runCommand } from '../cli/run-command.ts';
import { createTestStores, type Stores } from '../harness.ts';
import {
  makeAssertion,
  makeDpopProof,
  makePair,
  postAssertion,
  registerKeyClient,
  type SigningPair,
} from './assertion.ts';
import { countSignatures } from './count-signatures.ts';
import { endpointsOf, invoicesResource, ordersResource, registerAll } from './fixture.ts';
import { type Answer, post, send } from './http-client.ts';

const issuer = 'http://localhost:4000';
const otherPaths = [
  '/oauth/token',
  '/connect/token',
  '/realms/shop/protocol/openid-connect/token',
  '/auth/realms/my%20shop/protocol/openid-connect/token',
];

let stores: Stores;
let clients: Awaited<ReturnType<typeof registerAll>>;
/** Without any dialect. */
let plain: AdminServer;
/** With all dialects, with and without the fast path. */
let on: AdminServer;
let onSlowly: AdminServer;
/** With all dialects but one. */
const others = new Map<Dialect, AdminServer>();
const log: string[] = [];

const start = (dialects: readonly Dialect[], env: Record<string, string> = {}) =>
  startAdminServer({
    stores,
    env: {
      KEYTURN_FAILURES_PER_MINUTE: '0',
      ...(dialects.length > 0 ? { KEYTURN_DIALECTS: dialects.join(',') } : {}),
      ...env,
    },
    log: createLog('info', { write: (line) => void log.push(line) }),
  });

beforeAll(async () => {
  stores = await createTestStores();
  plain = await start([]);
  clients = await registerAll(plain.core);
  on = await start(dialectNames);
  onSlowly = await start(dialectNames, { KEYTURN_FAST_PATH: 'off' });
});

afterAll(async () => {
  for (const server of others.values()) await server.close();
  await onSlowly?.close();
  await on?.close();
  await plain?.close();
});

/** Gives the answers of both servers that have all dialects, which must be equal. */
async function askBoth(ask: (url: string) => Promise<Answer>): Promise<Pick<Answer, 'status' | 'json'>> {
  const [fast, slow] = [await ask(on.publicUrl), await ask(onSlowly.publicUrl)].map(({ status, json }) => {
    const { access_token: _, ...shown } = json;
    return { status, json: shown };
  });
  expect(slow).toEqual(fast);
  return fast as Pick<Answer, 'status' | 'json'>;
}

/** Gives the answers of a server without any dialect, and of one with all others, which must be equal. */
async function askWithout(dialect: Dialect, ask: (server: AdminServer) => Promise<Answer>): Promise<Answer> {
  const other = others.get(dialect) ?? (await start(dialectNames.filter((name) => name !== dialect)));
  others.set(dialect, other);
  const [answer, same] = [await ask(plain), await ask(other)];
  const essential = ({ status, json }: Answer) => [status, json['error'], json['scope']];
  expect(essential(same)).toEqual(essential(answer));
  return answer;
}

const ask = (url: string, form: string) =>
  post(`${url}/oauth2/token`, `grant_type=client_credentials${form}`, {
    basic: [clients.partner.id, clients.partner.secret],
  });
const [orders, invoices] = [encodeURIComponent(ordersResource), encodeURIComponent(invoicesResource)];

describe('the dialect audience', () => {
  it('reads audience as resource if there is no resource', async () => {
    const scopeOf = async (form: string) => (await askBoth((url) => ask(url, form))).json['scope'];
    expect(await scopeOf('')).toBe('orders:read invoices:read');
    expect(await scopeOf(`&audience=${orders}`)).toBe('orders:read');
    expect(await scopeOf(`&audience=&audience=${orders}`)).toBe('orders:read');
    expect(await scopeOf('&audience=')).toBe('orders:read invoices:read');
    expect(await scopeOf(`&audience=${orders}&resource=${invoices}`)).toBe('invoices:read');
  });

  it('rejects several audiences, and one that no resource server has, with invalid_target', async () => {
    for (const form of [`&audience=${orders}&audience=${orders}`, '&audience=https://other.example', '&audience=x']) {
      const answer = await askBoth((url) => ask(url, form));
      expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_target' } });
    }
  });

  it('ignores audience when it is off, and rejects its repetition', async () => {
    const ignored = await askWithout('audience', ({ publicUrl }) => ask(publicUrl, `&audience=${orders}`));
    expect(ignored).toMatchObject({ status: 200, json: { scope: 'orders:read invoices:read' } });
    const repeated = await askWithout('audience', ({ publicUrl }) => ask(publicUrl, '&audience=a&audience=a'));
    expect(repeated).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });
});

describe('the dialect json_body', () => {
  const sendJson = (url: string, body: unknown, { path = '/oauth2/token', type = 'application/json' } = {}) =>
    send(url + path, {
      method: 'POST',
      headers: { 'Content-Type': type },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const valid = (more: object = {}) => ({
    grant_type: 'client_credentials',
    client_id: clients.partner.id,
    client_secret: clients.partner.secret,
    ...more,
  });

  it('issues a token for parameters in a JSON object, and ignores unknown members', async () => {
    for (const type of ['application/json', 'Application/JSON; charset=utf-8']) {
      const body = valid({ audience: ordersResource, scope: '', unknown: 'x' });
      const answer = await askBoth((url) => sendJson(url, body, { type }));
      expect(answer).toMatchObject({ status: 200, json: { token_type: 'Bearer', scope: 'orders:read' } });
    }
    expect((await askBoth((url) => ask(url, ''))).status).toBe(200);
  });

  it('rejects everything but a flat object of strings without repeated members', async () => {
    const text = JSON.stringify(valid());
    const bodies = [
      '',
      '{',
      'null',
      '[]',
      `[${text}]`,
      JSON.stringify(text),
      text.replace('}', ',"scope":"orders:read","scope":"orders:read"}'),
      text.replace('}', ',"\\u0067rant_type":"client_credentials"}'),
      text.replace('}', ',"__proto__":"x"}'),
      ...[1, null, true, ['x'], { x: 'y' }].map((scope) => valid({ scope })),
    ];
    for (const body of bodies) {
      const answer = await askBoth((url) => sendJson(url, body));
      expect({ body, ...answer }).toMatchObject({ body, status: 400, json: { error: 'invalid_request' } });
    }
  });

  it('applies the limit of the size and the rules of authentication of a form', async () => {
    const padded = (length: number) =>
      valid({ unknown: 'x'.repeat(length - JSON.stringify(valid({ unknown: '' })).length) });
    expect((await askBoth((url) => sendJson(url, padded(16 * 1024)))).status).toBe(200);
    expect((await askBoth((url) => sendJson(url, padded(16 * 1024 + 1)))).status).toBe(413);
    const wrong = await askBoth((url) => sendJson(url, valid({ client_secret: 'x'.repeat(32) })));
    expect(wrong).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
    const twice = await askBoth((url) =>
      send(`${url}/oauth2/token`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: 'Basic eDp5' },
        body: JSON.stringify(valid()),
      }),
    );
    expect(twice).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });

  it('is only for token requests', async () => {
    const { id: client_id, secret: client_secret } = clients.orders;
    for (const path of ['/oauth2/introspect', '/oauth2/revoke']) {
      const body = { client_id, client_secret, token: 'x' };
      expect((await askBoth((url) => sendJson(url, body, { path }))).status).toBe(415);
    }
  });

  it('rejects JSON with 415 when it is off', async () => {
    const answer = await askWithout('json_body', ({ publicUrl }) => sendJson(publicUrl, valid()));
    expect(answer).toMatchObject({ status: 415, json: { error: 'invalid_request' } });
  });
});

describe('the dialect token_endpoint_audience', () => {
  const endpoint = `${issuer}/oauth2/token`;
  const accepted = [issuer, endpoint, [issuer], [endpoint], ['https://other.example', endpoint]];
  const foreign = [
    undefined,
    [],
    [[issuer]],
    'https://other.example',
    ['https://other.example'],
    `${issuer}/`,
    `${issuer}/oauth2/introspect`,
    `${issuer}.example/oauth2/token`,
    `${endpoint}?x`,
  ];
  let pair: SigningPair;
  let clientId: string;

  beforeAll(async () => {
    pair = await makePair();
    clientId = await registerKeyClient(plain.core, { jwks: { keys: [pair.publicJwk] } });
  });

  const askFor = async (url: string, aud: unknown) =>
    await postAssertion(`${url}/oauth2/token`, await makeAssertion(pair, clientId, issuer, { claims: { aud } }));

  it('accepts an assertion for the token endpoint, and one for several servers of which one is this', async () => {
    for (const aud of accepted) {
      expect({ aud, status: (await askBoth((url) => askFor(url, aud))).status }).toEqual({ aud, status: 200 });
    }
    for (const aud of foreign) {
      expect({ aud, status: (await askBoth((url) => askFor(url, aud))).status }).toEqual({ aud, status: 401 });
    }
  });

  it('accepts the URL of another path of the token endpoint only if that path is served', async () => {
    for (const path of otherPaths) {
      expect((await askBoth((url) => askFor(url, issuer + path))).status).toBe(200);
      const answer = await askWithout('other_paths', ({ publicUrl }) => askFor(publicUrl, issuer + path));
      expect(answer.status).toBe(401);
    }
  });

  it('accepts such an assertion once', async () => {
    const assertion = await makeAssertion(pair, clientId, issuer, { claims: { aud: [endpoint] } });
    const answers = [];
    for (const { publicUrl } of [on, onSlowly, on]) {
      answers.push((await postAssertion(`${publicUrl}/oauth2/token`, assertion)).status);
    }
    expect(answers).toEqual([200, 401, 401]);
  });

  it('requires the issuer as a single string when it is off', async () => {
    for (const aud of [...accepted, ...foreign]) {
      const answer = await askWithout('token_endpoint_audience', ({ publicUrl }) => askFor(publicUrl, aud));
      expect({ aud, status: answer.status }).toEqual({ aud, status: aud === issuer ? 200 : 401 });
    }
  });
});

describe('the dialect rs256_assertions', () => {
  let rsa: SigningPair;

  beforeAll(async () => {
    rsa = await makePair('RS256');
  });

  const registerAt = (server: AdminServer, jwk: object, name = 'RSA') =>
    server.adminFetch('/clients', {
      method: 'POST',
      body: { name, kind: 'integration', auth_method: 'private_key_jwt', jwks: { keys: [jwk] } },
    });
  const askWith = async (url: string, clientId: string, alg: string) => {
    const privateKey = await crypto.subtle.importKey(
      'pkcs8',
      Buffer.from(await crypto.subtle.exportKey('pkcs8', rsa.privateKey as never)),
      { name: alg === 'PS256' ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
      false,
      ['sign'],
    );
    return await postAssertion(`${url}/oauth2/token`, await makeAssertion({ alg, privateKey }, clientId, issuer));
  };

  it('accepts assertions with RS256 of a registered RSA key, unless the key is for PS256', async () => {
    const { publicJwk } = rsa;
    const expected = { RS256: [200, 401], PS256: [401, 200], none: [200, 200] };
    for (const [alg, statuses] of Object.entries(expected)) {
      const { status, json } = await registerAt(on, alg === 'none' ? publicJwk : { ...publicJwk, alg });
      expect(status).toBe(201);
      const answers = [];
      for (const used of ['RS256', 'PS256']) {
        answers.push((await askBoth((url) => askWith(url, json.client_id, used))).status);
      }
      expect({ alg, answers }).toEqual({ alg, answers: statuses });
    }
  });

  it('rejects RSA keys of less than 2,048 bits', async () => {
    const { publicKey } = await crypto.subtle.generateKey(
      { name: 'RSASSA-PKCS1-v1_5', modulusLength: 1_024, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
      true,
      ['sign', 'verify'],
    );
    const { kty, n, e } = await crypto.subtle.exportKey('jwk', publicKey);
    expect((await registerAt(on, { kty, n, e, alg: 'RS256' })).status).toBe(400);
  });

  it('rejects DPoP proofs with RS256', async () => {
    const htu = `${issuer}/oauth2/token`;
    const token = (proof: string) => endpointsOf(on.publicUrl).token(clients.shop, {}, { headers: { DPoP: proof } });
    const nonce = (await token('x')).headers['dpop-nonce'] as string;
    const answer = await token(await makeDpopProof(rsa, { htu, nonce }));
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_dpop_proof' } });
    const other = await token(await makeDpopProof(await makePair('PS256'), { htu, nonce }));
    expect(other.status).toBe(200);
  });

  it('is in the metadata for the authentication of clients only', async () => {
    const names = (base: string) => `${base}_signing_alg_values_supported`;
    const algorithmsOf = async ({ publicUrl }: AdminServer) => {
      const { json } = await send(`${publicUrl}/.well-known/oauth-authorization-server`);
      return ['token_endpoint_auth', 'introspection_endpoint_auth', 'revocation_endpoint_auth', 'dpop'].map(
        (base) => json[names(base)],
      );
    };
    const usual = ['ES256', 'EdDSA', 'Ed25519', 'PS256'];
    const more = [...usual, 'RS256'];
    expect(await algorithmsOf(on)).toEqual([more, more, more, usual]);
    expect(await algorithmsOf(plain)).toEqual([usual, usual, usual, usual]);
  });

  it('lets clients that require RS256 be imported, with their keys for nothing else', async () => {
    const client_id = 'imported-with-rs256';
    const authentication = {
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'RS256',
      jwks: { keys: [rsa.publicJwk] },
    };
    const file = JSON.stringify([{ client_id, grant_types: ['client_credentials'], ...authentication }]);
    const importWith = (env: Record<string, string>) =>
      runCommand(
        ['clients', 'import', '-'],
        { DATABASE_URL: stores.databaseUrl, KEYTURN_ROOT_KEY: stores.rootKey, ...env },
        file,
      );
    const { code, stdout, stderr } = await importWith({});
    expect({ code, text: stdout + stderr }).toEqual({ code: 1, text: expect.stringContaining('is none of ES256') });
    const imported = await importWith({ KEYTURN_DIALECTS: 'rs256_assertions' });
    expect(imported).toMatchObject({ code: 0 });
    expect((await askBoth((url) => askWith(url, client_id, 'RS256'))).status).toBe(200);
    expect((await askBoth((url) => askWith(url, client_id, 'PS256'))).status).toBe(401);
  });

  it('rejects the registration of such keys and their assertions when it is off', async () => {
    const { json } = await registerAt(on, { ...rsa.publicJwk, alg: 'RS256' });
    const open = await registerAt(plain, rsa.publicJwk);
    expect(open.status).toBe(201);
    for (const id of [json.client_id, open.json.client_id] as string[]) {
      const answer = await askWithout('rs256_assertions', ({ publicUrl }) => askWith(publicUrl, id, 'RS256'));
      expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
    }
    expect((await askWith(plain.publicUrl, open.json.client_id, 'PS256')).status).toBe(200);
    const refused = await registerAt(plain, { ...rsa.publicJwk, alg: 'RS256' });
    expect(refused).toMatchObject({ status: 400, json: { detail: 'jwks.keys[0]: the key must have the alg PS256.' } });
  });
});

describe('the dialect other_paths', () => {
  const askAt = (url: string, path: string) =>
    post(url + path, { grant_type: 'client_credentials' }, { basic: [clients.shop.id, clients.shop.secret] });

  it('serves the token endpoint at the paths of Auth0, IdentityServer and Keycloak, and logs its own path', async () => {
    for (const path of otherPaths) {
      log.length = 0;
      const answer = await askBoth((url) => askAt(url, path));
      expect(answer).toMatchObject({ status: 200, json: { scope: 'orders:read orders:create products:read' } });
      const paths = log
        .map((line) => JSON.parse(line) as { msg: string; path?: string })
        .filter(({ msg }) => msg === 'request');
      expect(paths.map((line) => line.path)).toEqual(['/oauth2/token', '/oauth2/token']);
      expect(log.join('')).not.toContain('realms');
    }
  });

  it('serves nothing else there, and no other path', async () => {
    const [path = ''] = otherPaths;
    const wrong = await post(on.publicUrl + path, 'grant_type=client_credentials', {
      basic: [clients.shop.id, 'x'.repeat(20)],
    });
    expect(wrong).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
    expect(await send(on.publicUrl + path)).toMatchObject({ status: 405, headers: { allow: 'POST' } });
    expect((await askAt(on.publicUrl, `${path}?client_secret=x`)).status).toBe(400);
    const others = [
      '/oauth/token/',
      '/OAuth/token',
      '/oauth/revoke',
      '/connect/introspect',
      '/realms//protocol/openid-connect/token',
      '/realms/a/b/protocol/openid-connect/token',
      '/realms/shop/protocol/openid-connect/token/introspect',
    ];
    for (const other of others) {
      expect({ other, status: (await askBoth((url) => askAt(url, other))).status }).toEqual({ other, status: 404 });
    }
  });

  it('compares htu of a DPoP proof with the URL that was called', async () => {
    const pair = await makePair();
    const [path = '', another = ''] = otherPaths;
    const token = (proof: string) =>
      post(on.publicUrl + path, 'grant_type=client_credentials', {
        basic: [clients.shop.id, clients.shop.secret],
        headers: { DPoP: proof },
      });
    const nonce = (await token('x')).headers['dpop-nonce'] as string;
    const statuses = [];
    for (const called of [path, another, '/oauth2/token']) {
      statuses.push((await token(await makeDpopProof(pair, { htu: issuer + called, nonce }))).status);
    }
    expect(statuses).toEqual([200, 400, 400]);
  });

  it('does not serve these paths when it is off', async () => {
    for (const path of otherPaths) {
      const answer = await askWithout('other_paths', ({ publicUrl }) => askAt(publicUrl, path));
      expect(answer).toMatchObject({ status: 404, json: { error: 'not_found' } });
    }
  });
});

describe('a dialect of one client', () => {
  const json = 'application/json';
  const [path = ''] = otherPaths;
  let other: { id: string; secret: string };
  let own: { id: string; secret: string };
  /** A process that has all dialects of its clients cached. */
  let second: AdminServer;

  beforeAll(async () => {
    second = await start([]);
    own = await makeClient('Own');
    other = await makeClient('Other');
  });
  afterAll(() => second?.close());

  async function makeClient(name: string) {
    const scope = 'orders:read invoices:read';
    const body = { name, kind: 'integration', scope };
    const { status, json: made } = await plain.adminFetch('/clients', { method: 'POST', body });
    expect(status).toBe(201);
    return { id: made.client_id as string, secret: made.client_secret as string };
  }

  const setDialects = (dialects: unknown, id = own.id) =>
    plain.adminFetch(`/clients/${id}`, { method: 'PATCH', body: { dialects } });
  const askAs = (
    { id, secret }: { id: string; secret: string },
    { at = '/oauth2/token', type = 'application/x-www-form-urlencoded', server = plain, more = {} } = {},
  ) => {
    const members = { grant_type: 'client_credentials', client_id: id, client_secret: secret, ...more };
    return send(server.publicUrl + at, {
      method: 'POST',
      headers: { 'Content-Type': type },
      body: type === json ? JSON.stringify(members) : new URLSearchParams(members).toString(),
    });
  };
  const shown = ({ status, headers, text }: Answer) => ({
    status,
    challenge: headers['www-authenticate'],
    allow: headers['allow'],
    text,
  });

  it('is accepted of this client alone, in every process, until it is switched off', async () => {
    const asked = [{ type: json }, { at: path }, { at: path, type: json }, { more: { audience: ordersResource } }];
    const statuses = async (client: typeof own, server: AdminServer) => {
      const answers = [];
      for (const request of asked) {
        const { status, json: answer } = await askAs(client, { ...request, server });
        answers.push(status === 200 ? answer['scope'] : status);
      }
      return answers;
    };
    const off = [415, 404, 404, 'orders:read invoices:read'];
    expect([await statuses(own, plain), await statuses(own, second)]).toEqual([off, off]);
    const { status, json: changed } = await setDialects(['json_body', 'other_paths', 'audience', 'audience']);
    expect({ status, dialects: changed.dialects }).toEqual({
      status: 200,
      dialects: ['json_body', 'other_paths', 'audience'],
    });
    const all = 'orders:read invoices:read';
    expect(await statuses(own, plain)).toEqual([all, all, all, 'orders:read']);
    expect(await statuses(other, plain)).toEqual(off);
    // No request of this client is refused from the cache of another process.
    expect((await statuses(own, second)).slice(0, 3)).toEqual([all, all, all]);
    expect((await setDialects([])).json.dialects).toEqual([]);
    expect(await statuses(own, plain)).toEqual(off);
  });

  it('shows nobody which clients exist or have it', async () => {
    await setDialects(['json_body', 'other_paths']);
    const wrong = `${own.secret.slice(0, -1)}${own.secret.endsWith('0') ? '1' : '0'}`;
    const failures = [
      { id: own.id, secret: 'x'.repeat(30) },
      { id: own.id, secret: wrong },
      { id: other.id, secret: 'x'.repeat(30) },
      other,
      { id: 'kti_0000000000000000000000', secret: own.secret },
    ];
    for (const request of [{ type: json }, { at: path }, { at: path, type: json }]) {
      const answers = [];
      for (const client of failures) answers.push(shown(await askAs(client, request)));
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
      expect(answers[0]).toMatchObject({ status: request.at ? 404 : 415, challenge: undefined, allow: undefined });
    }
    for (const body of ['', '{', '[]', '{"client_id":1}']) {
      const answer = await send(`${plain.publicUrl}/oauth2/token`, {
        method: 'POST',
        headers: { 'Content-Type': json },
        body,
      });
      expect(answer.status).toBe(415);
    }
    expect((await send(plain.publicUrl + path)).status).toBe(404);
  });

  it('tells operators why the hidden request of a client was rejected', async () => {
    await setDialects(['json_body']);
    const hidden = await askAs({ id: own.id, secret: generateSecret('kts_') }, { type: json });
    expect(hidden.status).toBe(415);
    await plain.core.usage.flush();
    const { json: explained } = await plain.adminFetch('/explain', {
      method: 'POST',
      body: { value: hidden.headers['x-request-id'] },
    });
    const found = {
      kind: 'request',
      verdict: 'rejected',
      findings: [{ rule: 'wrong_secret', subject: { id: own.id } }],
    };
    expect(explained).toMatchObject(found);
  });

  it('makes errors after authentication visible to the client', async () => {
    await setDialects(['json_body', 'audience']);
    const answer = await askAs(own, { type: json, more: { scope: 'orders:delete' } });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_scope' } });
    const target = await askAs(own, { type: json, more: { audience: 'https://other.example' } });
    expect(target).toMatchObject({ status: 400, json: { error: 'invalid_target' } });
  });

  it('accepts assertions with RS256, for the token endpoint, of this client alone', async () => {
    const rsa = await makePair('RS256');
    const jwks = { keys: [{ ...rsa.publicJwk, alg: 'RS256' }] };
    const register = (dialects: string[]) =>
      plain.adminFetch('/clients', {
        method: 'POST',
        body: { name: 'RSA', kind: 'integration', auth_method: 'private_key_jwt', jwks, dialects },
      });
    expect((await register(['audience'])).status).toBe(400);
    const { json: made } = await register(['rs256_assertions']);
    const id = made.client_id as string;
    const askFor = async (aud: unknown) =>
      (
        await postAssertion(
          `${plain.publicUrl}/oauth2/token`,
          await makeAssertion(rsa, id, issuer, { claims: { aud } }),
        )
      ).status;
    const endpoint = `${issuer}/oauth2/token`;
    expect([await askFor(issuer), await askFor(endpoint)]).toEqual([200, 401]);
    await setDialects(['rs256_assertions', 'token_endpoint_audience'], id);
    expect([await askFor([endpoint]), await askFor(`${issuer}${path}`)]).toEqual([200, 401]);
    // The key could not be used any more.
    const refused = await setDialects([], id);
    expect(refused).toMatchObject({ status: 400, json: { detail: 'jwks.keys[0]: the key must have the alg PS256.' } });
    expect(await askFor(issuer)).toBe(200);
  });

  it('costs as many checks of signatures for every client and for none', async () => {
    const rsa = await makePair('RS256');
    const stranger = await makePair('RS256');
    const keyed = (dialects: Dialect[]) =>
      registerKeyClient(plain.core, { jwks: { keys: [rsa.publicJwk] } }, { dialects });
    const ids = [await keyed(['rs256_assertions']), await keyed([]), own.id, 'kti_0000000000000000000000'];
    const counts: number[] = [];
    for (const id of ids) {
      const assertion = await makeAssertion(stranger, id, issuer);
      const signatures = countSignatures();
      const answer = await postAssertion(`${plain.publicUrl}/oauth2/token`, assertion);
      counts.push(signatures.stop());
      expect(answer.status).toBe(401);
    }
    expect(new Set(counts).size).toBe(1);
    expect(counts[0]).toBeGreaterThan(0);
  });

  it('needs the permission to manage API keys if it accepts weaker assertions', async () => {
    const editor = await plain.operatorToken(['integrations:view', 'integrations:edit']);
    const change = (dialects: string[]) =>
      plain.adminFetch(`/clients/${own.id}`, { method: 'PATCH', body: { dialects }, token: editor });
    expect((await change(['json_body'])).status).toBe(200);
    for (const name of ['rs256_assertions', 'token_endpoint_audience']) expect((await change([name])).status).toBe(403);
  });

  it('is rejected if it is unknown, or changes token requests and the client is a resource server', async () => {
    expect((await setDialects(['json'])).status).toBe(400);
    for (const name of ['audience', 'json_body', 'other_paths']) {
      const answer = await setDialects([name], clients.orders.id);
      expect(answer).toMatchObject({ status: 400, json: { detail: expect.stringContaining('dialects:') } });
    }
    expect((await setDialects(['token_endpoint_audience'], clients.orders.id)).status).toBe(200);
    expect((await setDialects([], clients.orders.id)).status).toBe(200);
  });
});
