import { calculateJwkThumbprint } from 'jose';
import { findKnownClient } from '../../src/clients/client-store.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventually } from '../eventually.ts';
import { askWith, jwkOf, makeKey, makeSelfSigned, type Proof, proofEnv, registrationOf } from './proof.ts';
import { day, hour, minute } from './world.ts';

let server: AdminServer;
let now: number;
/** Keys that are published at https://keys.example/jwks.json. */
let published: object[];
/** Number of times that they were fetched. */
let fetched = 0;

beforeAll(async () => {
  now = Date.now();
  published = [];
  const readJwks = async () => {
    fetched += 1;
    return published;
  };
  server = await startAdminServer({ env: proofEnv, clock: () => now, readJwks });
  const body = { name: 'API', kind: 'resource_server', resource: 'https://orders.example', information: ['orders'] };
  await server.adminFetch('/clients', { method: 'POST', body });
});

afterAll(() => server?.close());

async function register(registration: object): Promise<string> {
  const body = { name: 'Shop', kind: 'integration', scope: 'orders:read', ...registration };
  return (await server.adminFetch('/clients', { method: 'POST', body })).json.client_id;
}

const ask = (id: string, proof: Proof, from = '127.0.0.11') =>
  askWith(`${server.publicUrl}/oauth2/token`, id, proof, { now, from });

async function clientOf(id: string) {
  await server.core.usage.flush();
  return (await server.adminFetch(`/clients/${id}`)).json;
}

const usageOf = async (id: string) => (await server.adminFetch(`/clients/${id}/usage`)).json;
const patch = (id: string, body: object) => server.adminFetch(`/clients/${id}`, { method: 'PATCH', body });
type Key = Proof & { kind: 'key' };
const jwksOf = (...keys: Key[]) => ({ jwks: { keys: keys.map(jwkOf) } });

describe('the use of keys and certificates', () => {
  it('is counted by the kid and thumbprint of each key (RFC 7638)', async () => {
    const [one, other] = [await makeKey(), await makeKey()];
    const id = await register({ auth_method: 'private_key_jwt', ...jwksOf(one, other) });
    expect((await clientOf(id)).keys).toMatchObject([
      { kid: one.kid, thumbprint: await calculateJwkThumbprint(one.pair.publicJwk), last_used_at: null },
      { kid: other.kid, status: 'current' },
    ]);
    for (const proof of [one, one, other]) expect((await ask(id, proof)).status).toBe(200);
    const refused = await askWith(`${server.publicUrl}/oauth2/token`, id, other, {
      now: now - day,
      from: '127.0.0.12',
    });
    expect(refused.status).toBe(401);
    const { keys } = await usageOf(id);
    expect(keys).toHaveLength(2);
    expect(keys.find(({ kid }: { kid: string }) => kid === one.kid)).toMatchObject({ issued: 2, refused: {} });
    expect(keys.find(({ kid }: { kid: string }) => kid === other.kid)).toMatchObject({
      issued: 1,
      refused: { assertion_expiry: 1 },
      sources: expect.arrayContaining([expect.objectContaining({ address: '127.0.0.12', refused: 1 })]),
    });
    expect((await clientOf(id)).keys[0]).toMatchObject({ last_used_at: new Date(now).toISOString() });
  });

  it('is shown as that of the current credential before its first replacement, and of the previous one afterwards', async () => {
    const [own, next] = [await makeKey(), await makeKey()];
    const id = await register(registrationOf(own));
    expect((await ask(id, own)).status).toBe(200);
    expect((await ask(id, await makeKey())).status).toBe(401);
    const before = await usageOf(id);
    expect(before.secrets).toMatchObject([{ status: 'current', hint: `key ${own.kid}`, issued: 1 }]);
    expect(before.secrets[0].sources).toHaveLength(1);
    expect(before.without_secret).toMatchObject({ issued: 0, sources: [] });
    expect(Object.keys(before.without_secret.refused)).toHaveLength(1);

    const replace = registrationOf(next);
    const review = await server.adminFetch(`/clients/${id}/regeneration/review`, { method: 'POST', body: { replace } });
    const { confirmation } = review.json;
    const body = { replace, confirmation };
    expect((await server.adminFetch(`/clients/${id}/regenerate`, { method: 'POST', body })).status).toBe(201);
    expect((await ask(id, next)).status).toBe(200);
    const after = await usageOf(id);
    expect(after.secrets).toMatchObject([
      { status: 'current', issued: 1 },
      { status: 'retiring', issued: 1 },
    ]);
    expect(after.without_secret).toMatchObject({ issued: 0 });
  });

  it('is counted by the thumbprint of each certificate, and only the latest 50 of a client are kept', async () => {
    const own = makeSelfSigned();
    const id = await register(registrationOf(own));
    expect((await ask(id, own)).status).toBe(200);
    const [{ thumbprint, type }] = (await clientOf(id)).keys;
    expect(type).toBe('certificate');
    expect((await usageOf(id)).keys).toMatchObject([{ thumbprint, issued: 1 }]);

    const named = await register({ auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=pod' });
    for (let count = 0; count < 52; count += 1) {
      now += 1_000;
      const answer = await ask(named, makeSelfSigned('pod'));
      if (count % 25 === 0) await server.core.usage.flush();
      expect(answer.status).toBe(200);
    }
    const { keys } = await clientOf(named);
    expect(keys).toHaveLength(50);
    expect(keys[0]).toMatchObject({ status: 'current', last_used_at: new Date(now).toISOString() });
  });
});

describe('keys behind a jwks_uri', () => {
  it('are listed with when each was published and used, and a program that still signs with one that left is an alarm', async () => {
    const [old, next] = [await makeKey(), await makeKey()];
    const id = await register({ auth_method: 'private_key_jwt', jwks_uri: 'https://keys.example/jwks.json' });
    published = [jwkOf(old)];
    const publishedAt = new Date(now).toISOString();
    expect((await ask(id, old)).status).toBe(200);
    await eventually(async () => (await clientOf(id)).keys[0]?.published_at === publishedAt);
    expect((await clientOf(id)).keys).toMatchObject([
      { kid: old.kid, status: 'current', published_at: publishedAt, left_at: null, first_used_at: publishedAt },
    ]);

    now += 10 * minute;
    published = [jwkOf(next)];
    expect((await ask(id, next)).status).toBe(200);
    const leftAt = new Date(now).toISOString();
    await eventually(async () => (await clientOf(id)).keys.some((key: { left_at: string }) => key.left_at === leftAt));
    expect((await clientOf(id)).keys).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kid: next.kid, status: 'current', published_at: leftAt }),
        expect.objectContaining({ kid: old.kid, status: 'left', left_at: leftAt, used_after_leaving_at: null }),
      ]),
    );

    now += hour;
    expect((await ask(id, old)).status).toBe(401);
    // An unknown key with the kid of the one that left is not an alarm.
    expect((await ask(id, { ...(await makeKey()), kid: old.kid })).status).toBe(401);
    const { keys } = await clientOf(id);
    expect(keys.find(({ kid }: { kid: string }) => kid === old.kid)).toMatchObject({
      used_after_leaving_at: new Date(now).toISOString(),
    });
    const usage = await usageOf(id);
    expect(usage.keys.find(({ kid }: { kid: string }) => kid === old.kid).refused).toEqual({ key_left_set: 1 });
    const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/keyturn_credentials_refused_total\{reason="key_left_set"\} 1/);
  });
});

describe('reading a jwks_uri', () => {
  it('finds a new kid at once, although a published key without kid might have signed too', async () => {
    const [unnamed, next] = [await makeKey(), await makeKey()];
    const id = await register({ auth_method: 'private_key_jwt', jwks_uri: 'https://keys.example/unnamed.json' });
    published = [unnamed.pair.publicJwk];
    expect((await ask(id, unnamed)).status).toBe(200);
    now += 2 * minute;
    published = [unnamed.pair.publicJwk, jwkOf(next)];
    expect((await ask(id, next)).status).toBe(200);
  });

  it('is not necessary for a client whose current key is registered, while the URL that it left is in its grace period', async () => {
    const [old, next] = [await makeKey(), await makeKey()];
    const id = await register({ auth_method: 'private_key_jwt', jwks_uri: 'https://keys.example/former.json' });
    published = [jwkOf(old)];
    expect((await ask(id, old)).status).toBe(200);
    const replace = jwksOf(next);
    const post = (path: string, body: object) => server.adminFetch(`/clients/${id}${path}`, { method: 'POST', body });
    const { confirmation } = (await post('/regeneration/review', { replace })).json;
    expect((await post('/regenerate', { replace, confirmation })).status).toBe(201);
    now += 10 * minute;
    const before = fetched;
    expect((await ask(id, next)).status).toBe(200);
    expect(fetched).toBe(before);
    expect((await ask(id, old)).status).toBe(200);
    expect(fetched).toBe(before + 1);
  });
});

describe('a jwks_uri of a careless client', () => {
  const publishedKeys = async (id: string) =>
    await server.core.database.query<{ kid: string; jwk: object }>(
      `SELECT k.kid, k.jwk FROM client_keys k JOIN client_ids i ON i.client = k.client WHERE i.client_id = $1`,
      [id],
    );

  it('may publish the same key under two kids and with members that cannot be stored', async () => {
    const key = await makeKey();
    const id = await register({ auth_method: 'private_key_jwt', jwks_uri: 'https://keys.example/careless.json' });
    published = [
      { ...jwkOf(key), note: 'a\0' },
      { ...jwkOf(key), kid: 'other', x5c: ['x'.repeat(10_000)] },
    ];
    expect((await ask(id, key)).status).toBe(200);
    await eventually(async () => (await publishedKeys(id)).some(({ jwk }) => jwk !== null));
    expect(await publishedKeys(id)).toEqual([{ kid: expect.any(String), jwk: expect.any(Object) }]);
    expect(JSON.stringify((await publishedKeys(id))[0]?.jwk).length).toBeLessThan(300);
  });

  it('takes a bounded number of rows if it publishes other keys at each fetch', async () => {
    const id = await register({ auth_method: 'private_key_jwt', jwks_uri: 'https://keys.example/restless.json' });
    for (let round = 0; round < 6; round += 1) {
      const keys = await Promise.all(Array.from({ length: 10 }, () => makeKey()));
      published = keys.map(jwkOf);
      now += 10 * minute;
      const [key] = keys as [Key];
      expect((await ask(id, key)).status).toBe(200);
      const kid = keys.at(-1)?.kid;
      await eventually(async () => (await publishedKeys(id)).some((row) => row.kid === kid));
    }
    expect(await publishedKeys(id)).toHaveLength(50);
  });
});

describe('changing keys without a rotation', () => {
  it('adds a key to others at once, and removes one that nobody uses', async () => {
    const [used, spare] = [await makeKey(), await makeKey()];
    const id = await register({ auth_method: 'private_key_jwt', ...jwksOf(used) });
    expect((await ask(id, used)).status).toBe(200);
    expect((await patch(id, jwksOf(used, spare))).status).toBe(200);
    expect([(await ask(id, used)).status, (await ask(id, spare)).status]).toEqual([200, 200]);
    const unused = await makeKey();
    expect((await patch(id, jwksOf(used, spare, unused))).status).toBe(200);
    expect((await patch(id, jwksOf(used, spare))).status).toBe(200);
    expect((await ask(id, unused)).status).toBe(401);
  });

  it('answers 428 with a review that says who uses which key if one in use would end, and its confirmation rotates them', async () => {
    const [used, next] = [await makeKey(), await makeKey()];
    const id = await register({ auth_method: 'private_key_jwt', ...jwksOf(used) });
    expect((await ask(id, used)).status).toBe(200);
    for (const change of [jwksOf(next), { jwks_uri: 'https://keys.example/other.json' }]) {
      const answer = await patch(id, change);
      expect(answer).toMatchObject({ status: 428, json: { code: 'confirmation_required' } });
      expect(answer.json.review.impact).toMatchObject({
        used_by: [{ address: '127.0.0.11' }],
        keys: [{ kid: used.kid, ends: true, used_by: [{ address: '127.0.0.11' }] }],
      });
      expect((await ask(id, used)).status).toBe(200);
    }
    const { confirmation } = (await patch(id, jwksOf(used))).json;
    expect(confirmation).toBeUndefined();
    const { review } = (await patch(id, jwksOf(next))).json;
    const body = { confirmation: review.confirmation, replace: jwksOf(next) };
    expect((await server.adminFetch(`/clients/${id}/regenerate`, { method: 'POST', body })).status).toBe(201);
    expect([(await ask(id, used)).status, (await ask(id, next)).status]).toEqual([200, 200]);
  });

  it('answers 428 if a key would end that was used only before a rotation that kept it, and reviews no ended key', async () => {
    const [kept, added, last] = [await makeKey(), await makeKey(), await makeKey()];
    const id = await register({ auth_method: 'private_key_jwt', ...jwksOf(kept) });
    const rotate = async (replace: object) => {
      const at = (path: string) => `/clients/${id}${path}`;
      const review = await server.adminFetch(at('/regeneration/review'), { method: 'POST', body: { replace } });
      const body = { confirmation: review.json.confirmation, replace };
      expect((await server.adminFetch(at('/regenerate'), { method: 'POST', body })).status).toBe(201);
      now += 2 * day;
      return review.json.impact.keys.map(({ kid }: { kid: string }) => kid);
    };
    expect((await ask(id, kept)).status).toBe(200);
    await rotate(jwksOf(kept, added));
    for (const change of [jwksOf(added), { jwks_uri: 'https://keys.example/other.json' }]) {
      expect((await patch(id, change)).status).toBe(428);
    }
    await rotate(jwksOf(added));
    // A name that is cut in the middle of a character is stored too.
    const longNamed = { ...last, kid: `${'x'.repeat(114)}😀${'x'.repeat(9)}` };
    expect(await rotate(jwksOf(longNamed))).toEqual([added.kid]);
    expect(await rotate(jwksOf(kept))).toEqual([longNamed.kid]);
  });

  it('loads the keys of the ten latest credentials only', async () => {
    const id = await register({ auth_method: 'private_key_jwt', ...jwksOf(await makeKey()) });
    for (let count = 0; count < 11; count += 1) {
      const replace = jwksOf(await makeKey());
      const { json } = await server.adminFetch(`/clients/${id}/regenerate`, { method: 'POST', body: { replace } });
      const body = { replace, confirmation: json.review.confirmation, revoke_tokens: true };
      expect((await server.adminFetch(`/clients/${id}/regenerate`, { method: 'POST', body })).status).toBe(201);
    }
    const { secrets = [] } = (await findKnownClient(server.core.database, id)) ?? {};
    const loaded = secrets.map(({ registration }) => registration?.jwks?.keys.length ?? 0);
    expect(loaded).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
    expect(secrets.at(-1)).toMatchObject({
      generation: 0,
      registration: { authMethod: 'private_key_jwt', jwks: null },
    });
  });

  it('answers 428 to another way of authentication or another certificate, and nothing else of the request is done', async () => {
    const own = makeSelfSigned();
    const id = await register(registrationOf(own));
    expect((await ask(id, own)).status).toBe(200);
    const { jwks } = registrationOf(makeSelfSigned());
    const key = await makeKey();
    const secret = { auth_method: 'client_secret_post' };
    for (const change of [{ jwks }, { auth_method: 'private_key_jwt', ...jwksOf(key) }, secret]) {
      expect(await patch(id, { name: 'Renamed', ...change })).toMatchObject({
        status: 428,
        json: { review: { impact: { keys: [{ type: 'certificate', ends: true }] } } },
      });
    }
    expect(await clientOf(id)).toMatchObject({ name: 'Shop', auth_method: 'self_signed_tls_client_auth' });
    expect((await patch(id, { name: 'Renamed', auth_method: 'self_signed_tls_client_auth' })).status).toBe(200);
    expect((await ask(id, own)).status).toBe(200);
  });
});
