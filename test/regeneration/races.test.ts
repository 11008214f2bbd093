import { startTestServer, type TestServer } from '../harness.ts';
import { post } from '../oauth/http-client.ts';
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
