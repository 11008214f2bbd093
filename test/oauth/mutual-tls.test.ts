import { generateKeyPairSync, hash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { calculateJwkThumbprint, decodeJwt } from 'jose';
import { pino } from 'pino';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { forwardedForms, makeCertificate, type TestCertificate, unreadableForms } from '../certificates.ts';
import { eventually } from '../eventually.ts';
import { startChildServer } from '../faults/child-server.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { jwtBearer, makeAssertion, makeDpopProof, makePair, postAssertion } from './assertion.ts';
import { endpointsOf, registerAll } from './fixture.ts';
import { type Answer, post } from './http-client.ts';

const ca = makeCertificate({ subject: 'Clients CA', isCa: true });
const serverOwn = makeCertificate({ subject: 'keyturn', ip: ['127.0.0.1'] });
const hour = 3_600_000;
const issuer = 'https://auth.example';
const proxy = '127.0.0.2';

/** All kinds of names that certificates are compared by. */
const names = {
  subject: [
    [['2.5.4.6', 'DE', 0x13]],
    [['2.5.4.10', 'Beispiel, Söhne  & Co']],
    [
      ['2.5.4.3', 'Order Sync'],
      ['0.9.2342.19200300.100.1.1', 'sync-1'],
    ],
  ],
  dns: ['Sync.Example.com', 'other.example.com'],
  uri: ['https://sync.example/Id'],
  ip: ['192.0.2.7', '2001:db8::7'],
  email: ['Sync@Example.com'],
} as const;
const good = makeCertificate({ ...names, issuer: ca });

let directory: string;
/** A server that terminates TLS. */
let server: TestServer;
/** A server behind a proxy at 127.0.0.2 that checks certificates with its own CAs. */
let proxied: AdminServer;
/** A server with TLS behind a proxy at 127.0.0.2 that alone checks the CAs. */
let believing: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyturn-mtls-'));
  const file = (name: string, content: string) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const KEYTURN_TLS_CLIENT_CA = file('ca.crt', ca.cert);
  const tls = { KEYTURN_TLS_CERT: file('tls.crt', serverOwn.cert), KEYTURN_TLS_KEY: file('tls.key', serverOwn.key) };
  const shared = {
    KEYTURN_ISSUER: issuer,
    KEYTURN_FAILURES_PER_MINUTE: '0',
    KEYTURN_TRUST_PROXY: '127.0.0.2',
  };
  const handedOver = { KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert', KEYTURN_CLIENT_CERT_PROXY: '127.0.0.2' };
  proxied = await startAdminServer({ env: { ...shared, ...handedOver, KEYTURN_TLS_CLIENT_CA } });
  const { stores } = proxied;
  server = await startTestServer({ stores, env: { ...shared, ...tls, KEYTURN_TLS_CLIENT_CA } });
  believing = await startTestServer({ stores, env: { ...shared, ...tls, ...handedOver } });
  clients = await registerAll(proxied.core);
});

afterAll(async () => {
  for (const each of [believing, server, proxied]) await each?.close();
  rmSync(directory, { recursive: true });
});

const generate = (body: object) =>
  proxied.adminFetch('/clients', { method: 'POST', body: { name: 'Sync', kind: 'integration', ...body } });

async function register(body: object): Promise<string> {
  const { status, json, text } = await generate({ scope: 'orders:read', ...body });
  if (status !== 201) throw new Error(text);
  return json.client_id;
}

const registerSubject = (field: string, value: string) => register({ auth_method: 'tls_client_auth', [field]: value });
const byDns = { auth_method: 'tls_client_auth', tls_client_auth_san_dns: 'other.example.com' };

const keyOf = ({ x509 }: TestCertificate) => ({
  ...x509.publicKey.export({ format: 'jwk' }),
  x5c: [x509.raw.toString('base64')],
});
const selfSigned = (...certificates: TestCertificate[]) => ({
  auth_method: 'self_signed_tls_client_auth',
  jwks: { keys: certificates.map(keyOf) },
});

const showing = (certificate?: TestCertificate): ConnectionOptions => ({
  ca: serverOwn.cert,
  ...(certificate ? { cert: certificate.cert, key: certificate.key } : {}),
});
const headerOf = ({ x509 }: TestCertificate) => `:${x509.raw.toString('base64')}:`;

type More = { form?: Record<string, string>; headers?: Record<string, string | string[]> };

/** Requests a token from the server with a certificate in the TLS handshake. */
function askDirectly(
  clientId: string,
  certificate?: TestCertificate,
  { form, headers = {} }: More = {},
): Promise<Answer> {
  const body = { grant_type: 'client_credentials', client_id: clientId, ...form };
  return post(`${server.publicUrl}/oauth2/token`, body, { tls: showing(certificate), headers });
}

/** Requests a token through the proxy, which forwards the certificate. */
function askProxied(
  clientId: string,
  certificate?: TestCertificate,
  { form, headers = {} }: More = {},
): Promise<Answer> {
  const body = { grant_type: 'client_credentials', client_id: clientId, ...form };
  const handedOver = certificate ? { 'Client-Cert': headerOf(certificate) } : {};
  return post(`${proxied.publicUrl}/oauth2/token`, body, { from: proxy, headers: { ...handedOver, ...headers } });
}

const ways = [askDirectly, askProxied];

/** Expects the same 401 that an unknown client gets. */
async function expectRefused(answer: Answer): Promise<void> {
  const unknown = await askDirectly('kti_0000000000000000000000', good);
  const told = ({ status, text, headers: { date: _, 'x-request-id': __, ...headers } }: Answer) => ({
    status,
    text,
    headers,
  });
  expect(unknown.status).toBe(401);
  expect(told(answer)).toEqual(told(unknown));
}

describe('tls_client_auth (RFC 8705 §2.1)', () => {
  it.each([
    ['tls_client_auth_subject_dn', 'CN=Order Sync+UID=sync-1,O=Beispiel\\, Söhne  & Co,C=DE'],
    ['tls_client_auth_subject_dn', 'uid=SYNC-1+cn=order sync, o = Beispiel\\2C S\\C3\\B6hne & co , c=de'],
    [
      'tls_client_auth_subject_dn',
      '2.5.4.3=Order Sync+0.9.2342.19200300.100.1.1=sync-1,O=Beispiel\\, Söhne & Co,OID.2.5.4.6=DE',
    ],
    ['tls_client_auth_subject_dn', 'CN=#0C0A4F726465722053796E63+UID=sync-1,O=Beispiel\\, Söhne & Co,C=#0C024445'],
    ['tls_client_auth_san_dns', 'sync.example.COM'],
    ['tls_client_auth_san_dns', 'other.example.com'],
    ['tls_client_auth_san_uri', 'https://sync.example/Id'],
    ['tls_client_auth_san_ip', '192.0.2.7'],
    ['tls_client_auth_san_ip', '2001:0DB8:0:0::0007'],
    ['tls_client_auth_san_email', 'Sync@example.com'],
  ])('accepts a client that is registered with %s %s', async (field, value) => {
    const clientId = await registerSubject(field, value);
    for (const ask of ways) expect(await ask(clientId, good)).toMatchObject({ status: 200 });
  });

  it.each([
    ['tls_client_auth_subject_dn', 'C=DE,O=Beispiel\\, Söhne & Co,CN=Order Sync+UID=sync-1'],
    ['tls_client_auth_subject_dn', 'CN=Order Sync,O=Beispiel\\, Söhne & Co,C=DE'],
    ['tls_client_auth_subject_dn', 'CN=Order Sync,UID=sync-1,O=Beispiel\\, Söhne & Co,C=DE'],
    ['tls_client_auth_subject_dn', 'CN=OrderSync+UID=sync-1,O=Beispiel\\, Söhne & Co,C=DE'],
    ['tls_client_auth_subject_dn', 'CN=Order Sync+UID=sync-1,O=Beispiel\\, Sohne & Co,C=DE'],
    ['tls_client_auth_subject_dn', 'OU=Order Sync+UID=sync-1,O=Beispiel\\, Söhne & Co,C=DE'],
    ['tls_client_auth_subject_dn', 'CN=Order Sync+UID=sync-1,O=Beispiel\\, Söhne & Co,C=DE,DC=example'],
    ['tls_client_auth_san_dns', 'example.com'],
    ['tls_client_auth_san_dns', 'sync.example.com.evil.example'],
    ['tls_client_auth_san_uri', 'https://sync.example/id'],
    ['tls_client_auth_san_ip', '192.0.2.8'],
    ['tls_client_auth_san_email', 'sync@example.com'],
    ['tls_client_auth_san_email', 'other@example.com'],
    ['tls_client_auth_san_dns', 'Sync'],
  ])('rejects the certificate of a client that is registered with %s %s', async (field, value) => {
    const clientId = await registerSubject(field, value);
    for (const ask of ways) await expectRefused(await ask(clientId, good));
  });

  const foreign = makeCertificate({ subject: 'Clients CA', isCa: true });
  const ofUsage = (usage: string) => makeCertificate({ ...names, issuer: ca, usage });
  const others: [string, () => TestCertificate | undefined][] = [
    ['no certificate', () => undefined],
    ['one of another CA with the same name', () => makeCertificate({ ...names, issuer: foreign })],
    ['a self-signed one', () => makeCertificate(names)],
    ['one issued by a client that is not a CA', () => makeCertificate({ ...names, issuer: good })],
    ['an expired one', () => makeCertificate({ ...names, issuer: ca, notAfter: new Date(Date.now() - 1_000) })],
    [
      'one that is not valid yet',
      () => makeCertificate({ ...names, issuer: ca, notBefore: new Date(Date.now() + hour) }),
    ],
    ['one for servers only', () => ofUsage('1.3.6.1.5.5.7.3.1')],
    [
      'one whose name only looks like the right one',
      () => makeCertificate({ issuer: ca, subject: 'Order Sync+UID=sync-1,O=Beispiel\\, Söhne  & Co,C=DE' }),
    ],
    ['one with the value in another kind of name', () => makeCertificate({ issuer: ca, uri: ['other.example.com'] })],
  ];
  it.each(others)('rejects %s with the same answer as an unknown client', async (_title, certificate) => {
    const subject = await registerSubject(
      'tls_client_auth_subject_dn',
      'CN=Order Sync+UID=sync-1,O=Beispiel\\, Söhne & Co,C=DE',
    );
    const dns = await register(byDns);
    for (const ask of ways) {
      for (const clientId of [subject, dns]) await expectRefused(await ask(clientId, certificate()));
    }
  });

  it('accepts a renewed certificate with the same name in any string type', async () => {
    const clientId = await registerSubject('tls_client_auth_subject_dn', 'CN=sync,O=Example');
    for (const tag of [0x0c, 0x13, 0x1e]) {
      const subject = [[['2.5.4.10', 'EXAMPLE', tag]], [['2.5.4.3', 'sync', tag]]] as const;
      const renewed = makeCertificate({ subject, issuer: ca, usage: '1.3.6.1.5.5.7.3.2' });
      for (const ask of ways) expect((await ask(clientId, renewed)).status).toBe(200);
    }
  });

  it('accepts a certificate of an intermediate CA that is sent in the handshake', async () => {
    const intermediate = makeCertificate({ subject: 'Intermediate', isCa: true, issuer: ca });
    const leaf = makeCertificate({ ...names, issuer: intermediate });
    const clientId = await register(byDns);
    const chain = { ...leaf, cert: leaf.cert + intermediate.cert };
    expect((await askDirectly(clientId, chain)).status).toBe(200);
    await expectRefused(await askDirectly(clientId, leaf));
  });

  it("does not trust the system's CAs", async () => {
    const child = await startChildServer(proxied.stores, {
      KEYTURN_ISSUER: issuer,
      KEYTURN_TLS_CERT: join(directory, 'tls.crt'),
      KEYTURN_TLS_KEY: join(directory, 'tls.key'),
      NODE_EXTRA_CA_CERTS: join(directory, 'ca.crt'),
    });
    try {
      const form = { grant_type: 'client_credentials', client_id: await register(byDns) };
      await expectRefused(await post(`${child.publicUrl}/oauth2/token`, form, { tls: showing(good) }));
    } finally {
      await child.terminate();
    }
  });

  it("checks the certificate's date again on a kept-alive connection", async () => {
    const clientId = await register(byDns);
    const endsAt = Math.ceil(Date.now() / 1_000) * 1_000 + 2_000;
    const short = makeCertificate({ ...names, issuer: ca, notAfter: new Date(endsAt) });
    const agent = new Agent({ ...showing(short), keepAlive: true, maxSockets: 1 });
    const ask = () =>
      post(`${server.publicUrl}/oauth2/token`, { grant_type: 'client_credentials', client_id: clientId }, { agent });
    expect((await ask()).status).toBe(200);
    await eventually(async () => (await ask()).status === 401);
    expect(Date.now()).toBeGreaterThanOrEqual(endsAt);
    agent.destroy();
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('authenticates the client of a resumed session (%s)', async (maxVersion) => {
    const clientId = await register(byDns);
    const agent = new Agent({ ...showing(good), keepAlive: false, maxVersion });
    const resumed: boolean[] = [];
    const { createConnection } = agent;
    agent.createConnection = (...args) => {
      const socket = createConnection.apply(agent, args) as TLSSocket;
      socket.once('secureConnect', () => resumed.push(socket.isSessionReused()));
      return socket;
    };
    const form = { grant_type: 'client_credentials', client_id: clientId };
    for (let time = 0; time < 3; time++) {
      expect((await post(`${server.publicUrl}/oauth2/token`, form, { agent })).status).toBe(200);
    }
    expect(resumed).toEqual([false, true, true]);
  });
});

describe('self_signed_tls_client_auth (RFC 8705 §2.2)', () => {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const own = makeCertificate({ subject: 'sync', keys });

  it('accepts registered certificates only', async () => {
    const second = makeCertificate({ subject: 'sync, next year' });
    const clientId = await register(selfSigned(own, second));
    const swapped = [
      makeCertificate({ subject: 'sync' }),
      makeCertificate({ subject: 'sync', keys }),
      makeCertificate({ subject: 'sync', issuer: ca }),
      undefined,
    ];
    for (const ask of ways) {
      for (const certificate of [own, second]) expect((await ask(clientId, certificate)).status).toBe(200);
      for (const certificate of swapped) await expectRefused(await ask(clientId, certificate));
    }
  });

  it('rejects a registered certificate that has expired', async () => {
    const expired = makeCertificate({ notAfter: new Date(Date.now() - 1_000) });
    const clientId = await register(selfSigned(expired));
    for (const ask of ways) await expectRefused(await ask(clientId, expired));
  });

  it('accepts a replaced certificate at once, if an operator who may manage credentials replaced it', async () => {
    const clientId = await register(selfSigned(own));
    const next = makeCertificate();
    const { jwks } = selfSigned(next);
    const path = `/clients/${clientId}`;
    const token = await proxied.operatorToken(['integrations:view', 'integrations:edit']);
    expect((await proxied.adminFetch(path, { method: 'PATCH', body: { jwks }, token })).status).toBe(403);
    expect((await proxied.adminFetch(path, { method: 'PATCH', body: { jwks } })).status).toBe(200);
    expect((await askProxied(clientId, next)).status).toBe(200);
    await expectRefused(await askProxied(clientId, own));
  });
});

describe('a client that authenticates in another way than it is registered for', () => {
  it('is rejected with the same answer as an unknown client', async () => {
    const clientId = await register(byDns);
    const { shop } = clients;
    for (const ask of ways) {
      await expectRefused(await ask(shop.id, good));
      await expectRefused(await ask(clientId, good, { form: { client_secret: shop.secret } }));
      await expectRefused(await ask(await register(selfSigned(good)), makeCertificate({ ...names, issuer: ca })));
    }
    const pair = await makePair();
    const assertion = await makeAssertion(pair, clientId, issuer);
    await expectRefused(await postAssertion(`${proxied.publicUrl}/oauth2/token`, assertion));
    await proxied.adminFetch(`/clients/${clientId}/disable`, { method: 'POST', body: {} });
    await expectRefused(await askProxied(clientId, good));
  });

  it('never gives a secret to a client with a certificate', async () => {
    for (const body of [byDns, selfSigned(good)]) {
      const { json } = await generate(body);
      expect(json).not.toHaveProperty('client_secret');
      expect(json).toMatchObject({ ...body, secrets: [] });
      for (const action of ['regeneration/review', 'regenerate', 'secret/reveal']) {
        const path = `/clients/${json.client_id}/${action}`;
        expect((await proxied.adminFetch(path, { method: 'POST', body: {} })).status).toBe(409);
      }
    }
  });
});

describe('a token bound to a certificate (RFC 8705 §3)', () => {
  const thumbprint = hash('sha256', good.x509.raw, 'base64url');
  const cnf = { 'x5t#S256': thumbprint };
  const introspect = (token: unknown, form: Record<string, string> = {}) =>
    endpointsOf(proxied.publicUrl).introspect(clients.orders, String(token), form);

  it('has its binding in introspection, with the fast path and without it', async () => {
    const clientId = await register(byDns);
    for (const ask of ways) {
      const { json } = await ask(clientId, good);
      expect(json['token_type']).toBe('Bearer');
      const answers = [
        await introspect(json['access_token']),
        await introspect(json['access_token'], { used_scope: 'orders:read' }),
      ];
      for (const answer of answers) expect(answer.json).toMatchObject({ active: true, cnf, token_type: 'Bearer' });
      expect(answers[0]?.text).toBe(answers[1]?.text);
    }
  });

  it('has its binding as a JWT, and in introspection of the JWT', async () => {
    const resource = 'https://jwt.example';
    const { json: api } = await generate({
      name: 'JWT API',
      kind: 'resource_server',
      resource,
      information: ['parcels'],
      token_format: 'jwt',
    });
    const clientId = await register({ ...byDns, scope: 'parcels:read' });
    const { json } = await askDirectly(clientId, good);
    expect(decodeJwt(String(json['access_token']))['cnf']).toEqual(cnf);
    const reader = { id: api.client_id, secret: api.client_secret };
    const answer = await endpointsOf(proxied.publicUrl).introspect(reader, String(json['access_token']));
    expect(answer.json).toMatchObject({ active: true, cnf });
  });

  it('may also be bound to a DPoP key', async () => {
    const clientId = await register(byDns);
    const pair = await makePair();
    const jkt = await calculateJwkThumbprint(pair.publicJwk);
    const ask = async (nonce?: string) => {
      const DPoP = await makeDpopProof(pair, { htu: `${issuer}/oauth2/token`, nonce });
      return await askDirectly(clientId, good, { headers: { DPoP } });
    };
    const { json } = await ask((await ask()).headers['dpop-nonce'] as string);
    expect(json['token_type']).toBe('DPoP');
    for (const form of [{}, { used_scope: 'orders:read' }]) {
      expect((await introspect(json['access_token'], form)).json['cnf']).toEqual({ ...cnf, jkt });
    }
  });

  it('is required for a client of another method that is registered for bound tokens', async () => {
    const bound = { tls_client_certificate_bound_access_tokens: true };
    const { json } = await generate({ scope: 'orders:read', ...bound });
    const basic = [json.client_id, json.client_secret] as const;
    const form = { grant_type: 'client_credentials' };
    const ask = (tls: ConnectionOptions) => post(`${server.publicUrl}/oauth2/token`, form, { basic, tls });
    // Repeat the request, because the fast path knows the client the second time.
    for (let time = 0; time < 2; time++) {
      const { json: issued } = await ask(showing(good));
      expect((await introspect(issued['access_token'])).json['cnf']).toEqual(cnf);
      expect(await ask(showing())).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
      const expired = makeCertificate({ notAfter: new Date(Date.now() - 1_000) });
      expect(await ask(showing(expired))).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
    }
    const pair = await makePair();
    const keyed = await register({ auth_method: 'private_key_jwt', jwks: { keys: [pair.publicJwk] }, ...bound });
    const headers = { 'Client-Cert': headerOf(good) };
    const assertion = { client_assertion: await makeAssertion(pair, keyed, issuer), client_assertion_type: jwtBearer };
    const answer = await post(`${proxied.publicUrl}/oauth2/token`, { ...form, ...assertion }, { headers, from: proxy });
    expect((await introspect(answer.json['access_token'])).json['cnf']).toEqual(cnf);
  });

  it('is not issued to other clients, even if they present a certificate', async () => {
    const { shop } = clients;
    const answer = await endpointsOf(server.publicUrl).token(shop, {}, { tls: showing(good) });
    expect((await introspect(answer.json['access_token'])).json).not.toHaveProperty('cnf');
    const clientId = await register({ ...byDns, tls_client_certificate_bound_access_tokens: false });
    const { json } = await askDirectly(clientId, good);
    expect((await introspect(json['access_token'])).json).not.toHaveProperty('cnf');
    await proxied.adminFetch(`/clients/${clientId}`, {
      method: 'PATCH',
      body: { tls_client_certificate_bound_access_tokens: true },
    });
    const { json: later } = await askProxied(clientId, good);
    expect((await introspect(later['access_token'])).json['cnf']).toEqual(cnf);
  });

  it('is introspected by a resource server that authenticates with a certificate', async () => {
    const api = { kind: 'resource_server', resource: 'https://stock.example', information: ['stock'] };
    const { json } = await generate({ ...api, ...byDns });
    const token = String(
      (await askDirectly(await register({ ...byDns, scope: 'stock:read' }), good)).json['access_token'],
    );
    const form = { client_id: json.client_id, token };
    const ask = (certificate?: TestCertificate) =>
      post(`${server.publicUrl}/oauth2/introspect`, form, { tls: showing(certificate) });
    expect((await ask(good)).json).toMatchObject({ active: true, cnf });
    await expectRefused(await ask());
  });
});

describe('a certificate in a header', () => {
  const escaped = encodeURIComponent(good.cert);
  const base64 = good.x509.raw.toString('base64');

  it.each(forwardedForms)('is read in the format of %s', async (_proxy, write) => {
    const clientId = await register(byDns);
    expect((await askProxied(clientId, undefined, { headers: { 'Client-Cert': write(good, ca) } })).status).toBe(200);
  });

  it.each(unreadableForms)('that is %s is rejected, and the usage of its client shows that', async (_what, write) => {
    const clientId = await register(byDns);
    const headers = { 'Client-Cert': write(good, makeCertificate()) };
    await expectRefused(await askProxied(clientId, undefined, { headers }));
    await proxied.core.usage.flush();
    const { json } = await proxied.adminFetch(`/clients/${clientId}/usage`);
    expect(JSON.stringify(json)).toContain('certificate_unreadable');
    const metrics = await (await fetch(`${proxied.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/keyturn_proxy_headers_ignored_total\{problem="unreadable_certificate"\} [1-9]/);
  });

  it.each(['', '(null)'])('is absent if the header is %j', async (header) => {
    const clientId = await register(byDns);
    await expectRefused(await askProxied(clientId, undefined, { headers: { 'Client-Cert': header } }));
    await proxied.core.usage.flush();
    const { json } = await proxied.adminFetch(`/clients/${clientId}/usage`);
    expect(JSON.stringify(json)).not.toContain('certificate_unreadable');
  });

  it('is ignored and reported if the peer is not in KEYTURN_CLIENT_CERT_PROXY', async () => {
    // Trust the peer for X-Forwarded-For, but not for certificates.
    const env = {
      KEYTURN_ISSUER: issuer,
      KEYTURN_TRUST_PROXY: '127.0.0.0/8',
      KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert',
      KEYTURN_CLIENT_CERT_PROXY: '127.0.0.9',
    };
    const apart = await startTestServer({ stores: proxied.stores, env });
    try {
      const form = { grant_type: 'client_credentials', client_id: await register(byDns) };
      const headers = { 'Client-Cert': headerOf(good) };
      await expectRefused(await post(`${apart.publicUrl}/oauth2/token`, form, { headers, from: proxy }));
      const metrics = await (await fetch(`${apart.adminUrl}/metrics`)).text();
      expect(metrics).toContain('keyturn_proxy_headers_ignored_total{problem="untrusted_certificate"} 1');
      expect((await post(`${apart.publicUrl}/oauth2/token`, form, { headers, from: '127.0.0.9' })).status).toBe(200);
    } finally {
      await apart.close();
    }
  });

  it.each([
    ['nothing', ''],
    ['nonsense', 'x'],
    ['empty bytes', '::'],
    ['a byte sequence without its end', `:${base64}`],
    ['half a certificate', `:${base64.slice(0, 200)}:`],
    [
      'a certificate with an additional byte',
      `:${Buffer.concat([good.x509.raw, Buffer.from('x')]).toString('base64')}:`,
    ],
    ['two certificates', escaped + escaped],
    ['a key', encodeURIComponent(good.key)],
    ['invalid percent-encodings', '%%%-----BEGIN%'],
    ['base64 of another alphabet', `:${good.x509.raw.toString('base64url')}:`],
    ['8 kB of junk', 'A'.repeat(8_192)],
  ])('that is %s is not a certificate', async (_title, header) => {
    const clientId = await register(byDns);
    await expectRefused(await askProxied(clientId, undefined, { headers: { 'Client-Cert': header } }));
  });

  it('is read only from a trusted proxy, regardless of X-Forwarded-For', async () => {
    const clientId = await register(byDns);
    const form = { grant_type: 'client_credentials', client_id: clientId };
    for (const more of [{}, { 'X-Forwarded-For': proxy }]) {
      const headers = { 'Client-Cert': headerOf(good), ...more };
      await expectRefused(await post(`${proxied.publicUrl}/oauth2/token`, form, { headers }));
    }
  });

  it('is read only if the deployment configures the header', async () => {
    const clientId = await register(byDns);
    const form = { grant_type: 'client_credentials', client_id: clientId };
    const headers = { 'Client-Cert': headerOf(good) };
    await expectRefused(await post(`${server.publicUrl}/oauth2/token`, form, { headers, from: proxy, tls: showing() }));
    await expectRefused(await askProxied(clientId, undefined, { headers: { 'X-Client-Cert': headerOf(good) } }));
  });

  it('is rejected if the header is repeated', async () => {
    const clientId = await register(byDns);
    const headers = { 'Client-Cert': [headerOf(good), headerOf(good)] };
    const answer = await askProxied(clientId, undefined, { headers });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });

  it("is used instead of the proxy's own certificate", async () => {
    const clientId = await register(selfSigned(good));
    const form = { grant_type: 'client_credentials', client_id: clientId };
    const url = `${believing.publicUrl}/oauth2/token`;
    const other = makeCertificate();
    const ask = (from: string, shown: TestCertificate, header?: TestCertificate) => {
      const headers = header ? { 'Client-Cert': headerOf(header) } : {};
      return post(url, form, { from, tls: showing(shown), headers });
    };
    await expectRefused(await ask(proxy, good));
    await expectRefused(await ask(proxy, good, other));
    expect((await ask(proxy, other, good)).status).toBe(200);
    expect((await ask('127.0.0.1', good, other)).status).toBe(200);
    await expectRefused(await ask('127.0.0.1', other, good));
  });

  it('is trusted as the proxy checked it if no CAs are configured, but not from another peer', async () => {
    const clientId = await register(byDns);
    const form = { grant_type: 'client_credentials', client_id: clientId };
    const url = `${believing.publicUrl}/oauth2/token`;
    const headers = { 'Client-Cert': headerOf(makeCertificate(names)) };
    expect((await post(url, form, { headers, from: proxy, tls: showing() })).status).toBe(200);
    await expectRefused(await post(url, form, { tls: showing(makeCertificate(names)) }));
    await expectRefused(await post(url, form, { tls: showing(good) }));
  });
});

it('logs a TLS connection that fails because of a certificate of another CA with the same name', async () => {
  const makeCa = () =>
    makeCertificate({ subject: 'RSA CA', isCa: true, keys: generateKeyPairSync('rsa', { modulusLength: 2048 }) });
  const [known, foreign] = [makeCa(), makeCa()];
  const file = (name: string, content: string) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const lines: { msg: string; peer?: string; reason?: string }[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const env = {
    KEYTURN_ISSUER: issuer,
    KEYTURN_TLS_CERT: file('tls.crt', serverOwn.cert),
    KEYTURN_TLS_KEY: file('tls.key', serverOwn.key),
    KEYTURN_TLS_CLIENT_CA: file('rsa-ca.crt', known.cert),
  };
  const own = await startTestServer({ stores: proxied.stores, log, env });
  try {
    const form = { grant_type: 'client_credentials', client_id: await register(byDns) };
    const tls = { ...showing(makeCertificate({ ...names, issuer: foreign })), maxVersion: 'TLSv1.2' as const };
    await expect(post(`${own.publicUrl}/oauth2/token`, form, { tls })).rejects.toThrow();
    const warnings = lines.filter(({ msg }) => msg.includes('KEYTURN_TLS_CLIENT_CA'));
    expect(warnings).toEqual([expect.objectContaining({ peer: '127.0.0.1', reason: 'CERT_SIGNATURE_FAILURE' })]);
    const good = showing(makeCertificate({ ...names, issuer: known }));
    expect((await post(`${own.publicUrl}/oauth2/token`, form, { tls: good })).status).toBe(200);
  } finally {
    await own.close();
  }
});

describe('a registration of certificates', () => {
  const own = makeCertificate();
  const weak = makeRsaCertificate();
  const tls = { auth_method: 'tls_client_auth' };
  it.each<[string, object]>([
    ['no subject', tls],
    ['two subjects', { ...byDns, tls_client_auth_san_ip: '192.0.2.1' }],
    ['a subject and keys', { ...byDns, jwks: { keys: [keyOf(own)] } }],
    ['a subject and another method', { ...byDns, auth_method: 'client_secret_basic' }],
    ['an invalid distinguished name', { ...tls, tls_client_auth_subject_dn: 'sync' }],
    ['an empty name', { ...tls, tls_client_auth_subject_dn: ' ' }],
    ['an unknown attribute', { ...tls, tls_client_auth_subject_dn: 'FOO=bar' }],
    ['a character that must be escaped', { ...tls, tls_client_auth_subject_dn: 'CN=a<b' }],
    ['an incomplete escape', { ...tls, tls_client_auth_subject_dn: 'CN=a\\' }],
    ['an incomplete hexadecimal value', { ...tls, tls_client_auth_subject_dn: 'CN=#0C05' }],
    ['a wildcard', { ...tls, tls_client_auth_san_dns: '*.example.com' }],
    ['an invalid address', { ...tls, tls_client_auth_san_ip: '192.0.2.256' }],
    ['an invalid URI', { ...tls, tls_client_auth_san_uri: 'sync' }],
    ['an invalid mail address', { ...tls, tls_client_auth_san_email: 'sync' }],
    ['no certificates', { auth_method: 'self_signed_tls_client_auth' }],
    ['a key without a certificate', { ...selfSigned(own), jwks: { keys: [{ ...keyOf(own), x5c: undefined }] } }],
    [
      'the certificate of another key',
      { ...selfSigned(own), jwks: { keys: [{ ...keyOf(own), x5c: keyOf(good).x5c }] } },
    ],
    ['an x5c that is not a certificate', { ...selfSigned(own), jwks: { keys: [{ ...keyOf(own), x5c: ['AAAA'] }] } }],
    ['a private key', { ...selfSigned(own), jwks: { keys: [{ ...keyOf(own), d: 'AA' }] } }],
    ['a URL of certificates', { auth_method: 'self_signed_tls_client_auth', jwks_uri: 'https://client.example/jwks' }],
    ['RSA of 1024 bits', selfSigned(weak)],
  ])('with %s is rejected', async (_title, body) => {
    expect((await generate(body)).status).toBe(400);
  });

  it('changes its subject by PATCH, and keeps it if other members change', async () => {
    const clientId = await registerSubject('tls_client_auth_san_dns', 'sync.example.net');
    const patch = (body: object, token?: string) =>
      proxied.adminFetch(`/clients/${clientId}`, { method: 'PATCH', body, token });
    await expectRefused(await askProxied(clientId, good));
    const body = { tls_client_auth_san_email: 'Sync@example.com' };
    const editor = await proxied.operatorToken(['integrations:view', 'integrations:edit']);
    expect((await patch(body, editor)).status).toBe(403);
    const { json } = await patch(body);
    expect(json).toMatchObject(body);
    expect(json).not.toHaveProperty('tls_client_auth_san_dns');
    expect((await patch({ name: 'Other' }, editor)).json).toMatchObject(body);
    expect((await askProxied(clientId, good)).status).toBe(200);
    expect((await patch({ jwks: { keys: [keyOf(own)] } })).status).toBe(400);
  });
});

function makeRsaCertificate(): TestCertificate {
  return makeCertificate({ keys: generateKeyPairSync('rsa', { modulusLength: 1_024 }) });
}
