import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import {
  type AccessTokenVerifier,
  createAccessTokenVerifier,
  koaBearerAuth,
  type VerifierOptions,
} from '../../src/resource-server/resource-server.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { forwardedForms, makeCertificate, type TestCertificate, unreadableForms } from '../certificates.ts';
import { endpointsOf, registerBothFormats, type TestClient } from '../oauth/fixture.ts';
import { post, send } from '../oauth/http-client.ts';

const resources = { opaque: 'https://opaque.example', jwt: 'https://jwt.example' };
type Format = keyof typeof resources;

const ours = makeCertificate({ subject: 'ours' });
const other = makeCertificate({ subject: 'other' });
const thumbprint = hash('sha256', ours.x509.raw, 'base64url');

let server: AdminServer;
let servers: Record<Format, TestClient>;
/** The Client ID of a client that authenticates with a certificate, so that its tokens are bound to it. */
let clientId: string;
const open: (Server | AccessTokenVerifier)[] = [];

beforeAll(async () => {
  server = await startAdminServer({
    env: { KEYTURN_CLIENT_CERT_PROXY: '127.0.0.1', KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert' },
  });
  servers = await registerBothFormats(server.core, resources);
  const jwk = ours.x509.publicKey.export({ format: 'jwk' });
  const jwks = { keys: [{ ...jwk, x5c: [ours.x509.raw.toString('base64')] }] };
  const body = {
    name: 'C',
    kind: 'integration',
    scope: 'orders:read',
    auth_method: 'self_signed_tls_client_auth',
    jwks,
  };
  clientId = (await server.adminFetch('/clients', { method: 'POST', body })).json.client_id;
});

afterAll(async () => {
  for (const each of open) each.close();
  await server?.close();
});

async function bearer(format: Format): Promise<string> {
  const form = { grant_type: 'client_credentials', client_id: clientId, resource: resources[format] };
  const headers = { 'Client-Cert': `:${ours.x509.raw.toString('base64')}:` };
  const { json } = await post(endpointsOf(server.publicUrl).tokenUrl, form, { headers });
  expect(json).toMatchObject({ token_type: 'Bearer' });
  return `Bearer ${json['access_token']}`;
}

/** Creates a verifier. @param options.cnf replaces the binding of every token in introspection answers. */
function verifierFor(
  format: Format,
  { cnf, ...options }: Partial<VerifierOptions> & { cnf?: unknown } = {},
): AccessTokenVerifier {
  const verifier = createAccessTokenVerifier({
    issuer: 'http://localhost:4000',
    resource: resources[format],
    clientId: servers[format].id,
    clientSecret: servers[format].secret,
    events: false,
    fetch: async (input, init) => {
      const answer = await fetch(`${server.publicUrl}${new URL(String(input)).pathname}`, init);
      return cnf === undefined ? answer : Response.json({ ...((await answer.json()) as object), cnf });
    },
    ...options,
  });
  open.push(verifier);
  return verifier;
}

const invalid = { code: 'invalid_token', status: 401 };

describe.each(['opaque', 'jwt'] as const)('a token bound to a client certificate (RFC 8705; %s)', (format) => {
  let url: string;

  beforeAll(async () => {
    const app = new Koa();
    app.use(koaBearerAuth(verifierFor(format), { scope: 'orders:read' }));
    app.use((ctx) => {
      ctx.body = { done: true };
    });
    const { cert, key } = makeCertificate({ subject: 'api', ip: ['127.0.0.1'] });
    const tls = { cert, key, requestCert: true, rejectUnauthorized: false };
    const api = createServer(tls, app.callback()).listen(0, '127.0.0.1');
    open.push(api);
    await once(api, 'listening');
    url = `https://127.0.0.1:${(api.address() as AddressInfo).port}`;
  });

  async function get(headers: Record<string, string>, certificate?: TestCertificate): Promise<number> {
    const shown = certificate ? { cert: certificate.cert, key: certificate.key } : {};
    return (await send(url, { headers, tls: { rejectUnauthorized: false, ...shown } })).status;
  }

  test('is accepted with that certificate, and rejected with another or without one', async () => {
    const authorization = await bearer(format);
    expect(await get({ authorization }, ours)).toBe(200);
    expect(await get({ authorization }, other)).toBe(401);
    expect(await get({ authorization })).toBe(401);
    expect(await get({ authorization }, ours)).toBe(200);
  });

  test('is rejected with a certificate in a header that is not configured', async () => {
    const headers = { authorization: await bearer(format), 'client-cert': `:${ours.x509.raw.toString('base64')}:` };
    expect(await get(headers)).toBe(401);
    expect(await get(headers, other)).toBe(401);
  });

  test('is rejected without a request', async () => {
    const [, token = ''] = (await bearer(format)).split(' ');
    await expect(verifierFor(format).verify(token)).rejects.toMatchObject(invalid);
  });
});

describe('behind a proxy that forwards the certificate in a header', () => {
  const clientCertificate: VerifierOptions['clientCertificate'] = (request) => request.header('Client-Cert');

  test.each([...forwardedForms, ['PEM', ({ cert }: TestCertificate) => cert] as const])(
    'reads the format of %s, and rejects another certificate in it',
    async (_form, write) => {
      const verifier = verifierFor('opaque', { clientCertificate });
      const authorization = await bearer('opaque');
      const present = (certificate: TestCertificate) =>
        verifier.verify({ headers: { authorization, 'client-cert': write(certificate, certificate) } });
      expect((await present(ours)).clientId).toBe(clientId);
      await expect(present(other)).rejects.toMatchObject(invalid);
    },
  );

  test.each(unreadableForms)('rejects a header that is %s', async (_what, write) => {
    const headers = { authorization: await bearer('opaque'), 'client-cert': write(ours, other) };
    await expect(verifierFor('opaque', { clientCertificate }).verify({ headers })).rejects.toMatchObject(invalid);
  });

  test('reads DER from a program', async () => {
    const verifier = verifierFor('opaque', { clientCertificate: () => ours.x509.raw });
    await verifier.verify({ headers: { authorization: await bearer('opaque') } });
  });

  test.each(['', ':', '::', 'x', '%', '%zz', '-----BEGIN CERTIFICATE-----', ':AAAA:', 'a'.repeat(10_000)])(
    'rejects %j without an internal error',
    async (value) => {
      const headers = { authorization: await bearer('opaque'), 'client-cert': value };
      await expect(verifierFor('opaque', { clientCertificate }).verify({ headers })).rejects.toMatchObject(invalid);
    },
  );
});

describe('the binding of a token', () => {
  const clientCertificate = () => ours.x509.raw;

  test.each([
    { 'x5t#S256': 5 },
    { 'x5t#S256': '' },
    { jwk: {} },
    { 'x5t#S256': thumbprint, other: 'x' },
    {},
    'x',
    null,
  ])('is rejected if it cannot be proven here: %j', async (cnf) => {
    const verifier = verifierFor('opaque', { clientCertificate, cnf });
    const headers = { authorization: await bearer('opaque') };
    await expect(verifier.verify({ headers })).rejects.toMatchObject(invalid);
  });

  test('may be a key and a certificate, and then requires both', async () => {
    const verifier = verifierFor('opaque', { clientCertificate, cnf: { 'x5t#S256': thumbprint, jkt: 'x' } });
    const authorization = await bearer('opaque');
    await expect(verifier.verify({ headers: { authorization } })).rejects.toMatchObject(invalid);
    const dpop = authorization.replace('Bearer', 'DPoP');
    await expect(verifier.verify({ headers: { authorization: dpop } })).rejects.toMatchObject({
      code: 'invalid_dpop_proof',
    });
  });
});
