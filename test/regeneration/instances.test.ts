import { randomUUID } from 'node:crypto';
import { createUsageCounter } from '../../src/usage/usage-counter.ts';
import { findSources } from '../../src/usage/usage-report.ts';
import { addUsage } from '../../src/usage/usage-store.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { post, send } from '../oauth/http-client.ts';
import { askWith, makeKey, makeSelfSigned, proofEnv, registrationOf } from './proof.ts';
import { createWorld, day, hour, minute, type World } from './world.ts';

/** Returns a header whose bytes are the UTF-8 of the text. */
const utf8 = (text: string) => Buffer.from(text).toString('latin1');
const pod = (instance: string) => ({ from: '127.0.0.11', userAgent: 'shop/1.0', instance });

/** Programs behind one address with one user agent, each of which names its instance. */
describe('instances behind one address with one user agent', () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });
  afterEach(async () => {
    await world.close();
  });

  const names = (sources: { instance: string | null }[]) => sources.map(({ instance }) => instance).sort();

  it('count as moved one by one, and the grace period ends when the last of them has moved', async () => {
    const { shop: old } = world;
    for (const name of ['pod-a', 'pod-b']) await world.token(old, pod(name));
    const review = (await world.post('/regeneration/review')).json;
    expect(names(review.impact.used_by)).toEqual(['pod-a', 'pod-b']);
    const { credentials: fresh } = await world.regenerate({ finish_when_unused: true, overlap_seconds: 1_000_000 });
    world.pass(minute);
    await world.token(fresh, pod('pod-a'));
    // Silence alone moves nobody, although another instance behind the address has moved.
    world.pass(5 * day);
    const half = await world.progress();
    expect(half.state).toBe('overlapping');
    expect([names(half.moved), names(half.still_using_old)]).toEqual([['pod-a'], ['pod-b']]);
    expect((await world.askToken(old, pod('pod-b'))).status).toBe(200);

    await world.token(fresh, pod('pod-b'));
    // The longest gap of pod-b are the five days.
    world.pass(5 * day);
    expect((await world.progress()).state).toBe('overlapping');
    world.pass(minute);
    const done = await world.progress();
    expect([done.state, names(done.moved), names(done.using_new)]).toEqual([
      'finished',
      ['pod-a', 'pod-b'],
      ['pod-a', 'pod-b'],
    ]);
    await world.askToken(old, pod('pod-b'));
    expect(names((await world.progress()).tried_after_end)).toEqual(['pod-b']);
  });

  it('do not make a program count as moved that names no instance, nor the other way round', async () => {
    const { shop: old } = world;
    const unnamed = { from: '127.0.0.11', userAgent: 'shop/1.0' };
    await world.token(old, unnamed);
    await world.token(old, pod('pod-a'));
    const { credentials: fresh } = await world.regenerate({ finish_when_unused: true, overlap_seconds: 1_000_000 });
    world.pass(minute);
    await world.token(fresh, pod('pod-b'));
    world.pass(2 * hour);
    expect(await world.progress()).toMatchObject({ state: 'overlapping', moved: [] });
    await world.token(fresh, unnamed);
    world.pass(2 * hour);
    const half = await world.progress();
    expect([half.state, names(half.moved), names(half.still_using_old)]).toEqual(['overlapping', [null], ['pod-a']]);
  });

  it('are counted apart in the usage of the client and of an access key', async () => {
    const contact = await world.adminFetch('/contacts', {
      method: 'POST',
      body: { name: 'Ann', email: 'a@b.example' },
    });
    const { json: key } = await world.adminFetch(`/contacts/${contact.json.id}/access-keys`, {
      method: 'POST',
      body: { name: 'sync', permissions: { orders: ['read'] } },
    });
    for (const name of ['pod-a', 'pod-b', 'pod-b']) {
      await world.askToken(world.shop, pod(name), { access_key: key.access_key });
    }
    for (const path of [`/clients/${world.shop.id}`, `/access-keys/${key.id}`]) {
      const { json } = await world.adminFetch(`${path}/usage`);
      const counted = json.secrets[0].sources.map((source: { instance: string; tokens_24h: number }) => [
        source.instance,
        source.tokens_24h,
      ]);
      expect(counted.sort()).toEqual([
        ['pod-a', 1],
        ['pod-b', 2],
      ]);
    }
  });

  it('with more than 100 names keep the latest by name, and no grace period ends early because of the others', async () => {
    const { shop: old } = world;
    for (let index = 0; index < 130; index += 1) {
      await world.token(old, pod(`pod-${index}`));
      if (index % 40 === 39) await world.core.usage.flush();
    }
    const { json } = await world.adminFetch(`/clients/${old.id}/usage`);
    const { sources } = json.secrets[0];
    expect(sources).toHaveLength(101);
    expect(names(sources)).toContain('pod-129');
    expect(sources.find(({ address }: { address: string }) => address === '*')).toMatchObject({
      instance: null,
      tokens_24h: 30,
    });
    const { credentials: fresh } = await world.regenerate({ finish_when_unused: true, overlap_seconds: 1_000_000 });
    for (let index = 0; index < 130; index += 1) await world.token(fresh, pod(`pod-${index}`));
    world.pass(2 * hour);
    const { state, still_using_old: still } = await world.progress();
    expect(state).toBe('overlapping');
    expect(still).toEqual(expect.arrayContaining([expect.objectContaining({ address: '*' })]));
  });
});

describe('a name of an instance', () => {
  let server: AdminServer;
  let shop: { id: string; secret: string };
  let api: { id: string; secret: string };

  beforeAll(async () => {
    server = await startAdminServer({ env: proofEnv });
    const create = async (body: object) => {
      const { json } = await server.adminFetch('/clients', { method: 'POST', body });
      return { id: json.client_id as string, secret: json.client_secret as string };
    };
    const offered = { information: ['orders'], token_format: 'jwt' };
    api = await create({ name: 'API', kind: 'resource_server', resource: 'https://api.example', ...offered });
    shop = await create({ name: 'Shop', kind: 'integration', scope: 'orders:read' });
  });
  afterAll(() => server.close());

  const ask = (form: Record<string, string>, headers: Record<string, string> = {}, path = 'token') =>
    post(
      `${server.publicUrl}/oauth2/${path}`,
      { ...(path === 'token' ? { grant_type: 'client_credentials' } : {}), ...form },
      { basic: path === 'introspect' ? [api.id, api.secret] : [shop.id, shop.secret], headers },
    );
  const sourcesOf = async (id: string) => {
    const { json } = await server.adminFetch(`/clients/${id}/usage`);
    return json.secrets[0].sources.map(({ instance }: { instance: string | null }) => instance).sort();
  };

  it('may be sent as a parameter, as a header, or as both if they are equal', async () => {
    const longest = `~ ${'x'.repeat(126)}`;
    for (const [form, headers] of [
      [{ client_instance: 'by parameter' }, {}],
      [{}, { 'Keyturn-Instance': 'by header' }],
      [{ client_instance: 'by both' }, { 'Keyturn-Instance': 'by both' }],
      [{ client_instance: longest }, {}],
      [{ client_instance: '' }, { 'Keyturn-Instance': '' }],
    ] as [Record<string, string>, Record<string, string>][]) {
      expect((await ask(form, headers)).status).toBe(200);
      // Once more, with its client in the cache.
      expect((await ask(form, headers)).status).toBe(200);
    }
    expect(await sourcesOf(shop.id)).toEqual([longest, 'by both', 'by header', 'by parameter', null].sort());
  });

  it('may be printable Unicode, in UTF-8 also as a header, and is the same name however it was typed', async () => {
    const names = ['größe', '訂單-1', 'مكتب-1', '\u{1f600}'.repeat(128)];
    const before = (await sourcesOf(shop.id)).length;
    for (const name of names) {
      for (const [form, headers] of [
        [{ client_instance: name }, {}],
        [{ client_instance: name.normalize('NFD') }, {}],
        [{}, { 'Keyturn-Instance': utf8(name) }],
        [{ client_instance: name.normalize('NFD') }, { 'Keyturn-Instance': utf8(name) }],
      ] as [Record<string, string>, Record<string, string>][]) {
        const shown = await ask(form, headers, 'whoami');
        expect([shown.status, shown.json['instance']]).toEqual([200, name]);
        expect((await ask(form, headers)).status).toBe(200);
      }
    }
    const sources = await sourcesOf(shop.id);
    expect(sources).toEqual(expect.arrayContaining(names));
    expect(sources).toHaveLength(before + names.length);
  });

  it.each(['token', 'introspect', 'revoke', 'whoami'])(
    'is rejected as invalid_request by /oauth2/%s if it is too long, not printable, repeated or contradictory',
    async (path) => {
      const named = { 'Keyturn-Instance': 'pod-0' };
      for (const [form, headers] of [
        [{ client_instance: 'x'.repeat(129) }, {}],
        [{ client_instance: 'a\0' }, {}],
        [{ client_instance: 'a\x1fb' }, {}],
        [{ client_instance: 'line\n' }, {}],
        [{ client_instance: 'zero\u200bwidth' }, {}],
        [{ client_instance: 'right\u202eto left' }, {}],
        [{ client_instance: '\u{1f600}'.repeat(129) }, {}],
        [{}, { 'Keyturn-Instance': utf8('zero\u200bwidth') }],
        [{ client_instance: 'größe' }, { 'Keyturn-Instance': utf8('grösse') }],
        [{}, { 'Keyturn-Instance': 'x'.repeat(129) }],
        [{}, { 'Keyturn-Instance': 'gr\xf6\xdfe' }],
        [{ client_instance: 'pod-1' }, named],
        [{ client_instance: 'a\0' }, named],
      ] as [Record<string, string>, Record<string, string>][]) {
        const answer = await ask({ token: 'kta_x', ...form }, headers, path);
        expect([form, answer.status, answer.json['error']]).toEqual([form, 400, 'invalid_request']);
        expect(answer.json['error_description']).toMatch(/^(client_instance|Keyturn-Instance): /);
        expect(answer.text).not.toContain('x'.repeat(129));
      }
      const repeated = await send(`${server.publicUrl}/oauth2/whoami`, {
        headers: {
          Authorization: `Basic ${Buffer.from(`${shop.id}:${shop.secret}`).toString('base64')}`,
          'Keyturn-Instance': ['pod-0', 'pod-0'] as unknown as string,
        },
      });
      expect([repeated.status, repeated.json['error']]).toEqual([400, 'invalid_request']);
    },
  );

  it.each([
    ['key', () => makeKey()],
    ['certificate', async () => makeSelfSigned()],
  ] as const)('distinguishes the sources of a client with a %s too', async (kind, make) => {
    const proof = await make();
    const body = { name: kind, kind: 'integration', scope: 'orders:read', ...registrationOf(proof) };
    const { json } = await server.adminFetch('/clients', { method: 'POST', body });
    const now = Date.now();
    for (const name of ['pod-a', 'pod-b']) {
      const headers = { 'Keyturn-Instance': name };
      expect((await askWith(`${server.publicUrl}/oauth2/token`, json.client_id, proof, { now, headers })).status).toBe(
        200,
      );
      const shown = await askWith(`${server.publicUrl}/oauth2/whoami`, json.client_id, proof, {
        now,
        headers,
        form: {},
      });
      expect(shown.json['instance']).toBe(name);
    }
    const { keys } = (await server.adminFetch(`/clients/${json.client_id}/usage`)).json;
    expect(keys[0].sources.map(({ instance }: { instance: string }) => instance).sort()).toEqual(['pod-a', 'pod-b']);
  });

  it('is in no token and in no introspection', async () => {
    const { json } = await ask({ client_instance: 'pod-secret-name' });
    const token = json['access_token'] as string;
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
    const introspected = await ask({ token }, {}, 'introspect');
    expect(introspected.json['active']).toBe(true);
    expect(payload + introspected.text + JSON.stringify(json)).not.toContain('pod-secret-name');
  });

  it('takes a bounded amount of storage if each request has another one', async () => {
    const now = Date.now();
    const secret = { owner: randomUUID(), generation: 1, epoch: 0 };
    for (let batch = 0; batch < 3; batch += 1) {
      const usage = createUsageCounter({ clock: () => now + batch });
      for (let index = 0; index < 1_000; index += 1) {
        usage.issued(secret, { address: '10.0.0.1', userAgent: 'shop', instance: randomUUID() }, 3_600);
      }
      usage.issued(secret, { address: '10.0.0.2', userAgent: 'other program' }, 3_600);
      for (const taken of usage.take()) await addUsage(server.core.database, taken, now);
    }
    const sources = await findSources(server.core.database, secret.owner, [1], now);
    expect(sources).toHaveLength(102);
    expect(sources.reduce((sum, { issued24h }) => sum + issued24h, 0)).toBe(3_003);
    expect(sources.find(({ address }) => address === '10.0.0.2')).toMatchObject({ issued24h: 3, instance: undefined });
  });
});
