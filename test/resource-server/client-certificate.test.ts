import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Koa from 'koa';
import {
  type AccessTokenVerifier,
  createAccessTokenVerifier,
  koaBearerAuth,
  type VerifierOptions,
} from '../../src/resource-server/resource-server.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, ordersResource, registerAll } from '../oauth/fixture.ts';

type Certificate = { key: string; cert: string };

let directory: string;
let ours: Certificate;
let other: Certificate;
let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
/** What the tokens of these tests are bound to. */
let confirmation: Record<string, unknown>;
const open: (Server | AccessTokenVerifier)[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyturn-certificates-'));
  ours = makeCertificate('ours');
  other = makeCertificate('other');
  server = await startTestServer();
  clients = await registerAll(server.core);
});

beforeEach(() => {
  confirmation = { 'x5t#S256': thumbprintOf(ours) };
});

afterAll(async () => {
  for (const each of open) each.close();
  await server?.close();
  rmSync(directory, { recursive: true });
});

function makeCertificate(name: string): Certificate {
  const [key, cert] = [join(directory, `${name}.key`), join(directory, `${name}.pem`)];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const files = ['-subj', `/CN=${name}`, '-keyout', key, '-out', cert];
  execFileSync('openssl', ['req', '-x509', ...newKey, ...files], { stdio: 'ignore' });
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
}

function derOf({ cert }: Certificate): Buffer {
  return new X509Certificate(cert).raw;
}

function thumbprintOf(certificate: Certificate): string {
  return createHash('sha256').update(derOf(certificate)).digest('base64url');
}

/** A verifier whose server says of each token that it is bound as `confirmation` has it. */
function verifierWith(options: Partial<VerifierOptions> = {}): AccessTokenVerifier {
  const verifier = createAccessTokenVerifier({
    issuer: 'http://localhost:4000',
    resource: ordersResource,
    clientId: clients.orders.id,
    clientSecret: clients.orders.secret,
    events: false,
    fetch: async (input, init) => {
      const answer = await fetch(`${server.publicUrl}${new URL(String(input)).pathname}`, init);
      return Response.json({ ...((await answer.json()) as object), cnf: confirmation });
    },
    ...options,
  });
  open.push(verifier);
  return verifier;
}

async function bearer(): Promise<string> {
  return `Bearer ${await endpointsOf(server.publicUrl).accessToken(clients.shop)}`;
}

describe('a token that is bound to a client certificate (RFC 8705), where TLS ends at the resource server', () => {
  async function startApi(verifier: AccessTokenVerifier): Promise<number> {
    const app = new Koa();
    app.use(koaBearerAuth(verifier, { scope: 'orders:read' }));
    app.use((ctx) => {
      ctx.body = { done: true };
    });
    const tls = { ...makeCertificate('server'), requestCert: true, rejectUnauthorized: false };
    const listening = createServer(tls, app.callback()).listen(0, '127.0.0.1');
    open.push(listening);
    await once(listening, 'listening');
    return (listening.address() as AddressInfo).port;
  }

  async function get(port: number, headers: Record<string, string>, certificate?: Certificate): Promise<number> {
    const options = { port, host: '127.0.0.1', rejectUnauthorized: false, agent: false, headers, ...certificate };
    const outgoing = request(options).end();
    const [response] = await once(outgoing, 'response');
    response.resume();
    return response.statusCode;
  }

  test('is good with that certificate, and with no other, and without none', async () => {
    const port = await startApi(verifierWith());
    const authorization = await bearer();
    expect(await get(port, { authorization }, ours)).toBe(200);
    expect(await get(port, { authorization }, other)).toBe(401);
    expect(await get(port, { authorization })).toBe(401);
  });

  test('is not proven by a header that nobody said is to be trusted', async () => {
    const port = await startApi(verifierWith());
    const headers = { authorization: await bearer(), 'client-cert': `:${derOf(ours).toString('base64')}:` };
    expect(await get(port, headers)).toBe(401);
    expect(await get(port, headers, other)).toBe(401);
  });
});

describe('behind a proxy that hands the certificate over in a header', () => {
  const forms: [string, (certificate: Certificate) => string][] = [
    ['PEM on one line, percent-encoded (nginx)', ({ cert }) => encodeURIComponent(cert)],
    ['PEM', ({ cert }) => cert],
    ['base64 between colons (RFC 9440)', (certificate) => `:${derOf(certificate).toString('base64')}:`],
    ['base64', (certificate) => derOf(certificate).toString('base64')],
  ];

  test.each(forms)('%s is understood, and another one refused', async (_form, write) => {
    const verifier = verifierWith({ clientCertificate: (received) => received.header('Client-Cert') });
    const headers = (certificate: Certificate) => ({ 'client-cert': write(certificate) });
    const authorization = await bearer();
    const found = await verifier.verify({ headers: { authorization, ...headers(ours) } });
    expect(found.clientId).toBe(clients.shop.id);
    await expect(verifier.verify({ headers: { authorization, ...headers(other) } })).rejects.toMatchObject({
      code: 'invalid_token',
    });
  });

  test('DER is understood, as a program may have it', async () => {
    const verifier = verifierWith({ clientCertificate: () => derOf(ours) });
    await verifier.verify({ headers: { authorization: await bearer() } });
  });

  test.each(['', ':', '::', 'x', '%', '%zz', '-----BEGIN CERTIFICATE-----', ':AAAA:', 'a'.repeat(10_000)])(
    '%j is no certificate, and no error of ours',
    async (value) => {
      const verifier = verifierWith({ clientCertificate: (received) => received.header('client-cert') });
      const headers = { authorization: await bearer(), 'client-cert': value };
      await expect(verifier.verify({ headers })).rejects.toMatchObject({ code: 'invalid_token', status: 401 });
    },
  );
});

test.each([{ 'x5t#S256': 5 }, { 'x5t#S256': '' }, { jwk: {} }, {}, 'x', null])(
  'what a token is bound to by %j cannot be proven here, so it is refused',
  async (given) => {
    confirmation = given as Record<string, unknown>;
    const verifier = verifierWith({ clientCertificate: () => derOf(ours) });
    const headers = { authorization: await bearer() };
    await expect(verifier.verify({ headers })).rejects.toMatchObject({ code: 'invalid_token' });
  },
);

test('bound to a certificate and to something unknown besides, a token is refused', async () => {
  confirmation['other'] = 'x';
  const verifier = verifierWith({ clientCertificate: () => derOf(ours) });
  await expect(verifier.verify({ headers: { authorization: await bearer() } })).rejects.toMatchObject({
    code: 'invalid_token',
  });
});

test('bound to a key and a certificate, the certificate alone is not enough', async () => {
  confirmation['jkt'] = 'x';
  const verifier = verifierWith({ clientCertificate: () => derOf(ours) });
  const authorization = await bearer();
  await expect(verifier.verify({ headers: { authorization } })).rejects.toMatchObject({ code: 'invalid_token' });
  const dpop = authorization.replace('Bearer', 'DPoP');
  await expect(verifier.verify({ headers: { authorization: dpop } })).rejects.toMatchObject({
    code: 'invalid_dpop_proof',
  });
});
