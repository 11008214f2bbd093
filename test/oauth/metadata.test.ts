import { startTestServer, type TestServer } from '../harness.ts';
import { makeAssertion, makePair, postAssertion, registerKeyClient } from './assertion.ts';
import { endpointsOf, registerAll } from './fixture.ts';
import { type Answer, post, send } from './http-client.ts';

const issuer = 'https://auth.example';
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ env: { KEYTURN_ISSUER: issuer } });
});

afterAll(() => server?.close());

const paths = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'];

describe('the metadata', () => {
  it('is one document at both of its places (RFC 8414 §3)', async () => {
    const [first, second] = await Promise.all(paths.map((path) => send(server.publicUrl + path)));
    expect(first?.status).toBe(200);
    expect(first?.text).toBe(second?.text);
    expect(first?.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(first?.headers['x-content-type-options']).toBe('nosniff');
  });

  it('names what there is and nothing else', async () => {
    const { json } = await send(server.publicUrl + paths[0]);
    expect(json).toMatchObject({
      issuer,
      token_endpoint: `${issuer}/oauth2/token`,
      introspection_endpoint: `${issuer}/oauth2/introspect`,
      revocation_endpoint: `${issuer}/oauth2/revoke`,
      jwks_uri: `${issuer}/.well-known/jwks.json`,
      grant_types_supported: ['client_credentials'],
      response_types_supported: [],
    });
    const absent = [
      'authorization_endpoint',
      'userinfo_endpoint',
      'registration_endpoint',
      'end_session_endpoint',
      'pushed_authorization_request_endpoint',
      'device_authorization_endpoint',
      'backchannel_authentication_endpoint',
      'claims_supported',
      'code_challenge_methods_supported',
      'id_token_signing_alg_values_supported',
      'subject_types_supported',
    ];
    for (const name of absent) expect(json).not.toHaveProperty(name);
  });

  it('has no URL that does not begin with the issuer, whatever a request says of its host', async () => {
    const headers: Record<string, string>[] = [
      { Host: 'auth.example' },
      { Host: 'localhost' },
      { Host: 'AUTH.EXAMPLE' },
      { 'X-Forwarded-Host': 'evil.example' },
      { 'X-Forwarded-Proto': 'gopher', 'X-Forwarded-Port': '1', 'X-Forwarded-Prefix': '/evil' },
      { Forwarded: 'host=evil.example;proto=http' },
      { 'X-Original-URL': 'https://evil.example/', 'X-Host': 'evil.example' },
    ];
    const { text: expected } = await send(server.publicUrl + paths[0]);
    for (const given of headers) {
      for (const path of paths) {
        const answer = await send(server.publicUrl + path, { headers: given });
        expect(answer.text).toBe(expected);
      }
    }
    for (const url of expected.match(/https?:[^"]*/g) ?? []) {
      expect(url === issuer || url.startsWith(`${issuer}/`)).toBe(true);
    }
  });

  it('names only endpoints that are there, and authentication methods that work', async () => {
    const { json } = await send(server.publicUrl + paths[0]);
    const { shop } = await registerAll(server.core);
    const pair = await makePair();
    const keyed = await registerKeyClient(server.core, { jwks: { keys: [pair.publicJwk] } });
    const endpoints = Object.entries(json).filter(([name]) => /_endpoint$|^jwks_uri$/.test(name));
    expect(endpoints.length).toBeGreaterThanOrEqual(4);
    for (const [, url] of endpoints) {
      const { pathname } = new URL(url as string);
      expect((await send(server.publicUrl + pathname, { method: 'GET' })).status).not.toBe(404);
    }
    const { token_endpoint_auth_methods_supported: methods } = json as Record<string, string[]>;
    const { tokenUrl } = endpointsOf(server.publicUrl);
    const grant = { grant_type: 'client_credentials' };
    const ways: Record<string, () => Promise<Answer>> = {
      client_secret_basic: () => post(tokenUrl, grant, { basic: [shop.id, shop.secret] }),
      client_secret_post: () => post(tokenUrl, { ...grant, client_id: shop.id, client_secret: shop.secret }),
      private_key_jwt: async () => postAssertion(tokenUrl, await makeAssertion(pair, keyed, issuer)),
    };
    expect(Object.keys(ways)).toEqual(methods);
    for (const way of Object.values(ways)) expect((await way()).status).toBe(200);
  });

  it('may be kept for a while, and so may the keys', async () => {
    for (const path of [...paths, '/.well-known/jwks.json']) {
      const answer = await send(server.publicUrl + path);
      expect(answer.headers['cache-control']).toBe('public, max-age=300');
    }
  });

  it('never has anything private among the keys', async () => {
    const { json } = await send(`${server.publicUrl}/.well-known/jwks.json`);
    expect(Array.isArray(json['keys'])).toBe(true);
    for (const key of json['keys'] as object[]) {
      for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']) expect(key).not.toHaveProperty(secret);
    }
  });
});
