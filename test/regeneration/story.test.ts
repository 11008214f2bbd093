import { eventually } from '../eventually.ts';
import { createWorld, day, hour, minute, second, type World } from './world.ts';

/** Tests regenerating over HTTP only, with a clock that the tests move. Each test continues from the previous one. */
describe('regenerating a client secret', () => {
  let world: World;
  const web = { from: '127.0.0.11', userAgent: 'shop-web/3.1' };
  const nightly = { from: '127.0.0.12', userAgent: 'shop-nightly/1.0' };

  beforeEach(async () => {
    world = await createWorld();
  });
  afterEach(async () => {
    await world.close();
  });

  it('keeps both secrets valid during the grace period and shows who has moved, until the old secret ends on its date', async () => {
    const { shop: old, askToken, post, adminFetch } = world;

    // The shop runs on two machines.
    await world.token(old, nightly);
    world.pass(2 * hour);
    await world.token(old, web);
    const early = await world.token(old, web);

    // The operator reviews what regenerating would break.
    const review = await post('/regeneration/review');
    expect(review.json).toMatchObject({
      expires_in: 600,
      impact: {
        last_used_at: new Date(world.now()).toISOString(),
        used_by: [
          { address: '127.0.0.11', user_agent: 'shop-web/3.1', tokens_24h: 2 },
          { address: '127.0.0.12', user_agent: 'shop-nightly/1.0', tokens_24h: 1 },
        ],
        tokens_24h: 3,
        // The token of the nightly job has expired.
        awaits_first_use: false,
        live_tokens: 2,
        retiring_secret: null,
      },
    });

    // Without the confirmation of a review, nothing is regenerated and the response contains a review.
    const unseen = await post('/regenerate', {});
    expect(unseen).toMatchObject({ status: 428, json: { code: 'confirmation_required' } });
    expect(unseen.json.review.impact).toEqual(review.json.impact);

    // With the confirmation, a new secret is created and the old one ends in a day.
    const regenerated = await post('/regenerate', { confirmation: review.json.confirmation });
    expect(regenerated.status).toBe(201);
    expect(regenerated.headers.get('cache-control')).toBe('no-store');
    expect(regenerated.json).toEqual({
      regeneration_id: expect.any(String),
      client_id: old.id,
      client_secret: expect.stringMatching(/^kts_/),
      previous: { client_id: old.id, retires_at: new Date(world.now() + day).toISOString() },
    });
    const fresh = { id: old.id, secret: regenerated.json.client_secret };
    const regeneratedAt = world.now();
    const endsAt = new Date(regeneratedAt + day);

    // Both secrets work, and so does every token.
    world.pass(minute);
    expect(await world.isLive(early)).toBe(true);
    const withOld = await askToken(old, web);
    const withNew = await askToken(fresh, web);
    expect([withOld.status, withNew.status]).toEqual([200, 200]);

    // Responses to the old secret announce its end.
    expect(withOld.headers['deprecation']).toBe(`@${Math.floor(regeneratedAt / 1_000)}`);
    expect(withOld.headers['sunset']).toBe(endsAt.toUTCString());
    expect(withNew.headers).not.toHaveProperty('deprecation');
    expect(withNew.headers).not.toHaveProperty('sunset');
    expect((await askToken(old, web, { scope: 'nonsense' })).headers['sunset']).toBe(endsAt.toUTCString());

    // The client's regenerations show who has moved. The web machine has used the old secret once more.
    world.pass(minute);
    await world.token(fresh, web);
    world.pass(hour);
    let [regeneration] = await world.regenerations();
    expect(regeneration).toMatchObject({
      state: 'overlapping',
      moved: [{ address: '127.0.0.11' }],
      still_using_old: [{ address: '127.0.0.12' }],
      using_new: [{ address: '127.0.0.11' }],
      tried_after_end: [],
    });
    const page = await adminFetch(`/clients/${old.id}`);
    expect(page.json).toMatchObject({
      retires_at: endsAt.toISOString(),
      secrets: [
        { status: 'current', hint: `…${fresh.secret.slice(-4)}`, retires_at: null },
        { status: 'retiring', hint: `…${old.secret.slice(-4)}`, retires_at: endsAt.toISOString() },
      ],
    });

    // The old secret works until the last millisecond before its end, and not at its end.
    const last = await (async () => {
      world.pass(endsAt.getTime() - world.now() - 1);
      return await world.token(old, nightly);
    })();
    world.pass(1);
    const refused = await askToken(old, nightly);
    expect(refused.status).toBe(401);
    const wrong = await askToken({ id: old.id, secret: old.secret.replace(/.$/, 'x') }, nightly);
    expect([refused.text, refused.headers['www-authenticate']]).toEqual([
      wrong.text,
      wrong.headers['www-authenticate'],
    ]);
    expect(refused.headers).not.toHaveProperty('sunset');
    expect(await world.works(fresh)).toBe(true);

    // Tokens obtained with the old secret stay valid, because only the secret has ended.
    expect(await world.isLive(last)).toBe(true);

    // The operator sees which sources still try the old secret.
    [regeneration] = await world.regenerations();
    expect(regeneration).toMatchObject({
      state: 'finished',
      ended_at: endsAt.toISOString(),
      ended_by: null,
      tried_after_end: [
        {
          address: '127.0.0.12',
          user_agent: 'shop-nightly/1.0',
          refused: 1,
          last_seen_at: new Date(world.now()).toISOString(),
        },
      ],
    });
    const usage = await adminFetch(`/clients/${old.id}/usage?hours=48`);
    expect(usage.json).toMatchObject({
      secrets: [
        { status: 'current', issued: 3, refused: {} },
        { status: 'ended', issued: 5, refused: { invalid_scope: 1, retired_secret: 1 } },
      ],
    });

    // After its end, the regeneration can neither be undone nor finished.
    expect(await post(`/regenerations/${regeneration.id}/undo`)).toMatchObject({
      status: 409,
      json: { code: 'regeneration_finished' },
    });
    expect(await post(`/regenerations/${regeneration.id}/finish`)).toMatchObject({ status: 409 });
  });

  it('can be undone, which ends the new secret and its tokens at once', async () => {
    const { shop: old, post } = world;
    const before = await world.token(old);
    const { json, credentials: fresh } = await world.regenerate();
    const withNew = await world.token(fresh);
    const withOld = await world.token(old);
    expect(await world.isLive(withNew)).toBe(true);

    const undone = await post(`/regenerations/${json.regeneration_id}/undo`);
    expect(undone).toMatchObject({ status: 200, json: { state: 'undone', previous: { retires_at: null } } });

    // The old secret is current again; the new one and its tokens are revoked at once.
    expect(await world.works(old)).toBe(true);
    expect((await world.askToken(old)).headers).not.toHaveProperty('sunset');
    expect(await world.works(fresh)).toBe(false);
    expect(await Promise.all([before, withOld, withNew].map(world.isLive))).toEqual([true, true, false]);

    // The undo is permanent: the former end of the old secret no longer applies.
    world.pass(31 * day);
    expect(await world.works(old)).toBe(true);
    expect(await post(`/regenerations/${json.regeneration_id}/undo`)).toMatchObject({
      status: 409,
      json: { code: 'regeneration_undone' },
    });
    const [regeneration] = await world.regenerations();
    expect(regeneration.tried_after_end).toMatchObject([{ user_agent: 'shop/1.0', refused: 1 }]);

    // The next regeneration works like the first.
    const { credentials: next } = await world.regenerate();
    expect([await world.works(old), await world.works(fresh), await world.works(next)]).toEqual([true, false, true]);
  });

  it('can be finished early by an operator', async () => {
    const { json, credentials: fresh } = await world.regenerate({ overlap_seconds: 2_592_000 });
    const withOld = await world.token(world.shop);
    expect(await world.post(`/regenerations/${json.regeneration_id}/finish`)).toMatchObject({
      status: 200,
      json: { state: 'finished', ended_by: expect.stringContaining('Operator') },
    });
    expect([await world.works(world.shop), await world.works(fresh)]).toEqual([false, true]);
    expect(await world.isLive(withOld)).toBe(true);
  });

  it('can be given a later end, which every answer to the old secret announces, but none more than 30 days ahead', async () => {
    const { shop: old, now, pass, post, works, askToken } = world;
    const { json, credentials: fresh } = await world.regenerate({ overlap_seconds: 3_600 });
    const path = `/regenerations/${json.regeneration_id}/extend`;
    const extend = (ms: number) => post(path, { retires_at: new Date(now() + ms).toISOString() });
    for (const [ms, says] of [
      [3_600_000, 'must be after'],
      [-1_000, 'must be after'],
      [30 * day + 1_000, '30 days from now'],
    ] as const) {
      const answer = await extend(ms);
      expect([ms, answer.status, answer.json.issues?.[0]]).toEqual([
        ms,
        400,
        { path: 'retires_at', message: expect.stringContaining(says) },
      ]);
    }
    expect((await post(path, {})).status).toBe(400);

    const end = new Date(now() + 2 * day);
    expect(await extend(2 * day)).toMatchObject({
      status: 200,
      json: { state: 'overlapping', previous: { retires_at: end.toISOString() } },
    });
    expect((await askToken(old)).headers['sunset']).toBe(end.toUTCString());
    pass(2 * day - second);
    expect([await works(old), await works(fresh)]).toEqual([true, true]);
    pass(second);
    expect([await works(old), await works(fresh)]).toEqual([false, true]);
    expect(await extend(day)).toMatchObject({ status: 409, json: { code: 'regeneration_finished' } });
    const events = (await world.adminFetch('/audit-events?action=client.extend_regeneration')).json.data;
    expect(events).toMatchObject([{ target: old.id, after: { retires_at: end.toISOString() } }]);
  });

  it('with a new Client ID keeps two pairs that cannot be mixed, both of one client', async () => {
    const { shop: old, adminFetch, post } = world;
    const { status, json, credentials: fresh } = await world.regenerate({ new_client_id: true });
    expect(status).toBe(201);
    expect(fresh.id).not.toBe(old.id);
    expect(json.previous.client_id).toBe(old.id);

    const mixed = [
      { id: old.id, secret: fresh.secret },
      { id: fresh.id, secret: old.secret },
    ];
    expect([await world.works(old), await world.works(fresh)]).toEqual([true, true]);
    expect(await Promise.all(mixed.map(world.works))).toEqual([false, false]);

    // Both ids identify the same client, so a change applies to both.
    expect((await adminFetch(`/clients/${old.id}`)).json).toEqual((await adminFetch(`/clients/${fresh.id}`)).json);
    const tokens = [await world.token(old), await world.token(fresh)];
    expect(await Promise.all(tokens.map(world.isLive))).toEqual([true, true]);
    await adminFetch(`/clients/${old.id}/tokens/revoke`, { method: 'POST' });
    expect(await Promise.all(tokens.map(world.isLive))).toEqual([false, false]);

    const mine = await world.token(old);
    await world.revoke(fresh, mine);
    expect(await world.isLive(mine)).toBe(false);
    const usage = await adminFetch(`/clients/${old.id}/usage`);
    expect(usage.json.secrets).toMatchObject([
      { client_id: fresh.id, issued: 2, used: 1 },
      { client_id: old.id, issued: 3 },
    ]);

    await post(`/regenerations/${json.regeneration_id}/undo`);
    expect((await adminFetch(`/clients/${fresh.id}`)).json.client_id).toBe(old.id);
    expect([await world.works(old), await world.works(fresh)]).toEqual([true, false]);
  });

  it('after a leak revokes every live token and ends the old secret at once', async () => {
    const tokens = [await world.token(world.shop), await world.token(world.shop)];
    const { json, credentials: fresh } = await world.regenerate({ revoke_tokens: true });
    expect(json.previous.retires_at).toBe(new Date(world.now()).toISOString());
    expect(await Promise.all(tokens.map(world.isLive))).toEqual([false, false]);
    expect([await world.works(world.shop), await world.works(fresh)]).toEqual([false, true]);
    expect(await world.post(`/regenerations/${json.regeneration_id}/undo`)).toMatchObject({ status: 409 });
  });

  it('leaves the API authorization token valid, which is replaced and revoked separately', async () => {
    const issue = async () => (await world.post('/authorization-token')).json.access_token as string;
    const token = await issue();
    const { json, credentials } = await world.regenerate();
    expect(await world.isLive(token)).toBe(true);
    await world.post(`/regenerations/${json.regeneration_id}/undo`);
    expect(await world.isLive(token)).toBe(true);

    const { credentials: next } = await world.regenerate();
    const replaced = await issue();
    expect(await Promise.all([token, replaced].map(world.isLive))).toEqual([false, true]);
    expect(await Promise.all([world.shop, credentials, next].map(world.works))).toEqual([true, false, true]);

    await world.regenerate({ revoke_tokens: true });
    expect(await world.isLive(replaced)).toBe(false);
  });

  it('rejects unknown fields', async () => {
    const confirmation = (await world.post('/regeneration/review')).json.confirmation as string;
    for (const wrong of [
      { overlap_seconds: -1 },
      { overlap_seconds: 2_592_001 },
      { overlap_seconds: 1.5 },
      { overlap_seconds: '60' },
      { revoke_tokens: 'yes' },
      { retires_at: '2030-01-01T00:00:00Z' },
    ]) {
      expect(await world.post('/regenerate', { confirmation, ...wrong })).toMatchObject({ status: 400 });
    }
    expect(await world.adminFetch(`/clients/${world.shop.id}/usage?hours=721`)).toMatchObject({ status: 400 });
    expect(await world.post('/regenerations/none/undo')).toMatchObject({ status: 404 });
    expect(await world.post('/regenerate', { confirmation })).toMatchObject({ status: 201 });
  });

  it('is listed in pages', async () => {
    for (let count = 0; count < 3; count++) await world.regenerate({ overlap_seconds: 0 });
    const path = `/clients/${world.shop.id}/regenerations`;
    const { json: first } = await world.adminFetch(`${path}?limit=2`);
    const { json: second } = await world.adminFetch(`${path}?limit=2&cursor=${first.next_cursor}`);
    const ids = [...first.data, ...second.data].map(({ id }) => id);
    expect([first.data.length, second.data.length, new Set(ids).size, second.next_cursor]).toEqual([2, 1, 3, null]);
    expect(ids).toEqual((await world.regenerations()).map(({ id }) => id));
  });

  it('during a grace period warns in the review and ends the older secret at once', async () => {
    const first = world.shop;
    const { credentials: middle } = await world.regenerate();
    await world.token(first, nightly);
    const review = await world.post('/regeneration/review');
    expect(review.json.impact.retiring_secret).toMatchObject({
      client_id: first.id,
      hint: `…${first.secret.slice(-4)}`,
      used_by: [{ address: '127.0.0.12' }],
      tokens_24h: 1,
    });
    const { credentials: newest } = await world.regenerate();
    expect(await Promise.all([first, middle, newest].map(world.works))).toEqual([false, true, true]);
    expect((await world.regenerations()).map(({ state }) => state)).toEqual(['overlapping', 'finished']);
  });

  it('ends the grace period early once every source has used the new secret and stopped using the old one', async () => {
    const { shop: old } = world;
    await world.token(old, nightly);
    world.pass(20 * hour);
    await world.token(old, web);
    const { credentials: fresh } = await world.regenerate({ finish_when_unused: true, overlap_seconds: 1_000_000 });

    // The nightly program was silent today, which does not mean that it has moved.
    world.pass(minute);
    await world.token(fresh, web);
    world.pass(hour);
    await world.lookAfterOverlaps();
    expect((await world.regenerations())[0]).toMatchObject({ state: 'overlapping', moved: [{ address: web.from }] });

    world.pass(3 * hour);
    await world.token(fresh, nightly);
    await world.lookAfterOverlaps();
    expect((await world.regenerations())[0]).toMatchObject({ state: 'finished', ended_by: 'Keyturn' });
    expect([await world.works(old), await world.works(fresh)]).toEqual([false, true]);
    const audited = await world.adminFetch('/audit-events?action=client.finish_regeneration');
    expect(audited.json.data).toMatchObject([{ actor: 'keyturn', target: old.id }]);
  });

  it('does not end the grace period while several machines behind one address move one by one', async () => {
    const { shop: old } = world;
    await world.token(old, web);
    const { credentials: fresh } = await world.regenerate({ finish_when_unused: true, overlap_seconds: 1_000_000 });
    world.pass(minute);
    await world.token(fresh, web);
    world.pass(minute);
    await world.token(old, web);
    world.pass(minute);
    await world.token(fresh, web);
    await world.lookAfterOverlaps();
    expect(await world.works(old)).toBe(true);
    expect((await world.regenerations())[0].still_using_old).toHaveLength(2);

    // After a token lifetime and a minute without the old secret, no program still has it. The grace period ends
    // without a request.
    world.pass(hour + minute);
    await world.token(fresh, { userAgent: 'shop/1.0' });
    await eventually(async () => (await world.regenerations())[0].state === 'finished');
    expect(await world.works(old)).toBe(false);
  });

  it('does not end the grace period while one of two programs with the same address and user agent has not moved', async () => {
    const { shop: old } = world;
    await world.token(old, web);
    const { credentials: fresh } = await world.regenerate({ finish_when_unused: true, overlap_seconds: 1_000_000 });
    world.pass(minute);
    await world.token(fresh, web);
    // The second program requests a token shortly before the previous one expires.
    world.pass(58 * minute);
    await world.lookAfterOverlaps();
    const progress = async () => (await world.regenerations())[0];
    expect(await progress()).toMatchObject({
      state: 'overlapping',
      moved: [],
      still_using_old: [{ address: web.from }],
    });
    await world.token(old, web);
    await world.token(fresh, web);

    world.pass(hour + minute - 1);
    await world.lookAfterOverlaps();
    expect(await progress()).toMatchObject({ state: 'overlapping', moved: [] });
    world.pass(1);
    await world.lookAfterOverlaps();
    expect(await progress()).toMatchObject({ state: 'finished', ended_by: 'Keyturn' });
  });

  it('does not end the grace period before a program was silent as long as ever before, over all its secrets', async () => {
    const { shop: first } = world;
    await world.token(first, nightly);
    world.pass(day);
    await world.token(first, nightly);
    const { credentials: second } = await world.regenerate({ overlap_seconds: 0 });
    world.pass(minute);
    await world.token(second, nightly);
    const { credentials: third } = await world.regenerate({ finish_when_unused: true, overlap_seconds: 1_000_000 });
    world.pass(minute);
    await world.token(third, nightly);
    const progress = async () => {
      await world.lookAfterOverlaps();
      return (await world.regenerations())[0];
    };
    world.pass(day - minute - 1);
    expect(await progress()).toMatchObject({ state: 'overlapping', still_using_old: [{ address: nightly.from }] });
    world.pass(1);
    expect(await progress()).toMatchObject({ state: 'finished' });
  });

  it('does not end the grace period while the old secret is used from an unreadable address', async () => {
    await world.regenerate({ finish_when_unused: true, overlap_seconds: 1_000_000 });
    const [row] = await world.core.database.query<{ id: string }>('SELECT id FROM clients WHERE client_id = $1', [
      world.shop.id,
    ]);
    for (const generation of [1, 2]) {
      const secret = { owner: row?.id ?? '', generation, epoch: 0 };
      world.core.usage.issued(secret, { address: 'unknown', userAgent: 'shop/1.0' }, 3_600);
    }
    world.pass(day);
    await world.lookAfterOverlaps();
    expect((await world.regenerations())[0]).toMatchObject({ state: 'overlapping', moved: [], still_using_old: [{}] });
  });

  it('accepts a confirmation for ten minutes, and only for the reviewed state', async () => {
    const { post, adminFetch, shop } = world;
    const confirm = async () => (await post('/regeneration/review')).json.confirmation as string;
    const isStale = async (confirmation: string) =>
      (await post('/regenerate', { confirmation, overlap_seconds: 60 })).status === 428;

    let confirmation = await confirm();
    world.pass(600 * second);
    expect(await isStale(confirmation)).toBe(true);
    confirmation = await confirm();
    world.pass(599 * second);
    expect(await isStale(confirmation)).toBe(false);

    // The grace period has ended.
    confirmation = await confirm();
    world.pass(minute);
    expect(await isStale(confirmation)).toBe(true);

    // The client was changed.
    confirmation = await confirm();
    await adminFetch(`/clients/${shop.id}`, { method: 'PATCH', body: { name: 'Shop 2' } });
    expect(await isStale(confirmation)).toBe(true);

    // A source uses the secret that did not exist at the time of the review.
    const { credentials } = await world.regenerate({ overlap_seconds: 0 });
    confirmation = await confirm();
    await world.token(credentials, web);
    expect(await isStale(confirmation)).toBe(true);

    // The confirmation is for another client.
    const other = await adminFetch(`/clients/${world.api.id}/regeneration/review`, { method: 'POST' });
    expect(await isStale(other.json.confirmation)).toBe(true);
    for (const junk of ['', 'v1', 'v1.9999999999.AAAA', '...', 'v9.9999999999.AAAA']) {
      expect(await isStale(junk)).toBe(true);
    }
  });
});
