import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { makeCertificate, type TestCertificate } from '../certificates.ts';
import { eventuallyIs } from '../eventually.ts';
import { startChildServer } from '../faults/child-server.ts';
import { freePort } from '../free-port.ts';
import { createTestStores, startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, registerAll } from '../oauth/fixture.ts';
import { post, send } from '../oauth/http-client.ts';

const ca = makeCertificate({ subject: 'Test CA', isCa: true });
const issueServer = () => makeCertificate({ subject: 'keyturn', issuer: ca, ip: ['127.0.0.1'], dns: ['localhost'] });
const trusting: ConnectionOptions = { ca: ca.cert };

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const encrypted = privateKey
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'passphrase' })
  .toString();

const lines: string[] = [];
const log = pino({ level: 'info' }, { write: (line) => void lines.push(line) });

let directory: string;
let first: TestCertificate;
let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;

/** Files as Kubernetes mounts a secret: links into `..data`, which links to the current directory. */
let versions = 0;
function swap(files: Record<string, string>): void {
  const version = `..version-${++versions}`;
  mkdirSync(join(directory, version));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, version, name), content);
  symlinkSync(version, join(directory, '..data_tmp'));
  renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyturn-tls-'));
  first = issueServer();
  swap({ 'tls.crt': first.cert, 'tls.key': first.key });
  for (const name of ['tls.crt', 'tls.key']) symlinkSync(join('..data', name), join(directory, name));
  server = await startTestServer({ env: tlsEnvironment(), log });
  clients = await registerAll(server.core);
});

afterAll(async () => {
  await server?.close();
  rmSync(directory, { recursive: true });
});

function tlsEnvironment(): Record<string, string> {
  return {
    KEYTURN_ISSUER: 'https://localhost:4000',
    KEYTURN_TLS_CERT: join(directory, 'tls.crt'),
    KEYTURN_TLS_KEY: join(directory, 'tls.key'),
  };
}

/** Connects to our server and resolves after the handshake. */
async function handshake(url: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const { hostname: host, port } = new URL(url);
  const socket = connect({ host, port: Number(port), ...trusting, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

/** Returns the SHA-256 of the certificate that new connections get. */
async function shown(url: string): Promise<string> {
  const socket = await handshake(url);
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

describe('with a certificate', () => {
  it('serves both listeners over TLS, and issues and introspects tokens over it', async () => {
    expect([server.publicUrl, server.adminUrl].map((url) => new URL(url).protocol)).toEqual(['https:', 'https:']);
    const api = endpointsOf(server.publicUrl);
    const { json } = await api.token(clients.shop, {}, { tls: trusting });
    const introspected = await api.introspect(clients.orders, String(json['access_token']), {}, { tls: trusting });
    expect(introspected.json['active']).toBe(true);
    expect((await send(`${server.adminUrl}/admin/v1/openapi.json`, { tls: trusting })).status).toBe(200);
  });

  it('does not answer a connection without TLS', async () => {
    for (const url of [server.publicUrl, server.adminUrl]) {
      const socket = connectPlain(Number(new URL(url).port), '127.0.0.1');
      socket.on('error', () => undefined);
      let received = '';
      socket.on('data', (chunk) => {
        received += chunk.toString('latin1');
      });
      socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await once(socket, 'close');
      expect(received).not.toContain('200');
    }
    expect((await send(`${server.publicUrl}/healthz`, { tls: trusting })).status).toBe(200);
  });

  it.each<[string, ConnectionOptions]>([
    ['TLS 1.1', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }],
    ['TLS 1.2 with CBC', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' }],
    ['a protocol that is not HTTP/1.1', { ALPNProtocols: ['h2'] }],
  ])('%s is refused', async (_title, options) => {
    await expect(handshake(server.publicUrl, options)).rejects.toThrow();
  });

  it('accepts TLS 1.2 and 1.3, and HTTP/1.1 only', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const range = { minVersion: version, maxVersion: version };
      const socket = await handshake(server.publicUrl, { ...range, ALPNProtocols: ['h2', 'http/1.1'] });
      expect([socket.getProtocol(), socket.alpnProtocol]).toEqual([version, 'http/1.1']);
      socket.destroy();
    }
  });
});

describe('a certificate that is renewed', () => {
  it('is used within seconds, and no request of a running connection is lost', async () => {
    const before = await shown(server.publicUrl);
    const agent = new Agent({ ...trusting, keepAlive: true, maxSockets: 2 });
    const { tokenUrl } = endpointsOf(server.publicUrl);
    const statuses: number[] = [];
    let running = true;
    const ask = async () => {
      while (running) {
        const basic = [clients.shop.id, clients.shop.secret] as const;
        statuses.push((await post(tokenUrl, { grant_type: 'client_credentials' }, { basic, agent })).status);
      }
    };
    const asking = [ask(), ask()];
    const next = issueServer();
    swap({ 'tls.crt': next.cert, 'tls.key': next.key });
    const after = await eventuallyIs(
      () => shown(server.publicUrl),
      (seen) => seen !== before,
    );
    expect(after).toBe(next.x509.fingerprint256);
    expect(await shown(server.adminUrl)).toBe(after);
    // Existing connections end with their next answer; new ones use the new certificate.
    const used = () => Object.values(agent.sockets).concat(Object.values(agent.freeSockets)).flat();
    const shownTo = () => used().map((socket) => (socket as TLSSocket).getPeerCertificate().fingerprint256);
    await eventuallyIs(
      async () => shownTo(),
      (seen) => seen.length > 0 && seen.every((each) => each === after),
    );
    running = false;
    await Promise.all(asking);
    agent.destroy();
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  it.each<[string, () => Record<string, string>, RegExp]>([
    ['without its key', () => ({ 'tls.crt': issueServer().cert, 'tls.key': issueServer().key }), /does not match/],
    ['half written', () => halfOf(issueServer()), /certificate that cannot be read/],
    ['not there', () => ({ 'tls.key': first.key }), /cannot be read/],
    ['with a key under a passphrase', () => ({ 'tls.crt': first.cert, 'tls.key': encrypted }), /without a passphrase/],
  ])('is reported once and not used if it is %s', async (_title, files, told) => {
    const before = await shown(server.publicUrl);
    lines.length = 0;
    swap(files());
    const warned = () => lines.filter((line) => line.includes('"level":40') && line.includes('TLS files'));
    await eventuallyIs(
      async () => warned().length,
      (count) => count > 0,
    );
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(warned()).toHaveLength(1);
    expect(warned()[0]).toMatch(told);
    expect(warned()[0]).not.toContain('PRIVATE KEY');
    expect(await shown(server.publicUrl)).toBe(before);
    const next = issueServer();
    swap({ 'tls.crt': next.cert, 'tls.key': next.key });
    await eventuallyIs(
      () => shown(server.publicUrl),
      (seen) => seen === next.x509.fingerprint256,
    );
  });

  it('is used by every worker', async () => {
    const child = await startChildServer(await createTestStores(), {
      ...tlsEnvironment(),
      KEYTURN_WORKERS: '2',
      KEYTURN_PORT: String(await freePort()),
      KEYTURN_ADMIN_PORT: String(await freePort()),
    });
    try {
      // The supervisor distributes connections in turn.
      const seenByAll = async () => new Set(await Promise.all([1, 2, 3, 4].map(() => shown(child.publicUrl))));
      const next = issueServer();
      swap({ 'tls.crt': next.cert, 'tls.key': next.key });
      const isNext = (seen: Set<string>) => seen.size === 1 && seen.has(next.x509.fingerprint256);
      await eventuallyIs(seenByAll, isNext);
      expect((await send(`${child.publicUrl}/readyz`, { tls: trusting })).status).toBe(200);
    } finally {
      expect(await child.terminate()).toBe(0);
    }
  });
});

function halfOf({ cert, key }: TestCertificate): Record<string, string> {
  return { 'tls.crt': cert.slice(0, cert.length / 2), 'tls.key': key };
}

describe('Strict-Transport-Security', () => {
  it('is sent with every answer of both listeners if the issuer is https, also by the fast path', async () => {
    const behind = await startTestServer({ env: { KEYTURN_ISSUER: 'https://auth.example.com' } });
    try {
      const { shop } = await registerAll(behind.core);
      const api = endpointsOf(behind.publicUrl);
      const answers = [
        await api.token(shop),
        await api.token({ ...shop, secret: 'wrong' }),
        await send(`${behind.publicUrl}/healthz`),
        await send(`${behind.adminUrl}/admin/v1/clients`),
        await send(`${behind.adminUrl}/console/sign-in`),
      ];
      expect(answers.map(({ status }) => status)).toEqual([200, 401, 200, 401, 200]);
      for (const { headers } of answers) expect(headers['strict-transport-security']).toBe('max-age=31536000');
    } finally {
      await behind.close();
    }
  });

  it('is not sent for localhost, where it would apply to every port of the machine', async () => {
    const { headers } = await send(`${server.publicUrl}/healthz`, { tls: trusting });
    expect(headers['strict-transport-security']).toBeUndefined();
  });
});
