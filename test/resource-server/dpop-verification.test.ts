import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import fastify from 'fastify';
import { exportJWK, type JWK } from 'jose';
import Koa from 'koa';
import {
  type AccessTokenVerifier,
  createAccessTokenVerifier,
  expressBearerAuth,
  fastifyBearerAuth,
  fetchBearerAuth,
  koaBearerAuth,
} from '../../src/resource-server/resource-server.ts';
import { freePort } from '../free-port.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { makeDpopProof, makePair, type SigningPair } from '../oauth/assertion.ts';
import { endpointsOf, register, registerBothFormats, type TestClient } from '../oauth/fixture.ts';
import { type Answer, send } from '../oauth/http-client.ts';

const resources = { opaque: 'https://api.example/opaque', jwt: 'https://api.example/jwt' };
type Format = keyof typeof resources;

let issuer: string;
let server: TestServer;
let servers: Record<Format, TestClient>;
let shop: TestClient;
let pair: SigningPair;
let api: ReturnType<typeof endpointsOf>;
/** The local address of the resource server, whose public URL is https://api.example. */
let apiUrl: string;
const open: (Server | AccessTokenVerifier)[] = [];

beforeAll(async () => {
  const port = await freePort();
  issuer = `http://localhost:${port}`;
  server = await startTestServer({ env: { KEYTURN_PORT: String(port), KEYTURN_ISSUER: issuer } });
  api = endpointsOf(server.publicUrl);
  servers = await registerBothFormats(server.core, resources);
  shop = await register(server.core, { name: 'Shop', kind: 'integration', scope: 'orders:read orders:create' });
  pair = await makePair();

  const app = express();
  for (const format of ['opaque', 'jwt'] as const) {
    // Mount the app, so that the framework removes a part of the path.
    app.use(`/${format}`, expressBearerAuth(verifierFor(format), { scope: 'orders:read' }));
  }
  app.use('/nonce', expressBearerAuth(verifierFor('opaque', { dpopNonceKey: 'shared by all processes' })));
  app.use((_request, response) => {
    response.json({ done: true });
  });
  apiUrl = await listen(app);
});

afterAll(async () => {
  for (const each of open) each.close();
  await server?.close();
});

function verifierFor(format: Format, options: object = {}): AccessTokenVerifier {
  const { id: clientId, secret: clientSecret } = servers[format];
  const verifier = createAccessTokenVerifier({
    issuer,
    resource: resources[format],
    clientId,
    clientSecret,
    ...options,
  });
  open.push(verifier);
  return verifier;
}

async function listen(listener: RequestListener): Promise<string> {
  const listening = createServer(listener).listen(0, '127.0.0.1');
  open.push(listening);
  await once(listening, 'listening');
  return `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
}

type Change = { claims?: Record<string, unknown>; header?: Record<string, unknown>; by?: SigningPair };

/** Makes a valid proof for GET /{format}/1 with the given changes. */
async function prove(
  token: string,
  path: string,
  { claims = {}, header = {}, by = pair }: Change = {},
): Promise<string> {
  const right = { htm: 'GET', ath: hash('sha256', token, 'base64url') };
  return await makeDpopProof(
    by,
    { htu: `https://api.example${path}`, nonce: undefined },
    { claims: { ...right, ...claims }, header },
  );
}

/** Gets an access token that is bound to a key. */
async function bound(format: Format, by = pair, scope = 'orders:read'): Promise<string> {
  const ask = async (nonce?: string) => {
    const proof = await makeDpopProof(by, { htu: `${issuer}/oauth2/token`, nonce });
    return await api.token(shop, { scope, resource: resources[format] }, { headers: { DPoP: proof } });
  };
  const answer = await ask((await ask()).headers['dpop-nonce'] as string);
  expect(answer.json).toMatchObject({ token_type: 'DPoP' });
  return answer.json['access_token'] as string;
}

function get(path: string, authorization: string, proof?: string | string[], headers: object = {}): Promise<Answer> {
  return send(apiUrl + path, {
    headers: { Authorization: authorization, ...(proof === undefined ? {} : { DPoP: proof }), ...headers },
  });
}

const seconds = (distance: number) => Math.floor(Date.now() / 1_000) + distance;

describe.each(['opaque', 'jwt'] as const)('a token bound to a key (%s)', (format) => {
  const path = `/${format}/1`;

  test('is accepted with a proof of that key, once per proof', async () => {
    const token = await bound(format);
    const proof = await prove(token, path);
    expect(await get(`${path}?page=2`, `DPoP ${token}`, proof)).toMatchObject({ status: 200, json: { done: true } });
    expect(await get(path, `DPoP ${token}`, proof)).toMatchObject({
      status: 401,
      json: { error: 'invalid_dpop_proof' },
      headers: { 'www-authenticate': expect.stringMatching(/^DPoP error="invalid_dpop_proof".* algs="ES256 EdDSA/) },
    });
    expect((await get(path, `dpop ${token}`, await prove(token, path))).status).toBe(200);
  });

  test('is rejected as a bearer token, and a bearer token is rejected with the DPoP scheme', async () => {
    const token = await bound(format);
    for (const proof of [undefined, await prove(token, path)]) {
      expect(await get(path, `Bearer ${token}`, proof)).toMatchObject({
        status: 401,
        json: { error: 'invalid_token' },
        headers: { 'www-authenticate': expect.stringMatching(/^Bearer error="invalid_token".*, DPoP algs="ES256 /) },
      });
    }
    const bearer = await api.accessToken(shop, { scope: 'orders:read', resource: resources[format] });
    expect(await get(path, `Bearer ${bearer}`)).toMatchObject({ status: 200 });
    const answer = await get(path, `DPoP ${bearer}`, await prove(bearer, path));
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_token' } });
  });

  test('is rejected with another key or without a request', async () => {
    const token = await bound(format);
    const answer = await get(path, `DPoP ${token}`, await prove(token, path, { by: await makePair() }));
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_token' } });
    await expect(verifierFor(format).verify(token)).rejects.toMatchObject({ code: 'invalid_token' });
  });

  test('gets the missing scope in the challenge', async () => {
    const token = await bound(format, pair, 'orders:create');
    const answer = await get(path, `DPoP ${token}`, await prove(token, path));
    expect(answer).toMatchObject({
      status: 403,
      headers: { 'www-authenticate': expect.stringMatching(/^DPoP error="insufficient_scope".*scope="orders:read"/) },
    });
  });
});

describe('an invalid proof with the right key gets invalid_dpop_proof', () => {
  const path = '/opaque/1';
  const changes: [string, () => Promise<Change> | Change][] = [
    ['made for another method', () => ({ claims: { htm: 'POST' } })],
    ['htm in lower case', () => ({ claims: { htm: 'get' } })],
    ['htm is missing', () => ({ claims: { htm: undefined } })],
    ['made for another path', () => ({ claims: { htu: 'https://api.example/opaque/2' } })],
    ['made for the path after the mount point', () => ({ claims: { htu: 'https://api.example/1' } })],
    ['made for another host', () => ({ claims: { htu: `https://evil.example${path}` } })],
    ['made for the address that the request was sent to', () => ({ claims: { htu: apiUrl + path } })],
    ['htu is missing', () => ({ claims: { htu: undefined } })],
    ['made for another token', () => ({ claims: { ath: hash('sha256', 'x', 'base64url') } })],
    ['ath is missing', () => ({ claims: { ath: undefined } })],
    ['typ is JWT', () => ({ header: { typ: 'JWT' } })],
    ['typ is missing', () => ({ header: { typ: undefined } })],
    ['iat is old', () => ({ claims: { iat: seconds(-62) } })],
    ['iat is in the future', () => ({ claims: { iat: seconds(62) } })],
    ['iat is a string', () => ({ claims: { iat: String(seconds(0)) } })],
    ['iat is missing', () => ({ claims: { iat: undefined } })],
    ['jti is missing', () => ({ claims: { jti: undefined } })],
    ['jti is empty', () => ({ claims: { jti: '' } })],
    ['jti is a number', () => ({ claims: { jti: 5 } })],
    ['exp is in the past', () => ({ claims: { exp: seconds(-1) } })],
    ['exp is a string', () => ({ claims: { exp: String(seconds(60)) } })],
    ['nbf is more than 60 seconds ahead', () => ({ claims: { nbf: seconds(62) } })],
    ['no key', () => ({ header: { jwk: undefined } })],
    ["another's key in the header", async () => ({ header: { jwk: (await makePair()).publicJwk } })],
    ['a private key', async () => ({ header: { jwk: (await exportJWK(pair.privateKey)) as JWK } })],
    ['a symmetric key', () => ({ header: { jwk: { kty: 'oct', k: 'AA' } } })],
    ['RS256', async () => ({ by: await makePair('RS256') })],
    ['b64 is false', () => ({ header: { b64: false } })],
  ];

  test.each(changes)('%s', async (_title, change) => {
    const token = await bound('opaque');
    const answer = await get(path, `DPoP ${token}`, await prove(token, path, await change()));
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_dpop_proof' } });
  });

  test('no proof, two proofs, alg none, HMAC, malformed, and too long', async () => {
    const token = await bound('opaque');
    const [, payload] = (await prove(token, path)).split('.');
    const header = (alg: string) =>
      Buffer.from(JSON.stringify({ alg, typ: 'dpop+jwt', jwk: pair.publicJwk })).toString('base64url');
    const proofs = [
      undefined,
      [await prove(token, path), await prove(token, path)],
      `${header('none')}.${payload}.`,
      `${header('none')}.${payload}.AA`,
      `${header('HS256')}.${payload}.AA`,
      '',
      'x',
      `a.b.${'c'.repeat(5_000)}`,
    ];
    for (const proof of proofs) {
      const answer = await get(path, `DPoP ${token}`, proof);
      expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_dpop_proof' } });
    }
  });

  test('regardless of the Host of the request', async () => {
    const token = await bound('opaque');
    const proof = () => prove(token, path, { claims: { htu: `https://evil.example${path}` } });
    for (const headers of [{ Host: 'evil.example' }, { 'X-Forwarded-Host': 'evil.example' }]) {
      expect((await get(path, `DPoP ${token}`, await proof(), headers)).status).toBe(401);
      expect((await get(path, `DPoP ${token}`, await prove(token, path), headers)).status).toBe(200);
    }
  });

  test('but htu in another notation is accepted (RFC 9449 §4.3)', async () => {
    const token = await bound('opaque');
    const cases = [
      [path, `https://api.example${path}?a=b#c`],
      [path, 'HTTPS://API.example:443/opaque/./1'],
      ['/opaque/%c3%a9~', 'https://api.example/opaque/%C3%A9%7e'],
      [path, 'https://api.example/%6Fpaque/%31'],
    ] as const;
    for (const [requested, htu] of cases) {
      const proof = await prove(token, requested, { claims: { htu } });
      expect((await get(requested, `DPoP ${token}`, proof)).status).toBe(200);
    }
  });
});

test('accepts a DPoP proof with exp in the future and nbf up to 60 seconds ahead, like iat', async () => {
  const token = await bound('opaque');
  const claims = { iat: seconds(50), nbf: seconds(50), exp: seconds(100) };
  const answer = await get('/opaque/1', `DPoP ${token}`, await prove(token, '/opaque/1', { claims }));
  expect(answer.status).toBe(200);
});

describe('the single use of a proof', () => {
  test('accepts one of 50 concurrent uses', async () => {
    const token = await bound('opaque');
    const proof = await prove(token, '/opaque/1');
    const answers = await Promise.all(Array.from({ length: 50 }, () => get('/opaque/1', `DPoP ${token}`, proof)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  test('rejects older proofs and accepts new ones when the memory is full', async () => {
    const token = await bound('opaque');
    const verifier = verifierFor('opaque', { maxDpopProofs: 5 });
    const use = (proof: string) =>
      verifier
        .verify({ method: 'GET', url: '/opaque/1', headers: { authorization: `DPoP ${token}`, dpop: proof } })
        .then(
          () => 'accepted',
          ({ code }) => code,
        );
    const proofs = await Promise.all(
      Array.from({ length: 20 }, (_, index) => prove(token, '/opaque/1', { claims: { iat: seconds(index - 25) } })),
    );
    for (const proof of proofs) expect(await use(proof)).toBe('accepted');
    for (const proof of proofs) expect(await use(proof)).toBe('invalid_dpop_proof');
    expect(await use(await prove(token, '/opaque/1'))).toBe('accepted');
    expect(await use(await prove(token, '/opaque/1', { claims: { iat: seconds(-30) } }))).toBe('invalid_dpop_proof');
  });
});

describe('a required nonce', () => {
  const path = '/nonce';

  test('is sent, accepted and renewed with each answer, and is valid on every process', async () => {
    const token = await bound('opaque');
    for (const nonce of [undefined, '', 'A'.repeat(24), 5]) {
      const refused = await get(path, `DPoP ${token}`, await prove(token, path, { claims: { nonce } }));
      expect(refused).toMatchObject({ status: 401, json: { error: 'use_dpop_nonce' } });
      expect(refused.headers['www-authenticate']).toContain('error="use_dpop_nonce"');
      const told = refused.headers['dpop-nonce'];
      const answer = await get(path, `DPoP ${token}`, await prove(token, path, { claims: { nonce: told } }));
      expect(answer).toMatchObject({ status: 200, headers: { 'dpop-nonce': expect.stringMatching(/^[\w-]{24}$/) } });
      const request = async () =>
        new Request(`https://api.example${path}`, {
          headers: { Authorization: `DPoP ${token}`, DPoP: await prove(token, path, { claims: { nonce: told } }) },
        });
      const beside = verifierFor('opaque', { dpopNonceKey: 'shared by all processes' });
      expect(await fetchBearerAuth(beside, await request())).toMatchObject({ clientId: shop.id });
      const stranger = verifierFor('opaque', { dpopNonceKey: 'another' });
      expect(await fetchBearerAuth(stranger, await request())).toMatchObject({ status: 401 });
    }
  });

  test('is rejected after three minutes', async () => {
    const token = await bound('opaque');
    const told = (await get(path, `DPoP ${token}`, await prove(token, path))).headers['dpop-nonce'];
    const realNow = Date.now;
    try {
      Date.now = () => realNow() + 180_000;
      const answer = await get(path, `DPoP ${token}`, await prove(token, path, { claims: { nonce: told } }));
      expect(answer.json).toMatchObject({ error: 'use_dpop_nonce' });
    } finally {
      Date.now = realNow;
    }
  });

  test('does not apply to bearer tokens', async () => {
    const bearer = await api.accessToken(shop, { resource: resources.opaque });
    const answer = await get(path, `Bearer ${bearer}`);
    expect(answer.status).toBe(200);
    expect(answer.headers).not.toHaveProperty('dpop-nonce');
  });
});

describe('each framework', () => {
  const key = { dpopNonceKey: 'shared' };
  const listeners: Record<string, () => Promise<RequestListener>> = {
    express: async () =>
      express()
        .use('/orders', expressBearerAuth(verifierFor('opaque', key)))
        .use((_request, response) => void response.json({ done: true })),
    koa: async () => {
      const app = new Koa();
      app.use(async (ctx, next) => {
        // Change the path as koa-mount does.
        ctx.path = ctx.path.replace('/orders', '') || '/';
        await next();
      });
      app.use(koaBearerAuth(verifierFor('opaque', key)));
      app.use((ctx) => {
        ctx.body = { done: true };
      });
      return app.callback();
    },
    fastify: async () => {
      const app = fastify();
      app.get('/orders/1', { onRequest: fastifyBearerAuth(verifierFor('opaque', key)) }, async () => ({ done: true }));
      await app.ready();
      return app.routing;
    },
  };

  test.each(Object.keys(listeners))(
    '%s: checks the proof against the whole URL and sends the next nonce',
    async (name) => {
      const url = await listen((await listeners[name]?.()) as RequestListener);
      const token = await bound('opaque');
      const ask = async (nonce?: string) => {
        const headers = {
          Authorization: `DPoP ${token}`,
          DPoP: await prove(token, '/orders/1', { claims: { nonce } }),
        };
        return await send(`${url}/orders/1?page=2`, { headers });
      };
      const refused = await ask();
      expect(refused).toMatchObject({ status: 401, json: { error: 'use_dpop_nonce' } });
      const nonce = refused.headers['dpop-nonce'] as string;
      expect(await ask(nonce)).toMatchObject({ status: 200, json: { done: true }, headers: { 'dpop-nonce': nonce } });
    },
  );
});

test('offers both schemes to a request without a token', async () => {
  const answer = await send(`${apiUrl}/opaque/1`);
  const metadata = 'resource_metadata="https://api.example/.well-known/oauth-protected-resource/opaque"';
  expect(answer).toMatchObject({
    status: 401,
    headers: { 'www-authenticate': `Bearer ${metadata}, DPoP algs="ES256 EdDSA Ed25519 PS256", ${metadata}` },
  });
  expect(verifierFor('opaque').metadata).toMatchObject({
    dpop_signing_alg_values_supported: ['ES256', 'EdDSA', 'Ed25519', 'PS256'],
  });
});
