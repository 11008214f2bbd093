import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { CompactSign, decodeJwt, exportJWK, generateKeyPair, importJWK } from 'jose';
import { makeCertificate, type TestCertificate } from '../certificates.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import {
  type AssertionChange,
  jwtBearer,
  makeAssertion,
  makeDpopProof,
  makePair,
  type ProofChange,
  registerWithoutSecret,
  type SigningPair,
} from './assertion.ts';
import { endpointsOf, register, type TestClient } from './fixture.ts';
import { type Answer, post, send } from './http-client.ts';

/**
 * The modules for authorization servers of the OpenID Foundation's conformance suite, plan
 * `fapi2-security-profile-final-client-credentials-grant-test-plan`, each with its name and in each variant of the
 * plan.
 */

const issuer = 'https://auth.example';
const tokenEndpoint = `${issuer}/oauth2/token`;
const now = () => Math.floor(Date.now() / 1_000);

const ca = makeCertificate({ subject: 'Clients CA', isCa: true });
const serverOwn = makeCertificate({ subject: 'keyturn', ip: ['127.0.0.1'] });

/** One of the two clients that the suite requires. */
type Party = { clientId: string; pair: SigningPair; certificate: TestCertificate };
type Auth = 'private_key_jwt' | 'mtls';
type Constraint = 'dpop' | 'mtls';

let directory: string;
let server: TestServer;
let reader: TestClient;
let nonce: string | undefined;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyturn-fapi-'));
  const file = (name: string, content: string) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  server = await startTestServer({
    env: {
      KEYTURN_ISSUER: issuer,
      KEYTURN_FAILURES_PER_MINUTE: '0',
      KEYTURN_TLS_CERT: file('tls.crt', serverOwn.cert),
      KEYTURN_TLS_KEY: file('tls.key', serverOwn.key),
      KEYTURN_TLS_CLIENT_CA: file('ca.crt', ca.cert),
    },
  });
  const api = { kind: 'resource_server', information: ['accounts'], tokenFormat: 'jwt' } as const;
  reader = await register(server.core, { name: 'Accounts', resource: 'https://api.example', ...api });
  const { pair, certificate } = await makeParty('private_key_jwt', 'dpop');
  const DPoP = await makeDpopProof(pair, { htu: tokenEndpoint, nonce: undefined });
  const form = { grant_type: 'client_credentials' };
  const client = await register(server.core, { name: 'Nonce', kind: 'integration' });
  const basic = [client.id, client.secret] as const;
  const answer = await post(`${server.publicUrl}/oauth2/token`, form, {
    basic,
    headers: { DPoP },
    tls: tls(certificate),
  });
  nonce = String(answer.headers['dpop-nonce']);
});

afterAll(async () => {
  await server?.close();
  rmSync(directory, { recursive: true });
});

let parties = 0;
async function makeParty(auth: Auth, constraint: Constraint): Promise<Party> {
  const pair = await makePair();
  const subject = `client-${++parties}`;
  const certificate = makeCertificate({ subject, issuer: ca });
  const input = {
    scope: 'accounts:read accounts:update',
    certificateBoundTokens: constraint === 'mtls',
    dpopBoundTokens: constraint === 'dpop',
  };
  const clientId =
    auth === 'mtls'
      ? await registerWithoutSecret(
          server.core,
          'tls_client_auth',
          { certificateSubject: { field: 'tls_client_auth_subject_dn', value: `CN=${subject}` } },
          input,
        )
      : await registerWithoutSecret(
          server.core,
          'private_key_jwt',
          { jwks: { keys: [pair.publicJwk as Record<string, unknown>] } },
          input,
        );
  return { clientId, pair, certificate };
}

const tls = (certificate?: TestCertificate): ConnectionOptions => ({
  ca: serverOwn.cert,
  ...(certificate ? { cert: certificate.cert, key: certificate.key } : {}),
});

type Change = {
  form?: Record<string, string | undefined>;
  assertion?: AssertionChange;
  signedBy?: SigningPair;
  proof?: ProofChange;
  /** Replaces the proof; null sends none. */
  dpop?: string | string[] | null;
  /** Replaces the client's certificate; null sends none. */
  certificate?: TestCertificate | null;
  headerName?: string;
};

/** Sends an otherwise valid token request with the given changes. */
async function ask(party: Party, auth: Auth, constraint: Constraint, change: Change = {}): Promise<Answer> {
  const form: Record<string, string | undefined> = { grant_type: 'client_credentials', scope: 'accounts:read' };
  if (auth === 'mtls') form['client_id'] = party.clientId;
  else {
    const signer = change.signedBy ?? party.pair;
    form['client_assertion'] = await makeAssertion(signer, party.clientId, issuer, change.assertion);
    form['client_assertion_type'] = jwtBearer;
  }
  const entries = Object.entries({ ...form, ...change.form }).filter(([, value]) => value !== undefined);
  const shows = auth === 'mtls' || constraint === 'mtls';
  const certificate = change.certificate === undefined && shows ? party.certificate : (change.certificate ?? undefined);
  const proof =
    change.dpop === undefined && constraint === 'dpop'
      ? await makeDpopProof(party.pair, { htu: tokenEndpoint, nonce }, change.proof)
      : change.dpop;
  return await post(`${server.publicUrl}/oauth2/token`, Object.fromEntries(entries) as Record<string, string>, {
    tls: tls(certificate),
    headers: proof ? { [change.headerName ?? 'DPoP']: proof } : {},
  });
}

const variants: [Auth, Constraint][] = [
  ['private_key_jwt', 'dpop'],
  ['private_key_jwt', 'mtls'],
  ['mtls', 'dpop'],
  ['mtls', 'mtls'],
];

describe.each(variants)('client_auth_type %s, sender_constrain %s', (auth, constraint) => {
  let first: Party;
  let second: Party;

  beforeAll(async () => {
    first = await makeParty(auth, constraint);
    second = await makeParty(auth, constraint);
  });

  it('happy-flow: issues a bound token with a complete answer that is not cached', async () => {
    const answer = await ask(first, auth, constraint);
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
    });
    const { access_token: token, ...rest } = answer.json;
    expect(rest).toEqual({
      token_type: constraint === 'dpop' ? 'DPoP' : 'Bearer',
      expires_in: 3_600,
      scope: 'accounts:read',
    });
    const claims = decodeJwt(String(token));
    expect(claims).toMatchObject({ iss: issuer, client_id: first.clientId });
    expect(Object.keys(claims['cnf'] as object)).toEqual([constraint === 'dpop' ? 'jkt' : 'x5t#S256']);
    const introspected = await endpointsOf(server.publicUrl).introspect(reader, String(token), {}, { tls: tls() });
    expect(introspected.json).toMatchObject({ active: true, cnf: claims['cnf'] });
  });

  it('ensure-client-id-in-token-endpoint: rejects the client_id of another client as invalid_client', async () => {
    const mixed: Change[] =
      auth === 'mtls'
        ? [{ certificate: first.certificate }]
        : [{ signedBy: first.pair }, { form: { client_id: first.clientId } }];
    for (const change of mixed) {
      expect(await ask(second, auth, constraint, change)).toMatchObject({
        status: 401,
        json: { error: 'invalid_client' },
      });
    }
  });

  it('ensure-holder-of-key-required: issues no unbound token', async () => {
    const answer = await ask(first, auth, constraint, {
      dpop: null,
      certificate: auth === 'mtls' && constraint === 'dpop' ? first.certificate : null,
    });
    const refusal =
      auth === 'mtls' && constraint === 'mtls'
        ? { status: 401, json: { error: 'invalid_client' } }
        : { status: 400, json: { error: 'invalid_request' } };
    expect(answer).toMatchObject(refusal);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(answer.json).not.toHaveProperty('access_token');
  });

  it('ensure-other-scope-order-succeeds', async () => {
    for (const scope of ['accounts:read accounts:update', 'accounts:update accounts:read']) {
      expect(await ask(first, auth, constraint, { form: { scope } })).toMatchObject({ status: 200, json: { scope } });
    }
  });
});

describe('private_key_jwt', () => {
  let party: Party;
  beforeAll(async () => {
    party = await makeParty('private_key_jwt', 'mtls');
  });
  const askWith = (assertion: AssertionChange) => ask(party, 'private_key_jwt', 'mtls', { assertion });

  it.each<[string, () => AssertionChange['claims']]>([
    ['ensure-client-assertion-with-exp-is-5-minutes-in-past-fails', () => ({ exp: now() - 300 })],
    ['ensure-client-assertion-with-wrong-aud-fails', () => ({ aud: 'https://other.example' })],
    ['ensure-client-assertion-with-no-sub-fails', () => ({ sub: undefined })],
    ['token-endpoint-as-audience-fails', () => ({ aud: tokenEndpoint })],
    ['as-array-audience-fails', () => ({ aud: [issuer] })],
    ['ensure-jwt-client-assertion-with-iat-over-60-seconds-in-the-future-fails', () => ({ iat: now() + 65 })],
    ['ensure-jwt-client-assertion-with-nbf-over-60-seconds-in-the-future-fails', () => ({ nbf: now() + 65 })],
    ['rejects an assertion that is valid for hours', () => ({ exp: now() + 7_200 })],
    ['rejects an assertion without jti', () => ({ jti: undefined })],
  ])('%s', async (_title, claims) => {
    const changed = claims();
    expect(await askWith(changed ? { claims: changed } : {})).toMatchObject({
      status: 401,
      json: { error: 'invalid_client' },
    });
  });

  it('ensure-jwt-client-assertion-with-iat-nbf-8-seconds-in-the-future-is-accepted', async () => {
    const claims = { iat: now() + 8, nbf: now() + 8 };
    expect((await askWith({ claims })).status).toBe(200);
  });

  it('ensure-client-assertion-in-token-endpoint: rejects client_id alone, even with the certificate', async () => {
    const none = { client_assertion: undefined, client_assertion_type: undefined, client_id: party.clientId };
    const answer = await ask(party, 'private_key_jwt', 'mtls', { form: none });
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
  });

  it('ensure-signed-client-assertion-with-RS256-fails: rejects RS256 and accepts PS256 with the same key', async () => {
    const { privateKey, publicKey } = await generateKeyPair('PS256', { extractable: true });
    const publicJwk = await exportJWK(publicKey);
    const jwks = { keys: [publicJwk as Record<string, unknown>] };
    const input = { scope: 'accounts:read' };
    const clientId = await registerWithoutSecret(server.core, 'private_key_jwt', { jwks }, input);
    const own = { ...party, clientId, pair: { alg: 'PS256', privateKey, publicJwk } };
    expect((await ask(own, 'private_key_jwt', 'mtls')).status).toBe(200);
    const claims = { iss: clientId, sub: clientId, aud: issuer, exp: now() + 60, jti: 'RS256' };
    const key = await importJWK(await exportJWK(privateKey), 'RS256');
    const assertion = await new CompactSign(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ alg: 'RS256' })
      .sign(key);
    const answer = await ask(own, 'private_key_jwt', 'mtls', { form: { client_assertion: assertion } });
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
  });

  it('rejects a used assertion (5.3.2.1: jti)', async () => {
    const client_assertion = await makeAssertion(party.pair, party.clientId, issuer);
    const statuses = [];
    for (let time = 0; time < 2; time++) {
      statuses.push((await ask(party, 'private_key_jwt', 'mtls', { form: { client_assertion } })).status);
    }
    expect(statuses).toEqual([200, 401]);
  });

  it('registers only RSA keys of 2048 bits and elliptic curve keys of 256 bits (5.4.1)', async () => {
    const weak = [
      generateKeyPairSync('rsa', { modulusLength: 1_024 }),
      generateKeyPairSync('ec', { namedCurve: 'secp224r1' }),
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
    ];
    for (const { publicKey } of weak) {
      const attempt = async () => {
        const jwks = { keys: [publicKey.export({ format: 'jwk' }) as Record<string, unknown>] };
        return await registerWithoutSecret(server.core, 'private_key_jwt', { jwks });
      };
      await expect(attempt()).rejects.toThrow();
    }
  });
});

describe('DPoP', () => {
  let party: Party;
  beforeAll(async () => {
    party = await makeParty('mtls', 'dpop');
  });
  const askWith = (change: Change) => ask(party, 'mtls', 'dpop', change);
  const refused = { status: 400, json: { error: 'invalid_dpop_proof' } };

  it.each<[string, () => Change]>([
    ['check-dpop-proof-nbf-exp', () => ({ proof: { claims: { nbf: now(), exp: now() + 300 } } })],
    ['ensure-dpop-proof-with-iat-10-seconds-before-succeeds', () => ({ proof: { claims: { iat: now() - 10 } } })],
    ['ensure-dpop-proof-with-iat-10-seconds-after-succeeds', () => ({ proof: { claims: { iat: now() + 10 } } })],
    ['the header name in capitals', () => ({ headerName: 'DPOP' })],
    ['htu with query and fragment', () => ({ proof: { claims: { htu: `${tokenEndpoint}?a=b#c` } } })],
    [
      'htu with its host in capitals and its port',
      () => ({ proof: { claims: { htu: 'HTTPS://AUTH.example:443/oauth2/token' } } }),
    ],
    ['unknown claims and header members', () => ({ proof: { claims: { x: 1 }, header: { x: 1 } } })],
  ])('accepts a proof: %s', async (_title, change) => {
    expect((await askWith(change())).status).toBe(200);
  });

  it.each<[string, () => Promise<Change> | Change]>([
    ['more than one proof', async () => ({ dpop: [await proof(), await proof()] })],
    ['a malformed JWT', () => ({ dpop: 'not.a.jwt' })],
    ['no typ', () => ({ proof: { header: { typ: undefined } } })],
    ['another typ', () => ({ proof: { header: { typ: 'jwt' } } })],
    ['no jwk', () => ({ proof: { header: { jwk: undefined } } })],
    ['no jti', () => ({ proof: { claims: { jti: undefined } } })],
    ['no htm', () => ({ proof: { claims: { htm: undefined } } })],
    ['no htu', () => ({ proof: { claims: { htu: undefined } } })],
    ['no iat', () => ({ proof: { claims: { iat: undefined } } })],
    ['no alg', async () => ({ dpop: withHeader(await proof(), { alg: undefined }) })],
    ['alg none', async () => ({ dpop: withHeader(await proof(), { alg: 'none' }).replace(/[^.]*$/, '') })],
    ['an invalid signature', async () => ({ dpop: (await proof()).replace(/.{8}$/, 'AAAAAAAA') })],
    ['a private key', async () => ({ proof: { header: { jwk: await exportJWK(party.pair.privateKey) } } })],
    [
      'a key other than the one that signed',
      async () => ({ proof: { header: { jwk: (await makePair()).publicJwk } } }),
    ],
    ['another htm', () => ({ proof: { claims: { htm: 'PUT' } } })],
    ['another htu', () => ({ proof: { claims: { htu: 'https://other.example/oauth2/token' } } })],
    ['iat an hour in the future', () => ({ proof: { claims: { iat: now() + 3_600 } } })],
    ['iat an hour in the past', () => ({ proof: { claims: { iat: now() - 3_600 } } })],
  ])('dpop-negative-tests: rejects a proof with %s', async (_title, change) => {
    expect(await askWith(await change())).toMatchObject(refused);
  });

  it('dpop-negative-tests: rejects RS256', async () => {
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
    const rsa = { alg: 'RS256', privateKey, publicJwk: await exportJWK(publicKey) };
    const dpop = await makeDpopProof(rsa, { htu: tokenEndpoint, nonce });
    expect(await askWith({ dpop })).toMatchObject(refused);
  });

  it('dpop-negative-tests: rejects a repeated jti', async () => {
    const dpop = await proof();
    expect((await askWith({ dpop })).status).toBe(200);
    expect(await askWith({ dpop })).toMatchObject(refused);
  });

  const proof = () => makeDpopProof(party.pair, { htu: tokenEndpoint, nonce });

  function withHeader(jwt: string, change: object): string {
    const [header = '', ...rest] = jwt.split('.');
    const changed = { ...JSON.parse(Buffer.from(header, 'base64url').toString()), ...change };
    return [Buffer.from(JSON.stringify(changed)).toString('base64url'), ...rest].join('.');
  }
});

describe('TLS (5.2.1, 5.2.2, BCP 195)', () => {
  async function handshake(options: ConnectionOptions): Promise<string | null> {
    const { port } = new URL(server.publicUrl);
    const socket = connect({ host: '127.0.0.1', port: Number(port), ...tls(), ...options });
    await once(socket, 'secureConnect');
    const protocol = socket.getProtocol();
    socket.destroy();
    return protocol;
  }
  const anyCipher = 'ALL@SECLEVEL=0';

  it('EnsureTLS13OrLater: supports and prefers TLS 1.3', async () => {
    expect(await handshake({})).toBe('TLSv1.3');
  });

  it.each(['TLSv1', 'TLSv1.1'] as const)('Disallow %s', async (version) => {
    await expect(handshake({ minVersion: version, maxVersion: version, ciphers: anyCipher })).rejects.toThrow();
  });

  it.each(['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384'])(
    'EnsureTLS12RequireBCP195Ciphers: %s',
    async (ciphers) => {
      expect(await handshake({ maxVersion: 'TLSv1.2', ciphers })).toBe('TLSv1.2');
    },
  );

  it.each([
    'ECDHE-ECDSA-AES128-SHA',
    'ECDHE-ECDSA-AES128-SHA256',
    'ECDHE-ECDSA-AES256-SHA384',
    'ECDHE-ECDSA-AES128-CCM',
  ])('RequireOnlyBCP195RecommendedCiphersForTLS12: rejects %s', async (ciphers) => {
    await expect(handshake({ maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` })).rejects.toThrow();
  });
});

describe('discovery-end-point-verification', () => {
  it('lists the issuer, endpoints, methods and algorithms of the profile, and nothing weaker', async () => {
    const path = '/.well-known/oauth-authorization-server';
    const answer = await send(server.publicUrl + path, { tls: tls() });
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    const { json } = answer;
    expect(json).toMatchObject({
      issuer,
      token_endpoint: tokenEndpoint,
      grant_types_supported: ['client_credentials'],
      tls_client_certificate_bound_access_tokens: true,
      token_endpoint_auth_methods_supported: expect.arrayContaining([
        'private_key_jwt',
        'tls_client_auth',
        'self_signed_tls_client_auth',
      ]),
    });
    // Ed25519 is the newer name of EdDSA (RFC 9864).
    const allowed = ['PS256', 'ES256', 'EdDSA', 'Ed25519'];
    for (const name of ['token_endpoint_auth_signing_alg_values_supported', 'dpop_signing_alg_values_supported']) {
      const listed = json[name] as string[];
      expect(listed.length).toBeGreaterThan(0);
      expect(allowed).toEqual(expect.arrayContaining(listed));
    }
    for (const name of ['authorization_endpoint', 'registration_endpoint', 'userinfo_endpoint']) {
      expect(json).not.toHaveProperty(name);
    }
  });

  it('rejects credentials and tokens in a URL (5.3.2.1, RFC 6750 §2.3)', async () => {
    const party = await makeParty('private_key_jwt', 'dpop');
    const assertion = await makeAssertion(party.pair, party.clientId, issuer);
    for (const query of [`client_assertion=${assertion}`, 'token=kta_x', 'client_secret=x', 'access_key=x']) {
      const answer = await post(
        `${server.publicUrl}/oauth2/token?${query}`,
        { grant_type: 'client_credentials' },
        { tls: tls() },
      );
      expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
    }
  });

  it.each([
    ['password', 'unsupported_grant_type'],
    ['authorization_code', 'unsupported_grant_type'],
    ['implicit', 'unsupported_grant_type'],
    ['refresh_token', 'unsupported_grant_type'],
    // Only resource servers exchange tokens, and the other parties are integrations.
    ['urn:ietf:params:oauth:grant-type:token-exchange', 'unauthorized_client'],
  ])('rejects the grant %s', async (grant_type, error) => {
    const party = await makeParty('mtls', 'mtls');
    const form = { grant_type, username: 'x', password: 'x', code: 'x', refresh_token: 'x' };
    const answer = await ask(party, 'mtls', 'mtls', { form });
    expect(answer).toMatchObject({ status: 400, json: { error } });
  });
});
