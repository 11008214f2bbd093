import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuthMethod } from '../../src/clients/client.ts';
import type { GivenKeys } from '../../src/clients/client-rules.ts';
import { disableClient } from '../../src/clients/manage-clients.ts';
import { makeCertificate, type TestCertificate } from '../certificates.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import {
  jwtBearer,
  makeAssertion,
  makeDpopProof,
  makePair,
  postAssertion,
  registerKeyClient,
  registerWithoutSecret,
  type SigningPair,
} from './assertion.ts';
import { actor, register } from './fixture.ts';
import { post, send } from './http-client.ts';

const issuer = 'https://auth.example';
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ env: { KEYTURN_ISSUER: issuer } });
});

afterAll(() => server?.close());

const paths = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'];

describe('the metadata', () => {
  it('is the same document at both of its paths (RFC 8414 §3)', async () => {
    const [first, second] = await Promise.all(paths.map((path) => send(server.publicUrl + path)));
    expect(first?.status).toBe(200);
    expect(first?.text).toBe(second?.text);
    expect(first?.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(first?.headers['x-content-type-options']).toBe('nosniff');
  });

  it('lists exactly the available features', async () => {
    const { json } = await send(server.publicUrl + paths[0]);
    expect(json).toMatchObject({
      issuer,
      token_endpoint: `${issuer}/oauth2/token`,
      introspection_endpoint: `${issuer}/oauth2/introspect`,
      revocation_endpoint: `${issuer}/oauth2/revoke`,
      jwks_uri: `${issuer}/.well-known/jwks.json`,
      grant_types_supported: ['client_credentials'],
      response_types_supported: ['none'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
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
    ];
    for (const name of absent) expect(json).not.toHaveProperty(name);
  });

  it('has no empty array (RFC 8414 §3.2), and lists the scopes of enabled resource servers', async () => {
    const own = await startTestServer({ env: { KEYTURN_ISSUER: issuer } });
    const read = async () => (await send(own.publicUrl + paths[0])).json;
    try {
      expect(await read()).not.toHaveProperty('scopes_supported');
      for (const member of Object.values(await read())) expect(member).not.toEqual([]);
      const of = (name: string) =>
        ({ name, kind: 'resource_server', resource: `https://${name}`, information: [name] }) as const;
      await register(own.core, of('orders'));
      const { id } = await register(own.core, of('secrets'));
      await own.core.change((transaction) => disableClient(transaction, own.core, actor, id));
      expect(await read()).toMatchObject({
        scopes_supported: ['orders:create', 'orders:delete', 'orders:read', 'orders:update'],
      });
    } finally {
      await own.close();
    }
  });

  it('has only URLs that begin with the issuer, regardless of the Host of the request', async () => {
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

  it('may be cached for a while, and so may the keys', async () => {
    for (const path of [...paths, '/.well-known/jwks.json']) {
      const answer = await send(server.publicUrl + path);
      expect(answer.headers['cache-control']).toBe('public, max-age=300');
    }
  });

  it('contains no private key members', async () => {
    const { json } = await send(`${server.publicUrl}/.well-known/jwks.json`);
    expect(Array.isArray(json['keys'])).toBe(true);
    for (const key of json['keys'] as object[]) {
      for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']) expect(key).not.toHaveProperty(secret);
    }
  });
});

/** Everything that the metadata lists must work, and everything else must be rejected. */
describe('the metadata compared with what works', () => {
  const ca = makeCertificate({ subject: 'Clients CA', isCa: true });
  const named = makeCertificate({ dns: ['sync.example.com'], issuer: ca });
  const selfSigned = makeCertificate({ subject: 'self-signed' });
  const own = makeCertificate({ ip: ['127.0.0.1'] });
  const proxy = '127.0.0.2';
  const possible = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth'].concat(
    'self_signed_tls_client_auth',
    'client_secret_jwt',
    'none',
  );

  let directory: string;
  const file = (name: string) => join(directory, name);

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'keyturn-metadata-'));
    for (const [name, content] of Object.entries({ 'tls.crt': own.cert, 'tls.key': own.key, 'ca.crt': ca.cert })) {
      writeFileSync(file(name), content);
    }
  });

  afterAll(() => rmSync(directory, { recursive: true }));

  const tlsFiles = () => ({ KEYTURN_TLS_CERT: file('tls.crt'), KEYTURN_TLS_KEY: file('tls.key') });
  const deployments: [string, () => Record<string, string>, string[]][] = [
    ['without TLS', () => ({}), []],
    ['with its own TLS', tlsFiles, ['self_signed_tls_client_auth']],
    [
      'with its own TLS and a CA for clients',
      () => ({ ...tlsFiles(), KEYTURN_TLS_CLIENT_CA: file('ca.crt') }),
      ['tls_client_auth', 'self_signed_tls_client_auth'],
    ],
    [
      'behind a proxy that forwards certificates',
      () => ({ KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert', KEYTURN_CLIENT_CERT_PROXY: proxy }),
      ['tls_client_auth', 'self_signed_tls_client_auth'],
    ],
  ];

  describe.each(deployments)('%s', (_title, env, certificateMethods) => {
    let deployed: TestServer;
    let json: Record<string, unknown>;
    let pair: SigningPair;

    beforeAll(async () => {
      const shared = { KEYTURN_ISSUER: issuer, KEYTURN_TRUST_PROXY: proxy, KEYTURN_FAILURES_PER_MINUTE: '0' };
      deployed = await startTestServer({ stores: server.stores, env: { ...shared, ...env() } });
      json = (await send(deployed.publicUrl + paths[0], { tls: { ca: own.cert } })).json;
      pair = await makePair();
    });

    afterAll(() => deployed?.close());

    /** Posts a form and presents a client certificate in the way that the deployment reads it. */
    function postShowing(path: string, form: Record<string, string>, shown?: TestCertificate, more = {}) {
      const header = shown ? { 'Client-Cert': `:${shown.x509.raw.toString('base64')}:` } : {};
      const tls = { ca: own.cert, ...(shown ? { cert: shown.cert, key: shown.key } : {}) };
      return post(deployed.publicUrl + path, form, { tls, from: proxy, headers: header, ...more });
    }

    /** Authenticates a new client with each existing method. */
    async function ask(
      method: string,
      kind: 'integration' | 'resource_server',
      path: string,
      form: Record<string, string>,
    ) {
      const { core } = deployed;
      const input = kind === 'integration' ? { kind } : { kind, resource: `https://${randomUUID()}.example` };
      const keyless = (given: GivenKeys) => registerWithoutSecret(core, method as AuthMethod, given, input);
      const assert = async (client_id: string, assertion: string) =>
        postShowing(path, { ...form, client_id, client_assertion_type: jwtBearer, client_assertion: assertion });
      switch (method) {
        case 'private_key_jwt': {
          const id = await keyless({ jwks: { keys: [{ ...pair.publicJwk }] } });
          return await assert(id, await makeAssertion(pair, id, issuer));
        }
        case 'tls_client_auth': {
          const certificateSubject = { field: 'tls_client_auth_san_dns', value: 'sync.example.com' } as const;
          return await postShowing(path, { ...form, client_id: await keyless({ certificateSubject }) }, named);
        }
        case 'self_signed_tls_client_auth': {
          const jwk = selfSigned.x509.publicKey.export({ format: 'jwk' });
          const x5c = [selfSigned.x509.raw.toString('base64')];
          const id = await keyless({ jwks: { keys: [{ ...jwk, x5c }] } });
          return await postShowing(path, { ...form, client_id: id }, selfSigned);
        }
        default: {
          const { id, secret } = await register(core, { name: method, ...input });
          if (method === 'none') return await postShowing(path, { ...form, client_id: id });
          if (method === 'client_secret_basic')
            return await postShowing(path, form, undefined, { basic: [id, secret] });
          if (method === 'client_secret_post')
            return await postShowing(path, { ...form, client_id: id, client_secret: secret });
          const hmac = { alg: 'HS256', privateKey: Buffer.from(secret) as unknown as SigningPair['privateKey'] };
          return await assert(id, await makeAssertion(hmac, id, issuer));
        }
      }
    }

    it.each([
      ['token_endpoint', 'integration', { grant_type: 'client_credentials' }],
      ['introspection_endpoint', 'resource_server', { token: 'kta_x' }],
      ['revocation_endpoint', 'integration', { token: 'kta_x' }],
    ] as const)(
      '%s accepts every listed authentication method and rejects all others',
      async (endpoint, kind, form) => {
        const listed = json[`${endpoint}_auth_methods_supported`] as string[];
        expect(listed).toEqual(['client_secret_basic', 'client_secret_post', 'private_key_jwt', ...certificateMethods]);
        const path = String(json[endpoint]).slice(issuer.length);
        for (const method of possible) {
          expect([method, (await ask(method, kind, path, form)).status]).toEqual([
            method,
            listed.includes(method) ? 200 : 401,
          ]);
        }
      },
    );

    it('lists certificate-bound tokens if and only if tokens are bound to certificates', async () => {
      const input = { kind: 'integration', certificateBoundTokens: true } as const;
      const { id, secret } = await register(deployed.core, { name: 'Bound', ...input });
      const form = { grant_type: 'client_credentials', client_id: id, client_secret: secret };
      const answer = await postShowing('/oauth2/token', form, named);
      expect(json['tls_client_certificate_bound_access_tokens']).toBe(certificateMethods.length > 0 ? true : undefined);
      expect(answer.status).toBe(certificateMethods.length > 0 ? 200 : 400);
    });
  });

  it('lists exactly the endpoints that exist', async () => {
    const { json } = await send(server.publicUrl + paths[0]);
    const listed = Object.entries(json).filter(([name]) => /_endpoint$|^jwks_uri$/.test(name));
    expect(listed.map(([name]) => name).sort()).toEqual([
      'introspection_endpoint',
      'jwks_uri',
      'revocation_endpoint',
      'token_endpoint',
    ]);
    const present = listed.map(([, url]) => String(url).slice(issuer.length));
    for (const path of present) expect((await send(server.publicUrl + path)).status).not.toBe(404);
    const usual = [
      'auth',
      'authorize',
      'userinfo',
      'me',
      'register',
      'reg',
      'par',
      'request',
      'device',
      'logout',
      'keys',
    ];
    for (const name of usual) {
      for (const path of [`/${name}`, `/oauth2/${name}`, `/token/${name}`]) {
        for (const method of ['GET', 'POST']) {
          expect((await send(server.publicUrl + path, { method })).status).toBe(404);
        }
      }
    }
  });

  it('lists exactly the grants that are accepted', async () => {
    const { json } = await send(server.publicUrl + paths[0]);
    const { id, secret } = await register(server.core, { name: 'Grants', kind: 'integration' });
    const grants = ['client_credentials', 'password', 'authorization_code', 'refresh_token', 'implicit'].concat(
      'urn:ietf:params:oauth:grant-type:device_code',
      'urn:ietf:params:oauth:grant-type:jwt-bearer',
    );
    for (const grant_type of grants) {
      const answer = await post(`${server.publicUrl}/oauth2/token`, { grant_type }, { basic: [id, secret] });
      const isListed = (json['grant_types_supported'] as string[]).includes(grant_type);
      expect([grant_type, answer.status]).toEqual([grant_type, isListed ? 200 : 400]);
    }
  });

  it.each(['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256', 'PS384', 'PS512', 'RS512', 'ES384', 'ES512'])(
    'lists %s if and only if assertions and DPoP proofs with it are accepted',
    async (alg) => {
      const { json } = await send(server.publicUrl + paths[0]);
      const url = `${server.publicUrl}/oauth2/token`;
      const pair = await makePair(alg);
      const isTaken = async () => {
        // A key that cannot be registered cannot be used.
        const id = await registerKeyClient(server.core, { jwks: { keys: [pair.publicJwk] } }).catch(() => undefined);
        return id !== undefined && (await postAssertion(url, await makeAssertion(pair, id, issuer))).status === 200;
      };
      for (const endpoint of ['token', 'introspection', 'revocation']) {
        const listed = json[`${endpoint}_endpoint_auth_signing_alg_values_supported`] as string[];
        expect(await isTaken()).toBe(listed.includes(alg));
      }
      const { id, secret } = await register(server.core, { name: alg, kind: 'integration' });
      const prove = async (nonce?: string) => {
        const DPoP = await makeDpopProof(pair, { htu: `${issuer}/oauth2/token`, nonce });
        return await post(url, { grant_type: 'client_credentials' }, { basic: [id, secret], headers: { DPoP } });
      };
      const { status } = await prove(String((await prove()).headers['dpop-nonce']));
      const proofs = json['dpop_signing_alg_values_supported'] as string[];
      expect(status).toBe(proofs.includes(alg) ? 200 : 400);
    },
  );
});
