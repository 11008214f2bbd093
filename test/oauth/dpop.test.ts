import { calculateJwkThumbprint, decodeJwt, exportJWK, type JWK } from 'jose';
import { type ChildServer, startChildServer } from '../faults/child-server.ts';
import { createTestStores, startTestServer, type TestServer } from '../harness.ts';
import {
  makeAssertion,
  makeDpopProof,
  makePair,
  type ProofChange,
  postAssertion,
  registerKeyClient,
  type SigningPair,
} from './assertion.ts';
import { endpointsOf, register, registerAll, type TestClient } from './fixture.ts';
import type { Answer } from './http-client.ts';

const issuer = 'https://auth.example';
const tokenUrl = `${issuer}/oauth2/token`;

let server: TestServer;
let beside: ChildServer;
let api: ReturnType<typeof endpointsOf>;
let clients: Awaited<ReturnType<typeof registerAll>>;
let jwtOnly: TestClient;
let pair: SigningPair;
let nonce: string;

beforeAll(async () => {
  const stores = await createTestStores();
  const env = {
    KEYTURN_ISSUER: issuer,
    KEYTURN_FAILURES_PER_MINUTE: '0',
    KEYTURN_ALLOWED_HOSTS: '127.0.0.1,localhost',
  };
  server = await startTestServer({ stores, env });
  beside = await startChildServer(stores, env);
  api = endpointsOf(server.publicUrl);
  clients = await registerAll(server.core);
  await register(server.core, {
    name: 'JWT',
    kind: 'resource_server',
    resource: 'https://jwt.example',
    information: ['jwts'],
    tokenFormat: 'jwt',
  });
  jwtOnly = await register(server.core, { name: 'Reader', kind: 'integration', scope: 'jwts:read' });
  pair = await makePair();
  nonce = (await ask(await makeProof({ claims: { nonce: undefined } }))).headers['dpop-nonce'] as string;
});

afterAll(async () => {
  await beside?.terminate();
  await server?.close();
});

type Change = ProofChange & { by?: SigningPair };

/** Makes a valid proof with the given changes. */
function makeProof({ by = pair, ...change }: Change = {}): Promise<string> {
  return makeDpopProof(by, { htu: tokenUrl, nonce }, change);
}

function ask(proof: string | string[], { client = clients.shop, at = api } = {}): Promise<Answer> {
  return at.token(client, {}, { headers: { DPoP: proof } });
}

const seconds = (distance: number) => Math.floor(Date.now() / 1_000) + distance;

describe('a token requested with a DPoP proof (RFC 9449)', () => {
  it.each(['ES256', 'EdDSA', 'Ed25519', 'PS256'])(
    'is bound to its %s key, in the answer and in introspection',
    async (alg) => {
      const by = await makePair(alg);
      const answer = await ask(await makeProof({ by }));
      expect(answer).toMatchObject({ status: 200, json: { token_type: 'DPoP' } });
      const jkt = await calculateJwkThumbprint(by.publicJwk);
      // Send a plain request, and one with unknown parameters.
      for (const form of [{}, { token_type_hint: 'access_token', foo: 'bar' }]) {
        const introspected = await api.introspect(clients.orders, answer.json['access_token'] as string, form);
        expect(introspected.json).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt } });
      }
    },
  );

  it('is bound by its claim cnf if it is a JWT', async () => {
    const answer = await ask(await makeProof(), { client: jwtOnly });
    expect(answer.json).toMatchObject({ token_type: 'DPoP' });
    const claims = decodeJwt(answer.json['access_token'] as string);
    expect(claims).toMatchObject({ cnf: { jkt: await calculateJwkThumbprint(pair.publicJwk) } });
  });

  it('is bound if the client authenticates with private_key_jwt', async () => {
    const id = await registerKeyClient(server.core, { jwks: { keys: [pair.publicJwk] } }, { scope: 'orders:read' });
    const assertion = await makeAssertion(pair, id, issuer);
    const answer = await postAssertion(api.tokenUrl, assertion, {}, { DPoP: await makeProof() });
    expect(answer).toMatchObject({ status: 200, json: { token_type: 'DPoP' } });
  });

  it('is required for a client that is registered for bound tokens (RFC 9449 §5.2)', async () => {
    const input = { kind: 'integration', scope: 'orders:read', dpopBoundTokens: true } as const;
    const client = await register(server.core, { name: 'Bound', ...input });
    // Repeat the request, because the fast path knows the client the second time.
    for (let time = 0; time < 2; time++) {
      expect((await ask(await makeProof(), { client })).json['token_type']).toBe('DPoP');
      expect(await api.token(client)).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
    }
  });

  it('is a bearer token without a proof', async () => {
    const answer = await api.token(clients.shop);
    expect(answer.json).toMatchObject({ token_type: 'Bearer' });
    expect(answer.headers).not.toHaveProperty('dpop-nonce');
    const introspected = await api.introspect(clients.orders, answer.json['access_token'] as string);
    expect(introspected.json).toMatchObject({ token_type: 'Bearer' });
    expect(introspected.json).not.toHaveProperty('cnf');
  });
});

describe('an invalid proof gets invalid_dpop_proof and no token', () => {
  const changes: [string, () => Promise<Change> | Change][] = [
    ['made for another method', () => ({ claims: { htm: 'GET' } })],
    ['htm in lower case', () => ({ claims: { htm: 'post' } })],
    ['made for another server', () => ({ claims: { htu: 'https://evil.example/oauth2/token' } })],
    ['made for the address that the request was sent to', () => ({ claims: { htu: api.tokenUrl } })],
    ['made for another endpoint', () => ({ claims: { htu: `${issuer}/oauth2/introspect` } })],
    ['htu is missing', () => ({ claims: { htu: undefined } })],
    ['typ is JWT', () => ({ header: { typ: 'JWT' } })],
    ['typ is missing', () => ({ header: { typ: undefined } })],
    ['iat is old', () => ({ claims: { iat: seconds(-62) } })],
    ['iat is in the future', () => ({ claims: { iat: seconds(62) } })],
    ['iat is missing', () => ({ claims: { iat: undefined } })],
    ['exp is in the past', () => ({ claims: { exp: seconds(-1) } })],
    ['exp is a string', () => ({ claims: { exp: String(seconds(60)) } })],
    ['nbf is more than 60 seconds ahead', () => ({ claims: { nbf: seconds(62) } })],
    ['nbf is a string', () => ({ claims: { nbf: String(seconds(0)) } })],
    ['jti is missing', () => ({ claims: { jti: undefined } })],
    ['jti is empty', () => ({ claims: { jti: '' } })],
    ['no key', () => ({ header: { jwk: undefined } })],
    ["another's key", async () => ({ header: { jwk: (await makePair()).publicJwk } })],
    ['a private key', async () => ({ header: { jwk: (await exportJWK(pair.privateKey)) as JWK } })],
    ['a symmetric key', () => ({ header: { jwk: { kty: 'oct', k: 'AA' } } })],
    ['b64 is false', () => ({ header: { b64: false } })],
  ];
  it.each(changes)('%s', async (_title, change) => {
    const answer = await ask(await makeProof(await change()));
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_dpop_proof' } });
    expect(answer.json).not.toHaveProperty('access_token');
  });

  it('two proofs', async () => {
    const answer = await ask([await makeProof(), await makeProof()]);
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_dpop_proof' } });
  });

  it('alg none, HMAC, malformed, and too long', async () => {
    const [, payload] = (await makeProof()).split('.');
    const header = (alg: string) =>
      Buffer.from(JSON.stringify({ alg, typ: 'dpop+jwt', jwk: pair.publicJwk })).toString('base64url');
    const proofs = [
      `${header('none')}.${payload}.`,
      `${header('none')}.${payload}.AA`,
      `${header('HS256')}.${payload}.AA`,
      'x',
      'a.b.c',
      `a.b.${'c'.repeat(5_000)}`,
    ];
    for (const proof of proofs) {
      expect(await ask(proof)).toMatchObject({ status: 400, json: { error: 'invalid_dpop_proof' } });
    }
  });

  it('accepts htu with a query and a fragment, and in another notation (RFC 9449 §4.3)', async () => {
    for (const htu of [
      `${tokenUrl}?a=b#c`,
      'https://AUTH.example:443/oauth2/token',
      'HTTPS://auth.example/oauth2/./token',
      'https://auth.example/%6Fauth2/%74oken',
    ]) {
      expect((await ask(await makeProof({ claims: { htu } }))).status).toBe(200);
    }
  });

  it('does not reveal with an invalid proof whether the client secret is valid', async () => {
    const client = { ...clients.shop, secret: clients.orders.secret };
    expect((await ask('x', { client })).status).toBe(401);
  });
});

test('accepts a DPoP proof with exp in the future and nbf up to 60 seconds ahead, like iat', async () => {
  const proof = await makeProof({ claims: { iat: seconds(50), nbf: seconds(50), exp: seconds(100) } });
  expect((await ask(proof)).status).toBe(200);
});

describe('the single use of a proof', () => {
  const bases = () => [server.publicUrl, beside.publicUrl].map(endpointsOf);

  it('rejects a replayed proof, in the same process and in another', async () => {
    const proof = await makeProof();
    expect((await ask(proof)).status).toBe(200);
    for (const at of bases()) {
      expect(await ask(proof, { at })).toMatchObject({ status: 400, json: { error: 'invalid_dpop_proof' } });
    }
  });

  it('rejects a used proof from another client, on this process and on another', async () => {
    const proof = await makeProof();
    expect((await ask(proof)).status).toBe(200);
    for (const at of bases()) {
      const answer = await ask(proof, { at, client: clients.partner });
      expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_dpop_proof' } });
    }
  });

  it('accepts exactly one of 50 concurrent uses in two processes', async () => {
    const proof = await makeProof();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => ask(proof, { at: bases()[index % 2] as typeof api })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 400)).toHaveLength(49);
  });
});

describe('the DPoP nonce', () => {
  it.each([undefined, '', 'wrong', 'A'.repeat(24), 5])(
    '%j is rejected with use_dpop_nonce and a valid nonce',
    async (given) => {
      const answer = await ask(await makeProof({ claims: { nonce: given } }));
      expect(answer).toMatchObject({ status: 400, json: { error: 'use_dpop_nonce' } });
      const told = answer.headers['dpop-nonce'];
      expect((await ask(await makeProof({ claims: { nonce: told } }))).status).toBe(200);
    },
  );

  it('of one process is accepted by every other', async () => {
    const at = endpointsOf(beside.publicUrl);
    const told = (await ask(await makeProof({ claims: { nonce: undefined } }), { at })).headers['dpop-nonce'];
    expect((await ask(await makeProof({ claims: { nonce: told } }))).status).toBe(200);
  });

  it('for the next proof is sent with every token', async () => {
    expect((await ask(await makeProof())).headers['dpop-nonce']).toEqual(expect.stringMatching(/^[\w-]{24}$/));
  });

  it('is rejected after three minutes', async () => {
    let ahead = 0;
    const later = await startTestServer({
      stores: server.stores,
      env: { KEYTURN_ISSUER: issuer },
      clock: () => Date.now() + ahead,
    });
    try {
      const at = endpointsOf(later.publicUrl);
      expect((await ask(await makeProof(), { at })).status).toBe(200);
      ahead = 180_000;
      const answer = await ask(await makeProof({ claims: { iat: seconds(180) } }), { at });
      expect(answer.json).toMatchObject({ error: 'use_dpop_nonce' });
    } finally {
      await later.close();
    }
  });
});
