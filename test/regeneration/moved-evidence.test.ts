import { createWorld, day, hour, minute, type World } from './world.ts';

const web = { from: '127.0.0.11', userAgent: 'shop-web/3.1' };
const nightly = { from: '127.0.0.12', userAgent: 'shop-nightly/1.0' };

describe('the progress of a rotation', () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });
  afterEach(async () => {
    await world.close();
  });

  const reasonOf = async (address: string) => {
    const { moved, still_using_old: still } = await world.progress();
    const { reason, counts_as_moved_at: at } = [...moved, ...still].find((source) => source.address === address);
    return [reason, at];
  };
  const time = (at: number) => new Date(at).toISOString();

  it('says of each source why it does not count as moved yet and from when it will, and keeps to that time', async () => {
    const { shop: old } = world;
    await world.token(old, nightly);
    world.pass(5 * hour);
    await world.token(old, nightly);
    await world.token(old, web);
    const usedAt = world.now();
    const review = (await world.post('/regeneration/review')).json.impact.used_by;
    expect(review).toMatchObject([
      { address: web.from, reason: 'never_seen_with_new', counts_as_moved_at: null, required_silence_seconds: 3_660 },
      { address: nightly.from, reason: 'never_seen_with_new', required_silence_seconds: 5 * 3_600 },
    ]);

    const { credentials: fresh } = await world.regenerate({ overlap_seconds: 1_000_000 });
    expect(await reasonOf(web.from)).toEqual(['never_seen_with_new', null]);
    world.pass(minute);
    await world.token(fresh, web);
    await world.token(fresh, nightly);
    const webMovesAt = usedAt + hour + minute;
    expect(await reasonOf(web.from)).toEqual(['used_previous_recently', time(webMovesAt)]);
    world.pass(hour - 1);
    expect(await reasonOf(web.from)).toEqual(['used_previous_recently', time(webMovesAt)]);
    world.pass(1);
    expect(await reasonOf(web.from)).toEqual(['moved', time(webMovesAt)]);

    // The nightly program has been silent for five hours before.
    expect(await reasonOf(nightly.from)).toEqual(['silent_less_than_usual', time(usedAt + 5 * hour)]);
    world.pass(4 * hour - minute - 1);
    expect((await reasonOf(nightly.from))[0]).toBe('silent_less_than_usual');
    // The review of another rotation shows the same for the secret that it would end.
    const retiring = (await world.post('/regeneration/review')).json.impact.retiring_secret.used_by;
    expect(retiring.map((source: { reason: string }) => source.reason).sort()).toEqual([
      'moved',
      'silent_less_than_usual',
    ]);
    world.pass(1);
    expect((await reasonOf(nightly.from))[0]).toBe('moved');
  });

  it('names live tokens, an unreadable address and merged sources as reasons', async () => {
    const { shop: old } = world;
    await world.adminFetch(`/clients/${old.id}`, { method: 'PATCH', body: { access_token_ttl: 86_400 } });
    await world.token(old, web);
    const expiresAt = Math.floor(world.now() / minute) * minute + minute + day;
    const { credentials: fresh } = await world.regenerate({ overlap_seconds: 1_000_000 });
    world.pass(minute);
    await world.token(fresh, web);
    await world.adminFetch(`/clients/${old.id}`, { method: 'PATCH', body: { access_token_ttl: null } });
    world.pass(2 * hour);
    expect(await reasonOf(web.from)).toEqual(['holds_previous_tokens', time(expiresAt)]);

    const [row] = await world.core.database.query<{ id: string }>('SELECT id FROM clients WHERE client_id = $1', [
      old.id,
    ]);
    for (const address of ['unknown', '*']) {
      world.core.usage.used({ owner: row?.id ?? '', generation: 1, epoch: 0 }, { address, userAgent: '' });
    }
    expect(await reasonOf('unknown')).toEqual(['address_unreadable', null]);
    expect(await reasonOf('*')).toEqual(['merged_sources', null]);
    const marked = await world.post(`/regenerations/${(await world.progress()).id}/mark-moved`, {
      address: '*',
      user_agent: '',
    });
    expect(marked).toMatchObject({ status: 409, json: { code: 'several_callers' } });
  });

  it('awaits as many tokens of the new secret as a source held at a time with the previous one', async () => {
    const { shop: old } = world;
    // Two programs behind one address, of which one asks right after the other.
    await world.token(old, web);
    await world.token(old, web);
    world.pass(20 * minute);
    await world.token(old, web);
    const usedAt = world.now();
    const review = (await world.post('/regeneration/review')).json.impact.used_by;
    expect(review).toMatchObject([{ live_tokens: 2, renewals_awaited: 2 }]);
    const { credentials: fresh } = await world.regenerate({ overlap_seconds: 1_000_000, finish_when_unused: true });
    const source = async () => {
      const { moved, still_using_old: still } = await world.progress();
      return [...moved, ...still][0];
    };
    expect(await source()).toMatchObject({ reason: 'never_seen_with_new', live_tokens: 2, renewals_awaited: 2 });
    world.pass(20 * minute);
    await world.token(fresh, web);
    expect(await source()).toMatchObject({
      reason: 'used_previous_recently',
      counts_as_moved_at: time(usedAt + 2 * (hour + minute)),
      live_tokens: 2,
      renewals_awaited: 1,
    });
    world.pass(30 * minute);
    expect(await source()).toMatchObject({ reason: 'used_previous_recently', live_tokens: 1 });
    // One program has moved. The other holds no token any more, but may request one.
    world.pass(usedAt + 2 * hour - world.now());
    expect(await source()).toMatchObject({ reason: 'awaits_renewals', live_tokens: 0, renewals_awaited: 1 });
    expect((await world.askToken(old, web)).status).toBe(200);
    world.pass(2 * hour);
    await world.token(fresh, web);
    world.pass(3 * hour);
    expect(await world.progress()).toMatchObject({
      state: 'finished',
      moved: [{ reason: 'moved', renewals_awaited: 0 }],
    });
  });

  it('counts the live tokens of each source by itself, and none that was revoked', async () => {
    const { shop: old } = world;
    await world.adminFetch(`/clients/${old.id}`, { method: 'PATCH', body: { access_token_ttl: 86_400 } });
    await world.token(old, nightly);
    const endsAt = Math.floor(world.now() / minute) * minute + minute + day;
    await world.adminFetch(`/clients/${old.id}`, { method: 'PATCH', body: { access_token_ttl: null } });
    world.pass(minute);
    await world.token(old, web);
    const { credentials: fresh } = await world.regenerate({ overlap_seconds: 1_000_000 });
    world.pass(minute);
    await world.token(fresh, web);
    await world.token(fresh, nightly);
    world.pass(2 * hour);
    // Only the nightly program has a token from the time of the longer lifetime.
    expect(await reasonOf(nightly.from)).toEqual(['holds_previous_tokens', time(endsAt)]);
    expect((await reasonOf(web.from))[0]).toBe('moved');
    await world.post('/tokens/revoke');
    expect((await reasonOf(nightly.from))[0]).toBe('moved');
  });

  it('counts a source as moved that an operator has marked, until it uses the previous secret again', async () => {
    const { shop: old } = world;
    const gone = { ...web, instance: 'pod-1' };
    await world.token(old, gone);
    await world.token(old, nightly);
    const { json } = await world.regenerate({ overlap_seconds: 1_000_000, finish_when_unused: true });
    const path = `/regenerations/${json.regeneration_id}/mark-moved`;
    const source = { address: web.from, user_agent: web.userAgent, instance: 'pod-1' };
    world.pass(day);
    expect(await reasonOf(web.from)).toEqual(['never_seen_with_new', null]);
    expect((await world.post(path, { ...source, instance: 'pod-2' })).status).toBe(404);
    const marked = await world.post(path, source);
    expect(marked.json.moved).toMatchObject([
      { ...source, reason: 'marked_as_moved', counts_as_moved_at: time(world.now()) },
    ]);
    const audited = await world.adminFetch('/audit-events?action=client.mark_moved');
    expect(audited.json.data).toMatchObject([
      { target: old.id, before: { reason: 'never_seen_with_new' }, after: { address: web.from, instance: 'pod-1' } },
    ]);

    // The program was not gone: it uses the previous secret again.
    world.pass(minute);
    await world.token(old, gone);
    expect(await reasonOf(web.from)).toEqual(['never_seen_with_new', null]);
    const lapsed = await world.progress();
    expect(lapsed.still_using_old.find((each: { instance: string }) => each.instance === 'pod-1')).toMatchObject({
      marked_at: marked.json.moved[0].marked_at,
      marked_by: expect.stringContaining('Operator'),
    });
    await world.post(path, source);
    expect((await world.progress()).state).toBe('overlapping');

    // The other program moves by itself, which ends the grace period, but not within a minute of the mark: another
    // process may still have a use to write that withdraws it.
    await world.token({ id: json.client_id, secret: json.client_secret }, nightly);
    world.pass(minute - 1);
    expect((await world.progress()).state).toBe('overlapping');
    world.pass(1);
    expect(await world.progress()).toMatchObject({ state: 'finished', ended_by: 'Keyturn' });
    expect((await world.post(path, source)).status).toBe(409);
  });

  it('counts a source by its evidence again when an operator withdraws the mark', async () => {
    const { shop: old } = world;
    await world.token(old, web);
    const { json, credentials: fresh } = await world.regenerate({
      overlap_seconds: 1_000_000,
      finish_when_unused: true,
    });
    const at = `/regenerations/${json.regeneration_id}`;
    const source = { address: web.from, user_agent: web.userAgent };
    expect(await world.post(`${at}/unmark-moved`, source)).toMatchObject({ status: 409, json: { code: 'not_marked' } });
    await world.post(`${at}/mark-moved`, source);
    const marked = await world.progress();
    expect(marked.moved).toMatchObject([{ reason: 'marked_as_moved', marked_by: expect.any(String) }]);
    expect(await world.post(`${at}/unmark-moved`, { ...source, instance: 'pod-1' })).toMatchObject({ status: 404 });
    const withdrawn = await world.post(`${at}/unmark-moved`, source);
    expect(withdrawn).toMatchObject({
      status: 200,
      json: { moved: [], still_using_old: [{ reason: 'never_seen_with_new', marked_at: null, marked_by: null }] },
    });
    const audited = await world.adminFetch('/audit-events?action=client.unmark_moved');
    expect(audited.json.data).toMatchObject([
      { target: old.id, before: { reason: 'marked_as_moved' }, after: { address: web.from } },
    ]);

    // Another source moves, but the one that was marked by mistake keeps the grace period open.
    await world.token(fresh, nightly);
    world.pass(day);
    expect((await world.progress()).state).toBe('overlapping');
    expect((await world.askToken(old, web)).status).toBe(200);
  });
});
