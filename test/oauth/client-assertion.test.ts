import { createHmac } from 'node:crypto';
import { Redis } from 'ioredis';
import { CompactEncrypt, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { disableClient } from '../../src/clients/manage-clients.ts';
import { generateClientId } from '../../src/credentials/credential-format.ts';
import { setStoreDeadline } from '../../src/storage/with-deadline.ts';
import { type ChildServer, startChildServer } from '../faults/child-server.ts';
import { createTestStores, startTestServer, type TestServer } from '../harness.ts';
import { patientMs } from '../patient-stores.ts';
import {
  type AssertionChange,
  makeAssertion,
  makePair,
  postAssertion,
  registerKeyClient,
  type SigningPair,
} from './assertion.ts';
import { countSignatures } from './count-signatures.ts';
import { actor, endpointsOf, register, registerAll, type TestClient, watchQueries } from './fixture.ts';
import { type Answer, post } from './http-client.ts';

const issuer = 'https://auth.example';
const refused = {
  status: 401,
  text: '{"error":"invalid_client","error_description":"Client authentication failed."}',
};

let server: TestServer;
let beside: ChildServer;
let url: string;
let pair: SigningPair;
let clientId: string;
let shop: TestClient;
let orders: TestClient;

beforeAll(async () => {
  const stores = await createTestStores();
  // Use a separate Redis database, which this file clears.
  stores.redisUrl = `${stores.redisUrl.replace(/\/\d*$/, '')}/7`;
  const env = {
    KEYTURN_ISSUER: issuer,
    KEYTURN_FAILURES_PER_MINUTE: '0',
    KEYTURN_ALLOWED_HOSTS: '127.0.0.1,localhost',
  };
  server = await startTestServer({ stores, env });
  beside = await startChildServer(stores, env);
  url = endpointsOf(server.publicUrl).tokenUrl;
  ({ shop, orders } = await registerAll(server.core));
  pair = await makePair();
  clientId = await registerKeyClient(server.core, { jwks: { keys: [pair.publicJwk] } }, { scope: 'orders:read' });
});

afterAll(async () => {
  await beside?.terminate();
  await server?.close();
});

/** Sends an otherwise valid assertion with the given changes. */
async function ask(change: AssertionChange = {}, form?: Record<string, string>): Promise<Answer> {
  return await postAssertion(url, await makeAssertion(pair, clientId, issuer, change), form);
}

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('private_key_jwt (RFC 7523, FAPI 2.0 Security Profile §5.3.2.1)', () => {
  it.each(['ES256', 'EdDSA', 'Ed25519', 'PS256'])('authenticates a client with a registered %s key', async (alg) => {
    const own = await makePair(alg);
    const id = await registerKeyClient(server.core, { jwks: { keys: [own.publicJwk] } }, { scope: 'orders:read' });
    const answer = await postAssertion(url, await makeAssertion(own, id, issuer), { client_id: id });
    expect(answer).toMatchObject({ status: 200, json: { token_type: 'Bearer', scope: 'orders:read' } });
    const introspected = await endpointsOf(server.publicUrl).introspect(orders, answer.json['access_token'] as string);
    expect(introspected.json).toMatchObject({ active: true, client_id: id });
  });

  it('authenticates introspections and revocations with an assertion', async () => {
    const input = { kind: 'resource_server', resource: 'https://keyed.example', information: ['things'] } as const;
    const serverId = await registerKeyClient(
      server.core,
      { jwks: { keys: [pair.publicJwk] } },
      { ...input, information: [...input.information] },
    );
    const { introspectionUrl, revocationUrl } = endpointsOf(server.publicUrl);
    const introspected = await postAssertion(introspectionUrl, await makeAssertion(pair, serverId, issuer), {
      token: 'x',
    });
    expect(introspected).toMatchObject({ status: 200, text: '{"active":false}' });
    const token = (await ask()).json['access_token'] as string;
    const revoked = await postAssertion(revocationUrl, await makeAssertion(pair, clientId, issuer), { token });
    expect(revoked.status).toBe(200);
    expect((await endpointsOf(server.publicUrl).introspect(orders, token)).json).toEqual({ active: false });
  });

  const now = () => Math.floor(Date.now() / 1_000);
  const changes: [string, () => AssertionChange][] = [
    ['FAPI 2.0: aud is the token endpoint', () => ({ claims: { aud: `${issuer}/oauth2/token` } })],
    ['FAPI 2.0: aud is an array, even with the issuer alone', () => ({ claims: { aud: [issuer] } })],
    ['aud is an array with another audience', () => ({ claims: { aud: [issuer, 'https://evil.example'] } })],
    ['aud has an additional slash', () => ({ claims: { aud: `${issuer}/` } })],
    ['aud is another server', () => ({ claims: { aud: 'https://evil.example' } })],
    ['aud is missing', () => ({ claims: { aud: undefined } })],
    ['iss is another client', () => ({ claims: { iss: 'kti_somebody' } })],
    ['sub is another client', () => ({ claims: { iss: shop.id, sub: shop.id } })],
    ['FAPI 2.0: exp is in the past', () => ({ claims: { exp: now() - 1 } })],
    ['exp is more than 5 minutes and 10 seconds ahead', () => ({ claims: { exp: now() + 312 } })],
    ['exp is missing', () => ({ claims: { exp: undefined } })],
    ['FAPI 2.0: iat is more than 60 seconds in the future', () => ({ claims: { iat: now() + 61 } })],
    ['FAPI 2.0: nbf is more than 60 seconds in the future', () => ({ claims: { nbf: now() + 61 } })],
    ['nbf is a string', () => ({ claims: { nbf: 'now' } })],
    ['jti is missing', () => ({ claims: { jti: undefined } })],
    ['jti is empty', () => ({ claims: { jti: '' } })],
    ['typ is that of an access token', () => ({ header: { typ: 'at+jwt' } })],
    ['typ is that of an access token as a full media type', () => ({ header: { typ: 'application/at+jwt' } })],
    ['typ is that of a DPoP proof', () => ({ header: { typ: 'dpop+jwt' } })],
    ['b64 is false', () => ({ header: { b64: false } })],
  ];
  it.each(changes)('rejects an assertion: %s', async (_title, change) => {
    expect(await ask(change())).toMatchObject(refused);
  });

  it.each([
    ['iat up to 10 seconds in the future', () => ({ claims: { iat: inSeconds(8) } })],
    ['nbf up to 10 seconds in the future', () => ({ claims: { nbf: inSeconds(8) } })],
    ['exp 5 minutes after an iat 8 seconds ahead', () => ({ claims: { iat: inSeconds(8), exp: inSeconds(308) } })],
    ['no iat', () => ({ claims: { iat: undefined } })],
    ['an iat in 1970', () => ({ claims: { iat: 0.5 } })],
    ['an iat before the first day that PostgreSQL knows', () => ({ claims: { iat: -1e12 } })],
    ['an iat before the first day that JavaScript knows', () => ({ claims: { iat: -1e18 } })],
    ['typ client-authentication+jwt', () => ({ header: { typ: 'client-authentication+jwt' } })],
    ['a kid that is a path, because the registered key has no kid', () => ({ header: { kid: '../../etc/passwd' } })],
  ])('FAPI 2.0: accepts an assertion with %s', async (_title, change) => {
    expect((await ask(change())).status).toBe(200);
  });

  it('requires the configured issuer as the audience, regardless of Host and X-Forwarded-Host', async () => {
    const assertion = await makeAssertion(pair, clientId, issuer, { claims: { aud: 'https://localhost' } });
    const headers = { Host: 'localhost', 'X-Forwarded-Host': 'localhost', 'X-Forwarded-Proto': 'https' };
    expect(await postAssertion(url, assertion, {}, headers)).toMatchObject(refused);
  });

  it('FAPI 2.0: rejects alg none in upper and lower case', async () => {
    const claims = { iss: clientId, sub: clientId, aud: issuer, exp: inSeconds(60), jti: 'none' };
    for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
      for (const signature of ['', 'AA']) {
        const assertion = `${encode({ alg })}.${encode(claims)}.${signature}`;
        expect(await postAssertion(url, assertion)).toMatchObject(refused);
      }
    }
  });

  it('rejects HMAC with the public key as its secret', async () => {
    const claims = { iss: clientId, sub: clientId, aud: issuer, exp: inSeconds(60), jti: 'hmac' };
    const input = `${encode({ alg: 'HS256' })}.${encode(claims)}`;
    for (const secret of [JSON.stringify(pair.publicJwk), JSON.stringify({ keys: [pair.publicJwk] })]) {
      const signature = createHmac('sha256', secret).update(input).digest('base64url');
      expect(await postAssertion(url, `${input}.${signature}`)).toMatchObject(refused);
    }
  });

  it('FAPI 2.0: rejects RS256, even with a registered RSA key', async () => {
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
    const { kty, n, e } = await exportJWK(publicKey);
    const id = await registerKeyClient(server.core, { jwks: { keys: [{ kty, n, e }] } });
    const assertion = await makeAssertion({ alg: 'RS256', privateKey }, id, issuer);
    expect(await postAssertion(url, assertion)).toMatchObject(refused);
  });

  it('FAPI 2.0: rejects the key of another client and keys from the header', async () => {
    const attacker = await makePair();
    const headers = [
      {},
      { jwk: attacker.publicJwk },
      { jku: 'https://evil.example/jwks.json' },
      { x5u: 'https://evil.example/x5u' },
      { kid: "' OR 1=1 --" },
    ];
    for (const header of headers) {
      expect(await postAssertion(url, await makeAssertion(attacker, clientId, issuer, { header }))).toMatchObject(
        refused,
      );
    }
  });

  it('rejects an unknown crit header', async () => {
    const assertion = await new SignJWT({ iss: clientId, sub: clientId, aud: issuer, exp: inSeconds(60), jti: 'crit' })
      .setProtectedHeader({ alg: 'ES256', crit: ['http://keyturn.example/x'], 'http://keyturn.example/x': true })
      .sign(pair.privateKey, { crit: { 'http://keyturn.example/x': true } });
    expect(await postAssertion(url, assertion)).toMatchObject(refused);
  });

  it('rejects JWE, PBES2 and malformed JWTs', async () => {
    const jwe = await new CompactEncrypt(Buffer.from('{}'))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .encrypt(new Uint8Array(32));
    const pbes2 = `${encode({ alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 2_147_483_647, p2s: 'AA' })}.AA.AA.AA.AA`;
    for (const assertion of [
      jwe,
      pbes2,
      'x',
      'a.b.c',
      '..',
      `${'a'.repeat(9_000)}.b.c`,
      `${encode({})}.${encode([])}.AA`,
    ]) {
      expect(await postAssertion(url, assertion)).toMatchObject(refused);
    }
  });

  it('rejects an assertion of 2 MB without reading it', async () => {
    expect((await postAssertion(url, 'a'.repeat(2 * 1024 * 1024))).status).toBe(413);
  });

  it('rejects an access token as an assertion', async () => {
    const resource = 'https://jwt.example';
    await register(server.core, {
      name: 'JWT',
      kind: 'resource_server',
      resource,
      information: ['jwts'],
      tokenFormat: 'jwt',
    });
    const id = await registerKeyClient(server.core, { jwks: { keys: [pair.publicJwk] } }, { scope: 'jwts:read' });
    const { json } = await postAssertion(url, await makeAssertion(pair, id, issuer));
    const token = json['access_token'] as string;
    expect(token.split('.')).toHaveLength(3);
    expect(await postAssertion(url, token)).toMatchObject(refused);
    expect(await postAssertion(url, token, { client_id: id })).toMatchObject(refused);
  });

  it('rejects an assertion as an access token', async () => {
    const assertion = await makeAssertion(pair, clientId, issuer);
    expect((await endpointsOf(server.publicUrl).introspect(orders, assertion)).text).toBe('{"active":false}');
  });

  it('gives the same answer to every failure of known and unknown clients', async () => {
    const answers = await Promise.all([
      ask({ claims: { aud: 'x' } }),
      ask({ claims: { iss: 'kti_unknown', sub: 'kti_unknown' } }),
      ask({}, { client_id: shop.id }),
      ask({}, { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' }),
      post(url, { grant_type: 'client_credentials' }),
    ]);
    for (const answer of answers) {
      expect(answer).toMatchObject(refused);
      expect(answer.headers['www-authenticate']).toBe(answers[0]?.headers['www-authenticate']);
    }
  });

  it.each(['ES256', 'PS256', 'EdDSA'])(
    'checks as many %s signatures, with or without kid, for an unknown or disabled client as for one with any keys',
    async (alg) => {
      const stranger = await makePair(alg);
      const registered = await Promise.all(Array.from({ length: 10 }, () => makePair(alg)));
      const withKeys = async (count: number, isNamed: boolean) => {
        const keys = registered.slice(0, count).map(({ publicJwk }, at) => ({
          ...publicJwk,
          ...(isNamed ? { kid: `k${at}` } : {}),
        }));
        return await registerKeyClient(server.core, { jwks: { keys } });
      };
      const disabled = await withKeys(1, false);
      await server.core.change((transaction) => disableClient(transaction, server.core, actor, disabled));
      const ids = [generateClientId(), shop.id, disabled];
      for (const isNamed of [false, true]) for (const count of [1, 3, 10]) ids.push(await withKeys(count, isNamed));
      await server.core.feed.sync();
      const work = async (id: string, kid: string | undefined) => {
        const assertion = await makeAssertion(stranger, id, issuer, kid ? { header: { kid } } : {});
        const signatures = countSignatures();
        const queries = watchQueries(server.core);
        expect(await postAssertion(url, assertion)).toMatchObject(refused);
        queries.stop();
        return { signatures: signatures.stop(), lookups: queries.clientLookups().length };
      };
      for (const kid of [undefined, 'k0', 'unknown']) {
        for (const id of ids) {
          const seen = await work(id, kid);
          // Ten keys of the client and two that it published before.
          expect({ id, kid, signatures: seen.signatures }).toEqual({ id, kid, signatures: 12 });
          expect(seen.lookups).toBeLessThanOrEqual(1);
        }
      }
      // Every key of a full set is accepted without a kid.
      const full = ids[5] ?? '';
      for (const each of registered) {
        expect(await postAssertion(url, await makeAssertion(each, full, issuer))).toMatchObject({ status: 200 });
      }
    },
  );

  it('looks up keys that left their URL at most three times at once, within the deadline, and never for an impossible ID', async () => {
    const { unlimitedDatabase: database } = server.core;
    const { query } = database;
    const waiting: (() => void)[] = [];
    database.query = (sql, parameters) =>
      sql.includes('jwk FROM client_keys')
        ? new Promise((resolve) => waiting.push(() => resolve([])))
        : query(sql, parameters);
    const stranger = await makePair();
    const askAs = async (id: string, { alg, privateKey } = stranger) =>
      (await postAssertion(url, await makeAssertion({ alg, privateKey }, id, issuer))).status;
    const impossible = [await askAs('__proto__'), await askAs(clientId, await makePair('ES384'))];
    const lookups = waiting.length;
    const statuses: number[] = [];
    for (let count = 0; count < 4; count += 1) statuses.push(await askAs(clientId));
    const limited = waiting.length;
    for (const release of waiting) release();
    database.query = query;
    expect([impossible, lookups]).toEqual([[401, 401], 0]);
    expect([statuses, limited]).toEqual([[503, 503, 503, 401], 3]);
    expect(await askAs(clientId)).toBe(401);
  });

  it('accepts only the authentication method that the client is registered with', async () => {
    const secret = shop.secret;
    expect(await post(url, { grant_type: 'client_credentials' }, { basic: [clientId, secret] })).toMatchObject(refused);
    expect(await postAssertion(url, await makeAssertion(pair, shop.id, issuer))).toMatchObject(refused);
  });

  it('rejects two authentication methods in one request as invalid_request', async () => {
    const both = await ask({}, { client_secret: shop.secret });
    expect(both).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
    const assertion = await makeAssertion(pair, clientId, issuer);
    const withHeader = await postAssertion(url, assertion, {}, { Authorization: 'Basic eDp5' });
    expect(withHeader).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });

  it('rejects a disabled client', async () => {
    const id = await registerKeyClient(server.core, { jwks: { keys: [pair.publicJwk] } });
    await server.core.change((transaction) => disableClient(transaction, server.core, actor, id));
    expect(await postAssertion(url, await makeAssertion(pair, id, issuer))).toMatchObject(refused);
  });
});

describe('the single use of an assertion', () => {
  const urls = () => [server.publicUrl, beside.publicUrl].map((base) => `${base}/oauth2/token`);

  it('FAPI 2.0: rejects a reused jti, in the same process and in another', async () => {
    const assertion = await makeAssertion(pair, clientId, issuer);
    expect((await postAssertion(url, assertion)).status).toBe(200);
    for (const each of urls()) expect(await postAssertion(each, assertion)).toMatchObject(refused);
  });

  it('accepts exactly one of 50 concurrent uses in two processes', async () => {
    const assertion = await makeAssertion(pair, clientId, issuer);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => postAssertion(urls()[index % 2] as string, assertion)),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(49);
  });

  it('rejects a used jti after Redis lost its data', async () => {
    const assertion = await makeAssertion(pair, clientId, issuer);
    expect((await postAssertion(url, assertion)).status).toBe(200);
    const redis = new Redis(server.stores.redisUrl);
    await redis.flushdb();
    redis.disconnect();
    for (const each of urls()) expect(await postAssertion(each, assertion)).toMatchObject(refused);
    expect((await ask()).status).toBe(200);
  });

  it('rejects a used jti in a process that starts later', async () => {
    const assertion = await makeAssertion(pair, clientId, issuer);
    expect((await postAssertion(url, assertion)).status).toBe(200);
    const later = await startTestServer({ stores: server.stores, env: { KEYTURN_ISSUER: issuer } });
    const laterUrl = `${later.publicUrl}/oauth2/token`;
    expect(await postAssertion(laterUrl, assertion)).toMatchObject(refused);
    expect((await postAssertion(laterUrl, await makeAssertion(pair, clientId, issuer))).status).toBe(200);
    await later.close();
  });

  it('marks a jti as used only if the assertion is valid', async () => {
    const jti = 'not-yet';
    const stranger = await makePair();
    await postAssertion(url, await makeAssertion(stranger, clientId, issuer, { claims: { jti } }));
    await ask({ claims: { jti, aud: 'https://other.example' } });
    await ask({ claims: { jti, exp: inSeconds(-1) } });
    expect((await ask({ claims: { jti } })).status).toBe(200);
    expect((await ask({ claims: { jti } })).status).toBe(401);
  });

  it('accepts a jti that another client has used', async () => {
    const id = await registerKeyClient(server.core, { jwks: { keys: [pair.publicJwk] } });
    const claims = { jti: 'the-same' };
    expect((await ask({ claims })).status).toBe(200);
    expect((await postAssertion(url, await makeAssertion(pair, id, issuer, { claims }))).status).toBe(200);
  });

  it('answers 503 while PostgreSQL does not answer', async () => {
    const { unlimitedDatabase: database } = server.core;
    const { query } = database;
    database.query = (sql, parameters) =>
      sql.includes('used_assertions') ? new Promise(() => undefined) : query(sql, parameters);
    const assertion = await makeAssertion(pair, clientId, issuer);
    setStoreDeadline(200);
    const answer = await postAssertion(url, assertion);
    setStoreDeadline(patientMs);
    database.query = query;
    expect(answer).toMatchObject({ status: 503, json: { error: 'temporarily_unavailable' } });
    expect((await postAssertion(url, assertion)).status).toBe(200);
  });
});
