import { generateKeyPairSync } from 'node:crypto';
import { makeAssertion, makePair, postAssertion, type SigningPair } from '../oauth/assertion.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

let server: AdminServer;
let pair: SigningPair;

beforeAll(async () => {
  server = await startAdminServer();
  pair = await makePair();
});

afterAll(() => server?.close());

const generate = (body: object) =>
  server.adminFetch('/clients', {
    method: 'POST',
    body: { name: 'Keyed', kind: 'integration', auth_method: 'private_key_jwt', ...body },
  });

const keysOf = (...keys: object[]) => ({ jwks: { keys } });
const rsa = (modulusLength: number, publicExponent = 65_537) =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey.export({ format: 'jwk' });
const curve = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).publicKey.export({ format: 'jwk' });

describe('a client that authenticates with keys', () => {
  it('gets no secret and authenticates with its key', async () => {
    const answer = await generate(keysOf(pair.publicJwk));
    expect(answer.status).toBe(201);
    expect(answer.json).not.toHaveProperty('client_secret');
    expect(answer.json).toMatchObject({
      auth_method: 'private_key_jwt',
      jwks: { keys: [pair.publicJwk] },
      secrets: [],
    });
    const assertion = await makeAssertion(pair, answer.json.client_id, 'http://localhost:4000');
    expect((await postAssertion(`${server.publicUrl}/oauth2/token`, assertion)).status).toBe(200);
  });

  it('cannot get a secret by regeneration or reveal', async () => {
    const { json } = await generate(keysOf(pair.publicJwk));
    const path = `/clients/${json.client_id}`;
    for (const action of ['regeneration/review', 'regenerate', 'secret/reveal']) {
      expect((await server.adminFetch(`${path}/${action}`, { method: 'POST', body: {} })).status).toBe(409);
    }
  });

  const unusable: [string, () => object][] = [
    ['a symmetric key', () => ({ kty: 'oct', k: 'c2VjcmV0' })],
    ['a private key', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })],
    ['a public key with a private part', () => ({ ...pair.publicJwk, d: 'AA' })],
    ['RSA of 1024 bits', () => rsa(1_024)],
    ['RSA with the exponent 3', () => rsa(2_048, 3)],
    ['RSA for RS256', () => ({ ...rsa(2_048), alg: 'RS256' })],
    ['secp256k1', () => curve('secp256k1')],
    ['P-384', () => curve('P-384')],
    ['X25519', () => generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' })],
    ['a key for encryption', () => ({ ...pair.publicJwk, use: 'enc' })],
    ['a point that is not on the curve', () => ({ ...pair.publicJwk, y: pair.publicJwk.x })],
    ['a key with the alg of another key type', () => ({ ...pair.publicJwk, alg: 'HS256' })],
    ['an empty key', () => ({})],
  ];
  it.each(unusable)('rejects the registration of %s', async (_title, key) => {
    expect((await generate(keysOf(key()))).status).toBe(400);
    expect((await generate(keysOf(pair.publicJwk, key()))).status).toBe(400);
  });

  it('rejects an empty, too long or too large list of keys, and duplicate kids', async () => {
    expect((await generate(keysOf())).status).toBe(400);
    expect((await generate({})).status).toBe(400);
    expect((await generate(keysOf(...Array.from({ length: 11 }, () => pair.publicJwk)))).status).toBe(400);
    expect((await generate(keysOf({ ...pair.publicJwk, x5c: ['a'.repeat(20_000)] }))).status).toBe(400);
    const twice = { ...pair.publicJwk, kid: 'one' };
    expect((await generate(keysOf(twice, twice))).status).toBe(400);
  });

  it.each([
    'http://client.example/jwks.json',
    'https://127.0.0.1/jwks.json',
    'https://[::1]/jwks.json',
    'https://169.254.169.254/latest/meta-data',
    'https://10.0.0.1/',
    'https://localhost/jwks.json',
    'https://user:password@client.example/jwks.json',
    'file:///etc/passwd',
    'https://0x7f.1/',
    'not a URL',
  ])('rejects the jwks_uri %s', async (uri) => {
    expect((await generate({ jwks_uri: uri })).status).toBe(400);
  });

  it('rejects jwks together with jwks_uri, and either for a client with a secret', async () => {
    const uri = 'https://client.example/jwks.json';
    expect((await generate({ jwks_uri: uri })).json).toMatchObject({ jwks: null, jwks_uri: uri });
    expect((await generate({ ...keysOf(pair.publicJwk), jwks_uri: uri })).status).toBe(400);
    expect((await generate({ auth_method: 'client_secret_basic', ...keysOf(pair.publicJwk) })).status).toBe(400);
    const { json } = await generate({ auth_method: 'client_secret_basic' });
    const patched = await server.adminFetch(`/clients/${json.client_id}`, { method: 'PATCH', body: { jwks_uri: uri } });
    expect(patched.status).toBe(400);
  });

  it.each([
    [{ dpop_bound_access_tokens: true }, { dpop_bound_access_tokens: false }],
    [{ tls_client_certificate_bound_access_tokens: true }, { tls_client_certificate_bound_access_tokens: false }],
    [{ access_key: 'required' }, { access_key: 'optional' }],
  ])('requires api_key:manage to remove the requirement %j of a client', async (demand, weaker) => {
    const body = { name: 'Bound', kind: 'integration', ...demand };
    const { json } = await server.adminFetch('/clients', { method: 'POST', body });
    const token = await server.operatorToken(['integrations:view', 'integrations:edit']);
    const patch = (change: object, by?: string) =>
      server.adminFetch(`/clients/${json.client_id}`, { method: 'PATCH', body: change, ...(by ? { token: by } : {}) });
    expect((await patch(weaker, token)).status).toBe(403);
    expect((await patch({ name: 'Renamed', ...demand }, token)).json).toMatchObject({ name: 'Renamed', ...demand });
    expect((await patch(weaker)).json).toMatchObject(weaker);
    expect((await patch(demand, token)).json).toMatchObject(demand);
  });

  it('replaces unused keys immediately, never keys in use, and requires api_key:manage for it', async () => {
    const { json } = await generate(keysOf(pair.publicJwk));
    const path = `/clients/${json.client_id}`;
    const next = await makePair('EdDSA');
    const body = keysOf(next.publicJwk);
    const editor = await server.operatorToken(['integrations:view', 'integrations:edit']);
    expect((await server.adminFetch(path, { method: 'PATCH', body, token: editor })).status).toBe(403);
    const statuses = async () => {
      const assertions = [pair, next].map((each) => makeAssertion(each, json.client_id, 'http://localhost:4000'));
      const url = `${server.publicUrl}/oauth2/token`;
      const answers = await Promise.all(assertions.map(async (assertion) => postAssertion(url, await assertion)));
      return answers.map(({ status }) => status);
    };
    expect((await server.adminFetch(path, { method: 'PATCH', body })).status).toBe(200);
    expect(await statuses()).toEqual([401, 200]);
    const back = keysOf(pair.publicJwk);
    expect((await server.adminFetch(path, { method: 'PATCH', body: back })).status).toBe(428);
    expect(await statuses()).toEqual([401, 200]);
    expect((await server.adminFetch(path, { method: 'PATCH', body: { name: 'Other' } })).json).toMatchObject(body);
  });
});
