import { CompactSign } from 'jose';
import { createAccessTokenVerifier } from '../../src/resource-server/resource-server.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { makePair } from '../oauth/assertion.ts';
import { endpointsOf, register } from '../oauth/fixture.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(() => server?.close());

test.each(['opaque', 'jwt'] as const)('a token that is bound to a key is no bearer token: %s', async (tokenFormat) => {
  const { core, publicUrl } = server;
  const resource = `https://${tokenFormat}.example`;
  const information = [tokenFormat];
  const api = await register(core, { name: 'API', kind: 'resource_server', resource, information, tokenFormat });
  const client = await register(core, { name: 'Client', kind: 'integration', scope: `${tokenFormat}:read` });
  const { token } = endpointsOf(publicUrl);
  const pair = await makePair();
  const prove = async (nonce?: unknown) => {
    const iat = Math.floor(Date.now() / 1_000);
    const claims = { jti: `${iat}-${nonce}`, htm: 'POST', htu: 'http://localhost:4000/oauth2/token', iat, nonce };
    return await new CompactSign(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ alg: pair.alg, typ: 'dpop+jwt', jwk: pair.publicJwk })
      .sign(pair.privateKey);
  };
  const { headers } = await token(client, {}, { headers: { DPoP: await prove() } });
  const bound = await token(client, {}, { headers: { DPoP: await prove(headers['dpop-nonce']) } });
  const bearer = await token(client);
  const verifier = createAccessTokenVerifier({
    issuer: 'http://localhost:4000',
    resource,
    clientId: api.id,
    clientSecret: api.secret,
    fetch: (input, init) => fetch(`${publicUrl}${new URL(String(input)).pathname}`, init),
  });
  const present = (answer: typeof bound) =>
    verifier.verify({ headers: { authorization: `Bearer ${answer.json['access_token']}` } });
  try {
    expect((await present(bearer)).clientId).toBe(client.id);
    await expect(present(bound)).rejects.toMatchObject({ code: 'invalid_token' });
  } finally {
    verifier.close();
  }
});
