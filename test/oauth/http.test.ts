import { gzipSync } from 'node:zlib';
import { eventually } from '../eventually.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, registerAll, watchQueries } from './fixture.ts';
import { basicOf, post, send, sendRaw } from './http-client.ts';

let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let api: ReturnType<typeof endpointsOf>;

beforeAll(async () => {
  server = await startTestServer({ env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  clients = await registerAll(server.core);
  api = endpointsOf(server.publicUrl);
});

afterAll(() => server?.close());

const form = 'grant_type=client_credentials';
const formType = 'application/x-www-form-urlencoded';
const authorized = () => ({ Authorization: basicOf(clients.shop.id, clients.shop.secret) });

describe('the host', () => {
  it.each([
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil.example:4000',
    'localhost@evil',
    'localhost:99999',
    'localhost:000080',
    'localhost,evil',
    '[::1]',
    'x',
  ])('%s is rejected, because the request is for another server', async (host) => {
    const answer = await post(api.tokenUrl, form, { headers: { ...authorized(), Host: host } });
    expect(answer).toMatchObject({ status: 421, json: { error: 'invalid_request' } });
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.text).not.toContain(host);
  });

  it('may be that of the issuer or an allowed one, on any port and in any case', async () => {
    for (const host of ['localhost:4000', 'LOCALHOST:4000', 'localhost', '127.0.0.1', '127.0.0.1:9']) {
      expect(await post(api.tokenUrl, form, { headers: { ...authorized(), Host: host } })).toMatchObject({
        status: 200,
      });
    }
  });

  it('is taken from Host, not from X-Forwarded-Host', async () => {
    const headers = { ...authorized(), Host: 'evil.example', 'X-Forwarded-Host': 'localhost:4000' };
    expect(await post(api.tokenUrl, form, { headers })).toMatchObject({ status: 421 });
  });
});

describe('rejects a request that parsers could read differently and closes its connection', () => {
  const head = (...lines: string[]) =>
    ['POST /oauth2/token HTTP/1.1', `Content-Type: ${formType}`, ...lines, '', ''].join('\r\n');
  const follower = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n';

  it.each<[string, string]>([
    [
      'with Content-Length and Transfer-Encoding',
      `${head('Host: localhost', 'Content-Length: 4', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
    ],
    [
      'with Transfer-Encoding and Content-Length',
      `${head('Host: localhost', 'Transfer-Encoding: chunked', 'Content-Length: 5')}0\r\n\r\n`,
    ],
    ['with two Content-Lengths', `${head('Host: localhost', 'Content-Length: 0', 'Content-Length: 4')}GET `],
    ['with one Content-Length of two values', `${head('Host: localhost', 'Content-Length: 0, 4')}GET `],
    ['with a Content-Length that is not a number', `${head('Host: localhost', 'Content-Length: 4x')}abcd`],
    ['with a signed Content-Length', `${head('Host: localhost', 'Content-Length: +4')}abcd`],
    ['with a Transfer-Encoding that is not chunked', `${head('Host: localhost', 'Transfer-Encoding: xchunked')}abcd`],
    [
      'with a Transfer-Encoding that does not end in chunked',
      `${head('Host: localhost', 'Transfer-Encoding: chunked, identity')}0\r\n\r\n`,
    ],
    [
      'with a chunk size that is not a number',
      `${head('Host: localhost', 'Transfer-Encoding: chunked')}zz\r\nabc\r\n0\r\n\r\n`,
    ],
    [
      'with a chunk longer than its size',
      `${head('Host: localhost', 'Transfer-Encoding: chunked')}3\r\nabcdef\r\n0\r\n\r\n`,
    ],
    ['with a signed chunk size', `${head('Host: localhost', 'Transfer-Encoding: chunked')}-1\r\nabc\r\n0\r\n\r\n`],
    ['with bare LF instead of CRLF', `POST /oauth2/token HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n`],
    ['with bare LF after one header', 'GET /healthz HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n'],
    ['with bare CR after one header', 'GET /healthz HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n'],
    ['with a folded header', head('Host: localhost', 'X-Folded: a', ' b', 'Content-Length: 0')],
    ['with a space before the colon', head('Host: localhost', 'Content-Length : 0')],
    ['with NUL in a header', head('Host: localhost', 'X: a\0b', 'Content-Length: 0')],
    ['without Host', head('Content-Length: 0')],
    ['with two Hosts', head('Host: localhost', 'Host: evil.example', 'Content-Length: 0')],
    ['with the same Host twice', head('Host: localhost', 'host: localhost', 'Content-Length: 0')],
    ['with an unknown HTTP version', 'GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n'],
  ])('%s', async (_, bytes) => {
    const { text, closed } = await sendRaw(server.publicUrl, bytes + follower);
    expect(text).toMatch(/^HTTP\/1\.1 (400|501|505) /);
    expect(closed).toBe(true);
    // The bytes after the request are not treated as a second request.
    expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(text.toLowerCase()).toContain('x-content-type-options: nosniff');
  });
});

describe('a request target in absolute form (RFC 9112 §3.2.2)', () => {
  const ask = (target: string, host: string) =>
    sendRaw(
      server.publicUrl,
      [
        `POST ${target} HTTP/1.1`,
        `Host: ${host}`,
        'Connection: close',
        `Content-Type: ${formType}`,
        `Authorization: ${authorized().Authorization}`,
        `Content-Length: ${form.length}`,
        '',
        form,
      ].join('\r\n'),
    );

  it.each([
    ['http://localhost:4000/oauth2/token', 'evil.example', 200],
    ['HTTPS://LOCALHOST/oauth2/token?', 'evil.example', 200],
    ['http://127.0.0.1/oauth2/token', 'localhost', 200],
    ['http://evil.example/oauth2/token', 'localhost', 421],
    ['http://localhost@evil.example/oauth2/token', 'localhost', 421],
    ['http://evil@localhost/oauth2/token', 'localhost', 421],
    ['http://localhost:99999/oauth2/token', 'localhost', 421],
    ['http:///oauth2/token', 'localhost', 421],
    ['http://localhost', 'localhost', 404],
  ])('defines the host instead of the header: %s with Host %s gets %d', async (target, host, status) => {
    expect((await ask(target, host)).text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });
});

describe('a request to either listener', () => {
  const ask = async (version: string, lines: string[]) => {
    const answers = [
      [server.publicUrl, '/.well-known/jwks.json'] as const,
      [server.adminUrl, '/metrics'] as const,
      [server.adminUrl, '/admin/v1/openapi.json'] as const,
    ].map(async ([url, path]) => {
      const { text, closed } = await sendRaw(url, [`GET ${path} HTTP/${version}`, ...lines, '', ''].join('\r\n'));
      return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]), closed };
    });
    return await Promise.all(answers);
  };
  const host = 'Host: localhost';

  it.each<[string, string, string[], number]>([
    ['two Hosts', '1.1', [host, host], 400],
    ['two Hosts over HTTP/1.0', '1.0', [host, host], 400],
    ['no Host', '1.1', ['X: y'], 400],
    ['two Content-Types', '1.1', [host, 'Content-Type: a/b', 'Content-Type: a/b'], 400],
    ['Transfer-Encoding gzip, chunked', '1.1', [host, 'Transfer-Encoding: gzip, chunked', '', '0'], 400],
    ['two Transfer-Encodings', '1.1', [host, 'Transfer-Encoding: gzip', 'Transfer-Encoding: chunked', '', '0'], 400],
    ['TE that lists chunked', '1.1', [host, 'TE: gzip, chunked'], 400],
    ['1,200 headers', '1.1', [host, ...Array(1_200).fill('X: y')], 431],
  ])('with %s is rejected and its connection closed', async (_what, version, lines, status) => {
    const refused = { status, closed: true };
    expect(await ask(version, lines)).toEqual([refused, refused, refused]);
  });

  it.each<[string, string, string[]]>([
    ['one Host over HTTP/1.0', '1.0', [host]],
    ['only chunked, in any case', '1.1', [host, 'Connection: close', 'Transfer-Encoding: Chunked', '', '0']],
    ['TE: trailers', '1.1', [host, 'Connection: close', 'TE: trailers']],
  ])('with %s is served', async (_what, version, lines) => {
    expect((await ask(version, lines)).map(({ status }) => status)).toEqual([200, 200, 200]);
  });
});

describe('headers', () => {
  it('are rejected if there are more than 100', async () => {
    const many = (count: number) =>
      sendRaw(
        server.publicUrl,
        `GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${'X: y\r\n'.repeat(count - 2)}\r\n`,
      );
    expect((await many(100)).text).toMatch(/^HTTP\/1\.1 200 /);
    expect((await many(101)).text).toMatch(/^HTTP\/1\.1 431 /);
    expect((await many(1_500)).text).toMatch(/^HTTP\/1\.1 431 /);
  });

  it('are rejected if they exceed 16 KB', async () => {
    const { text, closed } = await sendRaw(
      server.publicUrl,
      `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(16 * 1024)}\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 431 /);
    expect(text.toLowerCase()).toContain('x-content-type-options: nosniff');
    expect(closed).toBe(true);
  });
});

describe('the body', () => {
  const endpoints = ['token', 'introspect', 'revoke'];

  it('must be a form', async () => {
    const types = [
      'application/json',
      'multipart/form-data; boundary=x',
      'text/plain',
      'application/x-www-form-urlencodedx',
      '',
    ];
    for (const endpoint of endpoints) {
      for (const type of types) {
        const answer = await send(`${server.publicUrl}/oauth2/${endpoint}`, {
          method: 'POST',
          headers: { ...authorized(), 'Content-Type': type },
          body: form,
        });
        expect(answer).toMatchObject({
          status: 415,
          json: {
            error: 'invalid_request',
            error_description: 'Content-Type must be application/x-www-form-urlencoded.',
          },
        });
        expect(answer.headers['cache-control']).toBe('no-store');
      }
    }
  });

  it('may have a charset and may be sent in chunks', async () => {
    const headers = { ...authorized(), 'Content-Type': `${formType.toUpperCase()} ; charset=UTF-8` };
    expect(await post(api.tokenUrl, form, { headers })).toMatchObject({ status: 200 });
    const tabbed = { ...headers, 'Content-Type': `${formType}\t; charset=utf-8` };
    expect(await post(api.tokenUrl, form, { headers: tabbed })).toMatchObject({ status: 200 });
    const chunked = { ...headers, 'Transfer-Encoding': 'chunked' };
    expect(await post(api.tokenUrl, form, { headers: chunked })).toMatchObject({ status: 200 });
  });

  it('may be missing, which is a request without parameters', async () => {
    const answer = await send(api.tokenUrl, { method: 'POST', headers: authorized() });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });

  it.each(['gzip', 'deflate', 'br', 'zstd', 'GZIP', 'identity, gzip', 'x'])(
    'is rejected unread if it is compressed (%s), because it may expand to a huge one',
    async (encoding) => {
      for (const endpoint of endpoints) {
        const answer = await send(`${server.publicUrl}/oauth2/${endpoint}`, {
          method: 'POST',
          headers: { ...authorized(), 'Content-Type': formType, 'Content-Encoding': encoding },
          body: gzipSync(form),
        });
        expect(answer).toMatchObject({ status: 415, json: { error: 'invalid_request' } });
      }
    },
  );

  it('is rejected above 16 KiB, with and without Content-Length', async () => {
    const fill = (length: number) => `${form}&x=`.padEnd(length, 'x');
    expect(await post(api.tokenUrl, fill(16 * 1024), { headers: authorized() })).toMatchObject({ status: 200 });
    for (const endpoint of ['token', 'revoke']) {
      const url = `${server.publicUrl}/oauth2/${endpoint}`;
      const told = await post(url, fill(16 * 1024 + 1), { headers: authorized() });
      expect(told).toMatchObject({ status: 413, json: { error: 'invalid_request' } });
      expect(told.headers['cache-control']).toBe('no-store');
      const headers = { ...authorized(), 'Transfer-Encoding': 'chunked' };
      expect(await post(url, fill(16 * 1024 + 1), { headers })).toMatchObject({ status: 413 });
    }
  });

  it('is not read further once it is too long', async () => {
    const { text, closed } = await sendRaw(
      server.publicUrl,
      `POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${formType}\r\nContent-Length: 1000000000\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(closed).toBe(true);
  });
});

describe('routes', () => {
  it.each([
    ['/oauth2/token', 'POST'],
    ['/oauth2/introspect', 'POST'],
    ['/oauth2/revoke', 'POST'],
    ['/.well-known/oauth-authorization-server', 'GET, HEAD'],
    ['/.well-known/openid-configuration', 'GET, HEAD'],
    ['/.well-known/jwks.json', 'GET, HEAD'],
    ['/healthz', 'GET, HEAD'],
    ['/readyz', 'GET, HEAD'],
  ])('%s answers any method but %s with 405 and an Allow header', async (path, allow) => {
    const others = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'].filter(
      (method) => !allow.includes(method),
    );
    for (const method of others) {
      const answer = await send(server.publicUrl + path, { method, headers: authorized() });
      expect([method, answer.status, answer.headers.allow]).toEqual([method, 405, allow]);
      expect(answer.json).toMatchObject({ error: 'invalid_request' });
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(answer.headers['x-content-type-options']).toBe('nosniff');
    }
  });

  it.each([
    '/',
    '/auth',
    '/par',
    '/request',
    '/me',
    '/userinfo',
    '/reg',
    '/token',
    '/token/introspection',
    '/token/revocation',
    '/jwks',
    '/session/end',
    '/session/end/confirm',
    '/device',
    '/device/auth',
    '/device/abc',
    '/backchannel',
    '/challenge',
    '/credential',
    '/interaction/abc',
    '/auth/abc',
    '/oauth2/token/',
    '/oauth2/TOKEN',
    '/oauth2//token',
    '/oauth2/%74oken',
    '/oauth2/token;x',
    '/oauth2/authorize',
    '/admin/v1/clients',
    '/console/',
    '/metrics',
    '/__proto__',
    '/constructor',
    '/../etc/passwd',
    '/.well-known/openid-configuration/x',
    '/<script>alert(1)</script>',
  ])('%s does not exist, so that it cannot be attacked', async (path) => {
    for (const method of ['GET', 'POST']) {
      const answer = await sendRaw(
        server.publicUrl,
        `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
      );
      expect(answer.text).toMatch(/^HTTP\/1\.1 404 /);
      expect(answer.text).toContain('{"error":"not_found","error_description":"Path not found."}');
      expect(answer.text).not.toContain('alert');
    }
  });

  it('report liveness and readiness without credentials and for any Host, because probes use addresses', async () => {
    for (const host of ['localhost', '10.1.2.3:4000']) {
      expect(await send(`${server.publicUrl}/healthz`, { headers: { Host: host } })).toMatchObject({
        status: 200,
        json: { status: 'ok' },
      });
      expect(await send(`${server.publicUrl}/readyz`, { headers: { Host: host } })).toMatchObject({
        status: 200,
        json: { status: 'ready', stores: { database: 'ok', redis: 'ok' } },
      });
    }
  });

  it('answer 400 readiness requests without a statement for each', async () => {
    const queries = watchQueries(server.core);
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => send(`${server.publicUrl}/readyz`)));
      for (const { status } of answers) expect(status).toBe(200);
    }
    queries.stop();
    // The database is checked once a second.
    expect(queries.count('SELECT 1')).toBeLessThan(20);
  });

  it('report a failing check, and are not ready only if the check is required', async () => {
    const states = { advisory: 'behind', required: 'ok' };
    for (const [name, isRequired] of [['advisory', false] as const, ['required', true] as const]) {
      server.core.readiness.add({ group: 'checks', name, examine: () => states[name], isRequired });
    }
    const ready = () => send(`${server.publicUrl}/readyz`);
    await eventually(async () => (await ready()).status === 200);
    expect((await ready()).json).toMatchObject({ status: 'ready', checks: states });
    states.required = 'lost';
    await eventually(async () => (await ready()).status === 503);
    expect((await ready()).json).toMatchObject({ status: 'not_ready', checks: states });
    states.required = 'ok';
    await eventually(async () => (await ready()).status === 200);
  });

  it('answer HEAD as GET, without a body', async () => {
    for (const path of ['/healthz', '/readyz', '/.well-known/jwks.json']) {
      expect(await send(server.publicUrl + path, { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
    }
  });
});

describe('every answer', () => {
  it('is JSON that browsers do not sniff, has no CORS headers, and does not repeat the input', async () => {
    const marker = '<svg/onload=alert(1)>';
    const headers = {
      ...authorized(),
      Accept: 'text/html,application/xml',
      Origin: 'https://app.example',
      'User-Agent': marker,
      'X-Request-Id': marker,
    };
    const preflight = { ...headers, 'Access-Control-Request-Method': 'POST' };
    const bad = { ...headers, Authorization: `Basic ${marker}` };
    const token = { grant_type: 'client_credentials', scope: 'orders:read' };
    const answers = [
      await post(api.tokenUrl, token, { headers }),
      await post(api.tokenUrl, { ...token, scope: marker }, { headers }),
      await post(api.tokenUrl, { ...token, resource: marker }, { headers }),
      await post(api.tokenUrl, { ...token, [marker]: marker }, { headers }),
      await post(api.tokenUrl, { grant_type: marker }, { headers }),
      await post(api.tokenUrl, token, { headers: bad }),
      await post(api.introspectionUrl, { token: marker }, { headers }),
      await post(api.introspectionUrl, { token_type_hint: marker }, { headers }),
      await post(api.revocationUrl, { token_type_hint: marker }, { headers }),
      await send(api.tokenUrl, { headers }),
      await send(api.tokenUrl, { method: 'OPTIONS', headers: preflight }),
      await send(`${server.publicUrl}/.well-known/jwks.json`, { headers }),
      await send(`${server.publicUrl}/.well-known/oauth-authorization-server`, { headers }),
      await send(`${server.publicUrl}/healthz`, { headers }),
      await send(`${server.publicUrl}/readyz?${encodeURIComponent(marker)}`, { headers }),
      await send(`${server.publicUrl}/nothing?${encodeURIComponent(marker)}`, { headers }),
      await send(`${server.publicUrl}/healthz`, { headers: { ...headers, Host: marker } }),
      await post(api.tokenUrl, token, { headers: { ...headers, Host: marker } }),
    ];
    for (const { status, headers: received, text, json } of answers) {
      expect(received['x-content-type-options']).toBe('nosniff');
      expect(received['content-type']).toBe('application/json; charset=utf-8');
      expect(Object.keys(received).filter((name) => name.startsWith('access-control'))).toEqual([]);
      expect(received['set-cookie']).toBeUndefined();
      expect(received['x-powered-by']).toBeUndefined();
      expect(text).not.toContain('onload');
      expect(JSON.stringify(received)).not.toContain('onload');
      if (status >= 400) expect(Object.keys(json)).toEqual(['error', 'error_description']);
    }
  });
});
