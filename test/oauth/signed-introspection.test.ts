import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, jwtVerify } from 'jose';
import { disableClient } from '../../src/clients/manage-clients.ts';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { rotateSigningKeys } from '../../src/tokens/signing-keys.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { actor, endpointsOf, register, registerAll, type TestClient } from './fixture.ts';
import { send } from './http-client.ts';

const jwtAnswer = 'application/token-introspection+jwt';
const issuer = 'http://localhost:4000';

let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let api: ReturnType<typeof endpointsOf>;

beforeAll(async () => {
  server = await startTestServer({ env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  clients = await registerAll(server.core);
  api = endpointsOf(server.publicUrl);
});

afterAll(() => server?.close());

function ask(client: TestClient, token: string, accept = jwtAnswer, form: Record<string, string> = {}) {
  return api.introspect(client, token, form, { headers: { Accept: accept } });
}

/** Verifies a signed response as a resource server does (RFC 9701 §5): signature, typ, issuer and audience. */
async function verify(text: string, { id }: TestClient) {
  const { json } = await send(`${server.publicUrl}/.well-known/jwks.json`);
  const keys = createLocalJWKSet(json as unknown as JSONWebKeySet);
  return await jwtVerify(text, keys, { issuer, audience: id, typ: 'token-introspection+jwt' });
}

describe('a signed introspection response (RFC 9701)', () => {
  it.each(['ES256', 'EdDSA', 'PS256', 'RS256'])(
    'is signed with %s and has the content of the plain one',
    async (alg) => {
      const other = await startTestServer({ env: { KEYTURN_SIGNING_ALG: alg } });
      try {
        const { orders, shop } = await registerAll(other.core);
        const at = endpointsOf(other.publicUrl);
        const token = await at.accessToken(shop, { scope: 'orders:read' });
        const startedAt = Math.floor(Date.now() / 1_000);
        const answer = await at.introspect(orders, token, {}, { headers: { Accept: jwtAnswer } });
        expect(answer).toMatchObject({
          status: 200,
          headers: { 'content-type': jwtAnswer, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' },
        });
        const { json: jwks } = await send(`${other.publicUrl}/.well-known/jwks.json`);
        const options = { issuer, audience: orders.id, typ: 'token-introspection+jwt', algorithms: [alg] };
        const { payload } = await jwtVerify(answer.text, createLocalJWKSet(jwks as unknown as JSONWebKeySet), options);
        expect(payload['token_introspection']).toEqual((await at.introspect(orders, token)).json);
        expect(Object.keys(payload).sort()).toEqual(['aud', 'iat', 'iss', 'token_introspection']);
        expect(payload.iat).toBeGreaterThanOrEqual(startedAt);
        const { json: metadata } = await send(`${other.publicUrl}/.well-known/oauth-authorization-server`);
        expect(metadata['introspection_signing_alg_values_supported']).toEqual([alg]);
      } finally {
        await other.close();
      }
    },
  );

  it('describes an access token that is a JWT, and is signed with the new key after a rotation', async () => {
    const reports = await register(server.core, {
      name: 'Reports',
      kind: 'resource_server',
      resource: 'https://reports.example',
      information: ['reports'],
      tokenFormat: 'jwt',
    });
    const analyst = await register(server.core, { name: 'Analyst', kind: 'integration', scope: 'reports:read' });
    const token = await api.accessToken(analyst);
    const before = await verify((await ask(reports, token)).text, reports);
    await server.core.change((transaction) => rotateSigningKeys(transaction, server.core, actor));
    const after = await verify((await ask(reports, token)).text, reports);
    expect(after.payload['token_introspection']).toMatchObject({ active: true, jti: decodeJwt(token).jti });
    expect(after.protectedHeader.kid).not.toBe(before.protectedHeader.kid);
  });

  it('has the same content and size for every token that is not live', async () => {
    const gone = await register(server.core, { name: 'Gone', kind: 'integration', scope: 'orders:read' });
    const ofDisabled = await api.accessToken(gone);
    await server.core.change((transaction) => disableClient(transaction, server.core, actor, gone.id));
    const revoked = await api.accessToken(clients.shop);
    await api.revoke(clients.shop, revoked);
    const tokens = [
      generateSecret('kta_'),
      'kta_x',
      'a.b.c',
      revoked,
      ofDisabled,
      await api.accessToken(clients.partner, { scope: 'invoices:read' }),
      clients.shop.secret,
    ];
    const texts: string[] = [];
    for (const token of tokens) {
      const answer = await ask(clients.orders, token);
      expect(answer).toMatchObject({ status: 200, headers: { 'content-type': jwtAnswer } });
      expect((await verify(answer.text, clients.orders)).payload['token_introspection']).toEqual({ active: false });
      texts.push(answer.text);
    }
    expect(new Set(texts.map(({ length }) => length)).size).toBe(1);
    // A client that is not a resource server learns nothing from a signed response either.
    const live = await api.accessToken(clients.shop);
    const answer = await verify((await ask(clients.shop, live)).text, clients.shop);
    expect(answer.payload['token_introspection']).toEqual({ active: false });
  });

  it('contains no token and cannot be used as an access token', async () => {
    const token = await api.accessToken(clients.shop);
    const { text } = await ask(clients.orders, token);
    expect(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()).not.toContain(token.slice(4, 20));
    expect((await api.introspect(clients.orders, text)).text).toBe('{"active":false}');
  });
});

describe('the format of the introspection response', () => {
  it.each([
    [jwtAnswer, true],
    ['Application/Token-Introspection+JWT', true],
    [`${jwtAnswer}, application/json`, true],
    [`application/json;q=0.9, ${jwtAnswer}`, true],
    [`application/json;q=0.2, ${jwtAnswer};q=0.3`, true],
    [`text/html, ${jwtAnswer};q=0.1`, true],
    [`application/json, ${jwtAnswer}`, false],
    [`${jwtAnswer};q=0.8, application/json`, false],
    [`${jwtAnswer};q=0.8, application/*`, false],
    [`${jwtAnswer};q=0`, false],
    [`application/json;q=0, ${jwtAnswer};q=0, */*`, false],
    ['application/json;q=0.5, */*', false],
    ['application/*', false],
    ['*/*', false],
    ['application/jwt', false],
    ['text/html', false],
    ['', false],
  ])('with Accept: %j is signed: %j', async (accept, isSigned) => {
    const token = await api.accessToken(clients.shop);
    for (const presented of [token, generateSecret('kta_')]) {
      const { status, headers } = await ask(clients.orders, presented, accept);
      expect(status).toBe(200);
      expect(headers['content-type']).toBe(isSigned ? jwtAnswer : 'application/json; charset=utf-8');
    }
  });

  it('is JSON for an error', async () => {
    const json = { 'content-type': 'application/json; charset=utf-8' };
    const wrong = { id: clients.orders.id, secret: generateSecret('kts_') };
    expect(await ask(wrong, 'x')).toMatchObject({ status: 401, headers: json, json: { error: 'invalid_client' } });
    const options = { basic: [clients.orders.id, clients.orders.secret] as const, headers: { Accept: jwtAnswer } };
    const answer = await api.introspect(clients.orders, '', {}, options);
    expect(answer).toMatchObject({ status: 400, headers: json, json: { error: 'invalid_request' } });
    const token = await api.token(clients.shop, {}, { headers: { Accept: jwtAnswer } });
    expect(token).toMatchObject({ status: 200, headers: json });
  });
});
