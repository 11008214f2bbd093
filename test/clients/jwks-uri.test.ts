import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '../../src/clients/client.ts';
import { createClientKeys, fetchJwks } from '../../src/clients/fetch-jwks.ts';
import type { OutsideOptions } from '../../src/http/outside-fetch.ts';
import { isPublicAddress } from '../../src/http/public-address.ts';
import { createLog } from '../../src/observability/log.ts';
import { makePair } from '../oauth/assertion.ts';

let server: Server;
let ca: string;
let port: number;
let answer: RequestListener;
let requests = 0;

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'jwks-'));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const subject = ['-subj', '/CN=client.example', '-addext', 'subjectAltName=DNS:client.example'];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...newKey, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  ca = readFileSync(cert, 'utf8');
  server = createServer({ key: readFileSync(key), cert: ca }, (request, response) => {
    requests += 1;
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as AddressInfo);
});

afterAll(() => {
  server?.closeAllConnections();
  server?.close();
});

beforeEach(() => {
  requests = 0;
});

/** Fetches the local server's keys as if its address were public. */
function fetchLocal(options: OutsideOptions = {}) {
  return fetchJwks(`https://client.example:${port}/jwks.json`, {
    ca,
    resolve: (_hostname, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
    isAllowed: () => true,
    ...options,
  });
}

describe('fetching a JWKS by URL', () => {
  it('works over https', async () => {
    answer = (_request, response) => response.end('{"keys":[{"kty":"EC"}]}');
    expect(await fetchLocal()).toEqual([{ kty: 'EC' }]);
    await expect(fetchJwks(`http://client.example:${port}/`)).rejects.toThrow('not https');
    await expect(fetchLocal({ ca: '' })).rejects.toThrow();
  });

  it('accepts a byte order mark (RFC 8259 §8.1)', async () => {
    answer = (_request, response) => response.end('\ufeff{"keys":[{"kty":"EC"}]}');
    expect(await fetchLocal()).toEqual([{ kty: 'EC' }]);
  });

  it('rejects an address that is not public, in the URL or from DNS', async () => {
    answer = (_request, response) => response.end('{"keys":[]}');
    await expect(fetchLocal({ isAllowed: isPublicAddress })).rejects.toThrow('not a public address');
    await expect(fetchJwks(`https://127.0.0.1:${port}/`, { ca })).rejects.toThrow('not a public address');
    await expect(fetchJwks(`https://[::ffff:127.0.0.1]:${port}/`, { ca })).rejects.toThrow('not a public address');
    const mixed: OutsideOptions['resolve'] = (_hostname, callback) =>
      callback(null, [
        { address: '9.9.9.9', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ]);
    await expect(fetchLocal({ isAllowed: isPublicAddress, resolve: mixed })).rejects.toThrow('not a public address');
    expect(requests).toBe(0);
  });

  it('follows no redirect', async () => {
    answer = (_request, response) => response.writeHead(302, { Location: 'https://169.254.169.254/' }).end();
    await expect(fetchLocal()).rejects.toThrow('status 302');
    expect(requests).toBe(1);
  });

  it('rejects more than 64 KiB, with and without Content-Length', async () => {
    answer = (_request, response) => {
      const timer = setInterval(() => response.write('x'.repeat(32 * 1024)), 1);
      response.once('close', () => clearInterval(timer));
    };
    await expect(fetchLocal()).rejects.toThrow();
  });

  it('fails after 3 seconds, even while bytes arrive', async () => {
    answer = (_request, response) => {
      const timer = setInterval(() => response.write(' '), 100);
      response.once('close', () => clearInterval(timer));
    };
    await expect(fetchLocal()).rejects.toThrow();
  });

  it.each(['not JSON', 'null', '[]', '{"keys":{}}'])('rejects %s', async (text) => {
    answer = (_request, response) => response.end(text);
    await expect(fetchLocal()).rejects.toThrow();
  });
});

test.each([
  [
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '192.168.1.1',
    '198.18.0.1',
    '224.0.0.1',
  ],
  [
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:9.9.9.9',
    'fe80::1',
    'fc00::1',
    'ff02::1',
    '64:ff9b::a00:1',
    '2002:a00:1::',
    '2001::1',
  ],
  ['2001:db8::1', 'localhost', '', '127.1'],
])('recognizes %s and others as not public', (...addresses) => {
  for (const address of addresses) expect([address, isPublicAddress(address)]).toEqual([address, false]);
});

test('recognizes addresses of the public Internet', () => {
  for (const address of ['9.9.9.9', '172.32.0.1', '2620:fe::fe', '2a00:1450:4001::1']) {
    expect([address, isPublicAddress(address)]).toEqual([address, true]);
  }
});

describe('the keys of a client with a jwks_uri', () => {
  const client = { jwks: null, jwksUri: 'https://client.example/jwks.json' } as Client;
  const minute = 60_000;

  async function start() {
    let now = 1_000_000;
    let fetched = 0;
    const one = { ...(await makePair()).publicJwk, kid: 'one' };
    const two = { ...(await makePair('EdDSA')).publicJwk, kid: 'two' };
    const state = { served: [one] as unknown[] | Error };
    let noted = 0;
    const keys = createClientKeys({
      notePublished: async () => {
        noted += 1;
        throw new Error('invalid text');
      },
      clock: () => now,
      log: createLog('silent'),
      fetchJwks: async () => {
        fetched += 1;
        if (state.served instanceof Error) throw state.served;
        return state.served;
      },
    });
    return {
      one,
      two,
      state,
      kids: async (kid?: string) =>
        (await keys.find(client, { accepted: ['ES256', 'EdDSA'], kid, client: 'some client' })).map((key) => key.kid),
      noted: () => noted,
      fetched: () => fetched,
      pass: (milliseconds: number) => {
        now += milliseconds;
      },
    };
  }

  it('are fetched once for concurrent requests and cached', async () => {
    const world = await start();
    await Promise.all(Array.from({ length: 20 }, () => world.kids('one')));
    expect(await world.kids('one')).toEqual(['one']);
    expect(world.fetched()).toBe(1);
  });

  it('are fetched again for an unknown kid, at most once a minute', async () => {
    const world = await start();
    await world.kids('one');
    world.state.served = [world.one, world.two];
    for (let index = 0; index < 20; index++) expect(await world.kids(`made-up-${index}`)).toEqual(['one']);
    expect(world.fetched()).toBe(1);
    world.pass(minute + 1);
    expect(await world.kids('two')).toEqual(['one', 'two']);
    for (let index = 0; index < 20; index++) await world.kids(`made-up-${index}`);
    expect(world.fetched()).toBe(2);
  });

  it('are used for an hour while they cannot be fetched, and no longer', async () => {
    const world = await start();
    await world.kids();
    world.state.served = new Error('away');
    world.pass(59 * minute);
    expect(await world.kids()).toEqual(['one']);
    world.pass(2 * minute);
    expect(await world.kids()).toEqual([]);
  });

  it('are dropped within five minutes after they were removed', async () => {
    const world = await start();
    await world.kids();
    world.state.served = [world.two];
    world.pass(5 * minute + 1);
    expect(await world.kids('one')).toEqual(['two']);
  });

  it('include a usable key after more unusable ones than the number of kept keys', async () => {
    const world = await start();
    world.state.served = [...Array.from({ length: 20 }, () => ({ kty: 'oct', k: 'AA' })), world.two];
    expect(await world.kids('two')).toEqual(['two']);
  });

  it('are at most ten, so that a wrong signature costs at most ten checks', async () => {
    const world = await start();
    world.state.served = Array.from({ length: 20 }, () => world.one);
    expect(await world.kids('one')).toHaveLength(10);
  });

  it('include only permitted ones: no symmetric, private or weak key', async () => {
    const world = await start();
    world.state.served = [{ kty: 'oct', k: 'AA', kid: 'a' }, { ...world.two, d: 'AA', kid: 'b' }, null, 'x', world.two];
    expect(await world.kids()).toEqual(['two']);
  });

  it('exclude one whose kid cannot be stored with the counts of all clients', async () => {
    const world = await start();
    world.state.served = [...['a\0', '\ud800'].map((kid) => ({ ...world.one, kid })), world.two];
    expect(await world.kids()).toEqual(['two']);
  });

  it('are recorded once for each fetch, even if recording them fails', async () => {
    const world = await start();
    for (let index = 0; index < 20; index++) await world.kids();
    expect(world.noted()).toBe(1);
    world.pass(5 * minute + 1);
    await world.kids();
    expect(world.noted()).toBe(2);
  });
});
