import { type AdminAnswer, type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { post } from '../oauth/http-client.ts';
import { askWith, jwkOf, makeKey, makeSelfSigned, type Proof, proofEnv, registrationOf } from './proof.ts';
import { createWorld, type World } from './world.ts';

const rounds = 15;

/** Runs two operations at once repeatedly. The result must be correct whichever comes first. */
describe('a regeneration at the same time as', () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });
  afterEach(async () => {
    await world.close();
  });

  const confirm = async () => (await world.post('/regeneration/review')).json.confirmation as string;

  it('one by another operator returns a secret to one of them and a new review to the other', async () => {
    let current = world.shop;
    for (let round = 0; round < rounds; round++) {
      const confirmations = [await confirm(), await confirm(), await confirm()];
      const answers = await Promise.all(
        confirmations.map((confirmation) => world.post('/regenerate', { confirmation })),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 428, 428]);
      const won = answers.find(({ status }) => status === 201);
      const stale = answers.find(({ status }) => status === 428);
      expect(stale?.json.review.impact.retiring_secret.hint).toBe(`…${current.secret.slice(-4)}`);
      const next = { id: current.id, secret: won?.json.client_secret };
      expect([await world.works(current), await world.works(next)]).toEqual([true, true]);
      current = next;
    }
  });

  it('an undo or a finish of the previous one lets only one of them succeed and leaves a working secret', async () => {
    let { json, credentials } = await world.regenerate();
    let before = world.shop;
    for (let round = 0; round < rounds; round++) {
      const verb = round % 2 === 0 ? 'undo' : 'finish';
      const confirmation = await confirm();
      const [regenerated, ended] = await Promise.all([
        world.post('/regenerate', { confirmation }),
        world.post(`/regenerations/${json.regeneration_id}/${verb}`),
      ]);
      const outcome = [regenerated.status, ended.status];
      expect([
        [201, 409],
        [428, 200],
      ]).toContainEqual(outcome);
      if (regenerated.status === 201) {
        const next = { id: before.id, secret: regenerated.json.client_secret };
        expect(await Promise.all([before, credentials, next].map(world.works))).toEqual([false, true, true]);
        [before, credentials] = [credentials, next];
        json = regenerated.json;
      } else {
        expect(await Promise.all([before, credentials].map(world.works))).toEqual(
          verb === 'undo' ? [true, false] : [false, true],
        );
        if (verb === 'finish') before = credentials;
        ({ json, credentials } = await world.regenerate());
      }
    }
  });

  it('a disable leaves the client disabled, and the new secret works after it is enabled again', async () => {
    for (let round = 0; round < rounds; round++) {
      const confirmation = await confirm();
      const [regenerated, disabled] = await Promise.all([
        world.post('/regenerate', { confirmation }),
        world.post('/disable'),
      ]);
      expect(disabled.status).toBe(200);
      expect([201, 428]).toContain(regenerated.status);
      const { json } = await world.adminFetch(`/clients/${world.shop.id}`);
      expect(json.status).toBe('disabled');
      await world.post('/enable');
      if (regenerated.status !== 201) continue;
      expect(await world.works({ id: world.shop.id, secret: regenerated.json.client_secret })).toBe(true);
    }
  });

  it('a delete leaves nothing of the client', async () => {
    for (let round = 0; round < rounds; round++) {
      const { json: client } = await world.adminFetch('/clients', {
        method: 'POST',
        body: { name: 'Short-lived', kind: 'integration' },
      });
      const page = `/clients/${client.client_id}`;
      await world.adminFetch(`${page}/disable`, { method: 'POST' });
      const { json: review } = await world.adminFetch(`${page}/regeneration/review`, { method: 'POST' });
      const [regenerated, deleted] = await Promise.all([
        world.adminFetch(`${page}/regenerate`, { method: 'POST', body: { confirmation: review.confirmation } }),
        world.adminFetch(page, { method: 'DELETE' }),
      ]);
      expect(deleted.status).toBe(204);
      expect([201, 404]).toContain(regenerated.status);
      expect(await world.adminFetch(page)).toMatchObject({ status: 404 });
    }
    const left = await world.core.database.query('SELECT 1 FROM regenerations');
    expect(left).toEqual([]);
  });

  it('its own retries with the same Idempotency-Key creates one secret and returns it to both', async () => {
    for (let round = 0; round < rounds; round++) {
      const confirmation = await confirm();
      const headers = { 'Idempotency-Key': `round ${round}` };
      const answers = await Promise.all(
        [1, 2, 3].map(() => world.post('/regenerate', { confirmation, overlap_seconds: 60 }, headers)),
      );
      expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    }
    expect(await world.regenerations()).toHaveLength(rounds);
  });
});

describe('a regeneration on several processes', () => {
  let world: World;
  let other: TestServer;

  beforeAll(async () => {
    world = await createWorld();
    other = await startTestServer({ stores: world.stores, clock: world.now });
  });
  afterAll(async () => {
    await other.close();
    await world.close();
  });

  const worksThere = async ({ id, secret }: { id: string; secret: string }) => {
    const form = { grant_type: 'client_credentials' };
    return (await post(`${other.publicUrl}/oauth2/token`, form, { basic: [id, secret] })).status === 200;
  };
  const introspectThere = async (token: string) =>
    (await post(`${other.publicUrl}/oauth2/introspect`, { token }, { basic: [world.api.id, world.api.secret] })).json[
      'active'
    ];

  it('has a confirmation that every process accepts, a grace period that ends on time everywhere, and an undo that revokes tokens', async () => {
    const { credentials } = await world.regenerate({ overlap_seconds: 3_000 });
    await other.core.feed.sync();
    expect([await worksThere(world.shop), await worksThere(credentials)]).toEqual([true, true]);

    // The date is compared where the secret is used, so the other process needs neither a message nor a timer.
    world.pass(2_999_999);
    expect(await worksThere(world.shop)).toBe(true);
    world.pass(1);
    expect([await worksThere(world.shop), await worksThere(credentials)]).toEqual([false, true]);

    const { json, credentials: undone } = await world.regenerate();
    await other.core.feed.sync();
    const token = await world.token(undone);
    expect(await introspectThere(token)).toBe(true);
    await world.post(`/regenerations/${json.regeneration_id}/undo`);
    await other.core.feed.sync();
    expect(await introspectThere(token)).toBe(false);
    expect([await worksThere(credentials), await worksThere(undone)]).toEqual([true, false]);
  });
});

describe.each(['key', 'certificate'] as const)(
  'a replacement of a %s on one of two processes at the same time as',
  (kind) => {
    type Replacing = Exclude<Proof, { kind: 'secret' }>;
    const make = async (): Promise<Replacing> => (kind === 'key' ? await makeKey() : makeSelfSigned());
    let here: AdminServer;
    let there: AdminServer;

    beforeAll(async () => {
      here = await startAdminServer({ env: proofEnv });
      there = await startAdminServer({ stores: here.stores, env: proofEnv });
    });
    afterAll(async () => {
      await there?.close();
      await here?.close();
    });

    const act = (server: AdminServer, id: string, path: string, body: object = {}, headers = {}) =>
      server.adminFetch(`/clients/${id}${path}`, { method: path === '' ? 'PATCH' : 'POST', body, headers });

    async function register(authentication: object): Promise<{ id: string; secret: string }> {
      const body = { name: 'Shop', kind: 'integration', ...authentication };
      const { json } = await here.adminFetch('/clients', { method: 'POST', body });
      return { id: json.client_id, secret: json.client_secret };
    }

    /** Returns the bodies of regenerations that were all reviewed before any of them is made. */
    const reviewed = (id: string, replacements: readonly (object | undefined)[]) =>
      Promise.all(
        replacements.map(async (replace) => {
          const asked = replace ? { replace } : {};
          const { json } = await act(here, id, '/regeneration/review', asked);
          return { ...asked, confirmation: json.confirmation as string };
        }),
      );

    /** Returns for each credential whether both processes accept it. They must agree. */
    async function accepted(id: string, proofs: readonly Proof[]): Promise<boolean[]> {
      const statusOf = async ({ publicUrl }: AdminServer, proof: Proof) => {
        const ask = () => askWith(`${publicUrl}/oauth2/token`, id, proof, { now: Date.now() });
        let { status } = await ask();
        while (status === 503) ({ status } = await ask());
        return status;
      };
      await Promise.all([here.core.feed.sync(), there.core.feed.sync()]);
      return await Promise.all(
        proofs.map(async (proof) => {
          const [one, other] = await Promise.all([statusOf(here, proof), statusOf(there, proof)]);
          expect(one).toBe(other);
          return one === 200;
        }),
      );
    }

    it('another one is made once, and the other answers with a new review', async () => {
      let old = await make();
      const { id } = await register(registrationOf(old));
      for (let round = 0; round < rounds; round++) {
        const next = [await make(), await make()] as const;
        const bodies = await reviewed(id, next.map(registrationOf));
        const answers = await Promise.all([
          act(here, id, '/regenerate', bodies[0]),
          act(there, id, '/regenerate', bodies[1]),
        ]);
        expect(answers.map(({ status }) => status).sort()).toEqual([201, 428]);
        const won = answers[0]?.status === 201 ? 0 : 1;
        expect(await accepted(id, [old, next[won], next[1 - won] as Proof])).toEqual([true, true, false]);
        old = next[won];
      }
    });

    it('a regeneration of the secret leaves the previous secret and one new credential', async () => {
      for (let round = 0; round < rounds; round++) {
        const { id, secret } = await register({});
        const next = await make();
        const bodies = await reviewed(id, [registrationOf(next), undefined]);
        const order = round % 2 === 0 ? [0, 1] : [1, 0];
        const answers: AdminAnswer[] = [];
        await Promise.all(
          order.map(async (at) => {
            answers[at] = await act(at === 0 ? here : there, id, '/regenerate', bodies[at]);
          }),
        );
        const [replaced, regenerated] = answers as [AdminAnswer, AdminAnswer];
        // A client that authenticates with keys has no secret to regenerate.
        expect([
          [201, 409],
          [428, 201],
        ]).toContainEqual([replaced.status, regenerated.status]);
        const old: Proof = { kind: 'secret', secret };
        if (replaced.status === 201) expect(await accepted(id, [old, next])).toEqual([true, true]);
        else {
          const fresh: Proof = { kind: 'secret', secret: regenerated.json.client_secret };
          expect(await accepted(id, [old, fresh, next])).toEqual([true, true, false]);
        }
      }
    });

    it('its undo and its finish ends exactly one of the two credentials', async () => {
      const ends = ['undo', 'finish'] as const;
      for (let round = 0; round < rounds; round++) {
        const [old, next] = [await make(), await make()];
        const { id } = await register(registrationOf(old));
        const [body] = await reviewed(id, [registrationOf(next)]);
        const { json } = await act(here, id, '/regenerate', body);
        const answers: Record<string, AdminAnswer> = {};
        await Promise.all(
          (round % 2 === 0 ? ends : ends.toReversed()).map(async (end, at) => {
            const path = `/regenerations/${json.regeneration_id}/${end}`;
            answers[end] = await act(at === 0 ? here : there, id, path);
          }),
        );
        const { undo: undone, finish: finished } = answers;
        const outcome = [undone?.status, finished?.status];
        expect([
          [200, 409],
          [409, 200],
        ]).toContainEqual(outcome);
        expect(await accepted(id, [old, next])).toEqual(undone?.status === 200 ? [true, false] : [false, true]);
      }
    });

    it('a PATCH of the registered keys never ends the keys in use without a review', async () => {
      for (let round = 0; round < rounds; round++) {
        const [old, next, extra] = [await make(), await make(), await make()];
        const { id } = await register(registrationOf(old));
        expect(await accepted(id, [old])).toEqual([true]);
        await here.core.usage.flush();
        await there.core.usage.flush();
        const keysOf = (proof: Replacing) => (proof.kind === 'key' ? [jwkOf(proof)] : registrationOf(proof).jwks.keys);
        const revision = (await here.adminFetch(`/clients/${id}`)).headers.get('etag') ?? '';
        const [body] = await reviewed(id, [registrationOf(next)]);
        // Every third PATCH leaves out the key in use.
        const isCutting = round % 3 === 2;
        const jwks = { keys: [...(isCutting ? [] : keysOf(old)), ...keysOf(extra)] };
        const headers = round % 2 === 0 ? { 'if-match': revision } : {};
        const [replaced, patched] = await Promise.all([
          act(here, id, '/regenerate', body),
          act(there, id, '', { jwks }, headers),
        ]);
        const [withOld, withNext, withExtra] = await accepted(id, [old, next, extra]);
        const seen = { round, replaced: replaced.status, patched: patched.status, withOld, withNext, withExtra };
        if (isCutting) {
          expect(seen).toMatchObject({ replaced: 201, withOld: true });
        } else if (replaced.status === 201 && patched.status === 200) {
          // The PATCH came second and without If-Match, and the new key was not used yet.
          expect(seen).toMatchObject({ withOld: true });
          expect(round % 2).toBe(1);
        } else {
          expect([
            {
              round,
              replaced: 201,
              patched: round % 2 === 0 ? 412 : 428,
              withOld: true,
              withNext: true,
              withExtra: false,
            },
            { round, replaced: 428, patched: 200, withOld: true, withNext: false, withExtra: true },
          ]).toContainEqual(seen);
        }
      }
    });
  },
);
