import { findKnownClient } from '../../src/clients/client-store.ts';
import { generateClientId } from '../../src/credentials/credential-format.ts';
import { lockSecretOwner } from '../../src/leaks/end-leak.ts';
import { finishUnused } from '../../src/regeneration/end-regeneration.ts';
import { saveSecretEnd } from '../../src/secrets/secret-store.ts';
import { recordChange } from '../../src/storage/change.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { countSignatures } from '../oauth/count-signatures.ts';
import { post } from '../oauth/http-client.ts';
import { askWith, jwkOf, makeKey, makeSelfSigned, type Proof, proofEnv, registrationOf } from './proof.ts';
import { day, hour, minute } from './world.ts';

let server: AdminServer;
let now: number;
let api: { id: string; secret: string };

beforeAll(async () => {
  now = Date.now();
  server = await startAdminServer({ env: proofEnv, clock: () => now });
  const body = { name: 'API', kind: 'resource_server', resource: 'https://orders.example', information: ['orders'] };
  const { json } = await server.adminFetch('/clients', { method: 'POST', body });
  api = { id: json.client_id, secret: json.client_secret };
});

afterAll(() => server?.close());

const web = '127.0.0.11';
const nightly = '127.0.0.12';

type Registered = { id: string; proof: Proof };

async function register(proof: Exclude<Proof, { kind: 'secret' }> | 'secret'): Promise<Registered> {
  const authentication = proof === 'secret' ? {} : registrationOf(proof);
  const body = { name: 'Shop', kind: 'integration', scope: 'orders:read', ...authentication };
  const { json } = await server.adminFetch('/clients', {
    method: 'POST',
    // Tokens bound to a certificate could not be asked for with a key.
    body: { tls_client_certificate_bound_access_tokens: false, ...body },
  });
  return { id: json.client_id, proof: proof === 'secret' ? { kind: 'secret', secret: json.client_secret } : proof };
}

const ask = (id: string, proof: Proof, from = web) =>
  askWith(`${server.publicUrl}/oauth2/token`, id, proof, { now, from });

async function token(id: string, proof: Proof, from?: string): Promise<string> {
  const answer = await ask(id, proof, from);
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.json['access_token'] as string;
}

const isLive = async (value: string) =>
  (await post(`${server.publicUrl}/oauth2/introspect`, { token: value }, { basic: [api.id, api.secret] })).json[
    'active'
  ];

const postTo = (id: string, path: string, body: object = {}) =>
  server.adminFetch(`/clients/${id}${path}`, { method: 'POST', body });

type Replacing = Exclude<Proof, { kind: 'secret' }> | 'secret';

const replaceBy = (next: Replacing) =>
  next === 'secret' ? { auth_method: 'client_secret_basic' } : registrationOf(next);

/** Reviews and replaces what the client proves itself by. */
async function replace(id: string, next: Replacing, options: object = {}) {
  const review = await postTo(id, '/regeneration/review', { replace: replaceBy(next) });
  const { confirmation } = review.json;
  const answer = await postTo(id, '/regenerate', { confirmation, replace: replaceBy(next), ...options });
  if (answer.status !== 201) throw new Error(answer.text);
  const proof: Proof = next === 'secret' ? { kind: 'secret', secret: answer.json.client_secret } : next;
  return { ...answer.json, proof, review: review.json };
}

const regenerations = async (id: string) => (await server.adminFetch(`/clients/${id}/regenerations`)).json.data;

const makers: Record<string, () => Promise<Replacing>> = {
  secret: async () => 'secret',
  key: () => makeKey(),
  certificate: async () => makeSelfSigned(),
};
const turns = Object.keys(makers)
  .flatMap((from) => Object.keys(makers).map((to) => [from, to] as const))
  // A secret that is replaced by a secret has its own tests.
  .filter(([from, to]) => from !== 'secret' || to !== 'secret');

describe.each(turns)('replacing a %s by a %s', (from, to) => {
  it('asks for a confirmation, keeps both valid in the grace period, shows who has moved, and ends by its date', async () => {
    const make = async (kind: string) => (makers[kind] as () => Promise<Replacing>)();
    const { id, proof: old } = await register(await make(from));
    await token(id, old, nightly);
    now += 2 * hour;
    const early = await token(id, old, web);
    const next = await make(to);

    const unseen = await postTo(id, '/regenerate', { replace: replaceBy(next) });
    expect(unseen).toMatchObject({ status: 428, json: { code: 'confirmation_required' } });
    expect(unseen.json.review.impact).toMatchObject({
      used_by: [{ address: web }, { address: nightly }],
      live_tokens: 1,
      retiring_secret: null,
    });
    const { proof, previous, client_secret: secret } = await replace(id, next);
    expect(secret === undefined).toBe(to !== 'secret');
    const endsAt = Date.parse(previous.retires_at);
    expect(endsAt).toBe(now + day);

    now += minute;
    const [withOld, withNew] = [await ask(id, old), await ask(id, proof)];
    expect([withOld.status, withNew.status]).toEqual([200, 200]);
    expect(withOld.headers['sunset']).toBe(new Date(endsAt).toUTCString());
    expect(withOld.headers['deprecation']).toBe(`@${Math.floor((endsAt - day) / 1_000)}`);
    expect(withNew.headers).not.toHaveProperty('sunset');

    now += 3 * hour;
    expect(await regenerations(id)).toMatchObject([
      {
        state: 'overlapping',
        moved: [{ address: web }],
        still_using_old: [{ address: nightly }],
        using_new: [{ address: web }],
      },
    ]);
    expect((await server.adminFetch(`/clients/${id}`)).json).toMatchObject({
      auth_method: replaceBy(next).auth_method,
      retires_at: previous.retires_at,
    });

    now = endsAt - 1;
    const last = await token(id, old, nightly);
    now = endsAt;
    expect((await ask(id, old, nightly)).status).toBe(401);
    expect((await ask(id, proof)).status).toBe(200);
    expect([await isLive(early), await isLive(last)]).toEqual([false, true]);
    expect(await regenerations(id)).toMatchObject([
      { state: 'finished', tried_after_end: [{ address: nightly, refused: 1 }] },
    ]);
  });

  it('can be undone, which ends the new one and its tokens at once, and finished', async () => {
    const make = async (kind: string) => (makers[kind] as () => Promise<Replacing>)();
    const { id, proof: old } = await register(await make(from));
    const before = await server.adminFetch(`/clients/${id}`);
    const first = await replace(id, await make(to));
    const tokens = [await token(id, old), await token(id, first.proof)];
    expect(await postTo(id, `/regenerations/${first.regeneration_id}/undo`)).toMatchObject({
      status: 200,
      json: { state: 'undone' },
    });
    expect([(await ask(id, old)).status, (await ask(id, first.proof)).status]).toEqual([200, 401]);
    expect((await ask(id, old)).headers).not.toHaveProperty('sunset');
    expect(await Promise.all(tokens.map(isLive))).toEqual([true, false]);
    const after = await server.adminFetch(`/clients/${id}`);
    for (const member of ['auth_method', 'jwks', 'jwks_uri']) expect(after.json[member]).toEqual(before.json[member]);

    const second = await replace(id, await make(to));
    expect(await postTo(id, `/regenerations/${second.regeneration_id}/finish`)).toMatchObject({ status: 200 });
    expect([(await ask(id, old)).status, (await ask(id, second.proof)).status]).toEqual([401, 200]);
  });
});

describe('replacing keys', () => {
  it('accepts a confirmation only for the keys that were reviewed', async () => {
    const { id } = await register(await makeKey());
    const [reviewed, other] = [await makeKey(), await makeKey()];
    const review = await postTo(id, '/regeneration/review', { replace: registrationOf(reviewed) });
    const { confirmation } = review.json;
    expect((await postTo(id, '/regenerate', { confirmation, replace: registrationOf(other) })).status).toBe(428);
    expect((await postTo(id, '/regenerate', { confirmation, replace: registrationOf(reviewed) })).status).toBe(201);
  });

  it('rejects keys that are registered already, and says what to send for a client without a secret', async () => {
    const key = await makeKey();
    const { id } = await register(key);
    expect(await postTo(id, '/regeneration/review', { replace: { jwks: { keys: [jwkOf(key)] } } })).toMatchObject({
      status: 400,
    });
    expect((await postTo(id, '/regeneration/review')).json.detail).toContain('`replace`');
    expect((await postTo(id, '/regeneration/review', { replace: {} })).json.detail).toContain('`auth_method`');
  });

  it('accepts a certificate in PEM', async () => {
    const { id } = await register('secret');
    const next = makeSelfSigned();
    const body = { replace: { certificate: next.certificate.cert } };
    const { confirmation } = (await postTo(id, '/regeneration/review', body)).json;
    expect((await postTo(id, '/regenerate', { ...body, confirmation })).status).toBe(201);
    expect((await ask(id, next)).status).toBe(200);
  });

  it('ends the old keys at once and revokes every token after a leak', async () => {
    const { id, proof: old } = await register(await makeKey());
    const value = await token(id, old);
    const { proof } = await replace(id, await makeKey(), { revoke_tokens: true });
    expect([(await ask(id, old)).status, (await ask(id, proof)).status, await isLive(value)]).toEqual([
      401,
      200,
      false,
    ]);
  });

  it('gives the new keys a new Client ID, and each key works with its own ID only', async () => {
    const { id, proof: old } = await register(await makeKey());
    const { client_id: newId, proof } = await replace(id, await makeKey(), { new_client_id: true });
    const answers = [ask(id, old), ask(newId, proof), ask(id, proof), ask(newId, old)];
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 401, 401]);
  });

  it('accepts a key or certificate that stays registered with the old and the new Client ID', async () => {
    const [kept, added] = [await makeKey(), await makeKey()];
    const pod = makeSelfSigned('pod');
    const bySubject = { auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=pod' };
    const cases: [Proof, object, object][] = [
      [kept, registrationOf(kept), { jwks: { keys: [jwkOf(kept), jwkOf(added)] } }],
      [pod, bySubject, registrationOf(pod)],
    ];
    for (const [proof, first, replacement] of cases) {
      const body = { name: 'Shop', kind: 'integration', scope: 'orders:read', ...first };
      const id = (await server.adminFetch('/clients', { method: 'POST', body })).json.client_id;
      const { confirmation } = (await postTo(id, '/regeneration/review', { replace: replacement })).json;
      const options = { confirmation, replace: replacement, new_client_id: true };
      const newId = (await postTo(id, '/regenerate', options)).json.client_id;
      expect(newId).not.toBe(id);
      expect([(await ask(id, proof)).status, (await ask(newId, proof)).status]).toEqual([200, 200]);
      now += day;
      expect([(await ask(id, proof)).status, (await ask(newId, proof)).status]).toEqual([401, 200]);
    }
  });

  it('compares an assertion without kid with as many keys of a client with ended ones as of an unknown client', async () => {
    const { id } = await register(await makeKey());
    for (let round = 0; round < 3; round += 1) {
      const { regeneration_id: regeneration } = await replace(id, await makeKey());
      expect((await postTo(id, `/regenerations/${regeneration}/finish`)).status).toBe(200);
    }
    const { pair } = await makeKey();
    const checksFor = async (clientId: string) => {
      const counter = countSignatures();
      const { status } = await ask(clientId, { kind: 'key', pair });
      expect(status).toBe(401);
      return counter.stop();
    };
    const expected = await checksFor(generateClientId());
    // One is that of the assertion, which this process makes.
    expect(expected).toBeGreaterThan(1);
    expect(await checksFor(id)).toBe(expected);
  });

  it.each(turns)(
    'accepts only the restored %s after the previous version has undone a rotation to a %s',
    async (from, to) => {
      const make = async (kind: string) => (makers[kind] as () => Promise<Replacing>)();
      const { id, proof: old } = await register(await make(from));
      const { proof } = await replace(id, await make(to));
      const { database, change, clock } = server.core;
      const [undone, revived] = (await findKnownClient(database, id))?.secrets ?? [];
      if (!undone || !revived) throw new Error('The rotation stored no secrets.');
      // The previous version leaves the registration as it is.
      const at = new Date(clock());
      await change(async (transaction) => {
        await saveSecretEnd(transaction, { ...undone, retiresAt: at, endedAs: 'undone' });
        await saveSecretEnd(transaction, { ...revived, retiresAt: null });
        await recordChange(transaction, { kind: 'client', target: id, at });
      });
      expect([(await ask(id, old)).status, (await ask(id, proof)).status]).toEqual([200, 401]);
    },
  );

  it('ends the grace period by evidence once every source signs with the new key', async () => {
    const { id, proof: old } = await register(await makeKey());
    await token(id, old);
    const { proof } = await replace(id, await makeKey(), { finish_when_unused: true, overlap_seconds: 604_800 });
    await token(id, proof);
    now += 2 * hour;
    await server.core.usage.flush();
    const [regeneration] = await regenerations(id);
    expect(regeneration).toMatchObject({ state: 'overlapping', moved: [{ address: web }], still_using_old: [] });
    await finishUnused({ ...server.core, lockOwner: lockSecretOwner });
    expect(await regenerations(id)).toMatchObject([{ state: 'finished', ended_by: 'Keyturn' }]);
    expect([(await ask(id, old)).status, (await ask(id, proof)).status]).toEqual([401, 200]);
  });
});
