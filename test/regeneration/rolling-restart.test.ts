import { Agent } from 'node:http';
import fc from 'fast-check';
import { type Answer, post } from '../oauth/http-client.ts';
import { createWorld, day, hour, minute, type World } from './world.ts';

/** Programs behind a proxy that appends the port of each connection to the forwarded address, as some gateways do. */
const proxy = '127.0.0.2';
const sharedAddress = '203.0.113.7';
const agent = new Agent({ keepAlive: true });

let world: World;
let connections = 0;

beforeAll(async () => {
  world = await createWorld({ env: { KEYTURN_TRUST_PROXY: proxy, KEYTURN_FAILURES_PER_MINUTE: '0' } });
});
afterAll(async () => {
  agent.destroy();
  await world.close();
});

type Program = { secret: string; name?: string | undefined };

/** Requests a token through the proxy, from a port that no other connection had. */
async function ask(id: string, { secret, name }: Program): Promise<Answer> {
  connections += 1;
  const forwarded = `${sharedAddress}:${1_024 + (connections % 60_000)}`;
  const headers = {
    'User-Agent': 'shop/1.0',
    'X-Forwarded-For': forwarded,
    ...(name === undefined ? {} : { 'Keyturn-Instance': name }),
  };
  const form = { grant_type: 'client_credentials' };
  return await post(`${world.publicUrl}/oauth2/token`, form, { basic: [id, secret], headers, from: proxy, agent });
}

async function create(): Promise<{ id: string; secret: string }> {
  const { json } = await world.adminFetch('/clients', { method: 'POST', body: { name: 'Shop', kind: 'integration' } });
  if (!json.client_id) throw new Error(JSON.stringify(json));
  return { id: json.client_id, secret: json.client_secret };
}

/** Rotates the secret with a grace period of 30 days that ends early. Returns the new secret. */
async function rotate(id: string): Promise<string> {
  const path = `/clients/${id}`;
  const review = await world.adminFetch(`${path}/regeneration/review`, { method: 'POST', body: {} });
  const { confirmation } = review.json;
  const body = { confirmation, finish_when_unused: true, overlap_seconds: 2_592_000 };
  return (await world.adminFetch(`${path}/regenerate`, { method: 'POST', body })).json.client_secret;
}

it('does not end the grace period while the second of two programs behind a proxy that appends ports still needs it', async () => {
  const { id, secret: old } = await create();
  expect((await ask(id, { secret: old })).status).toBe(200);
  const fresh = await rotate(id);
  world.pass(minute);
  expect((await ask(id, { secret: fresh })).status).toBe(200);
  world.pass(59 * minute);
  // All connections of both programs are one source, whatever their ports.
  expect(await world.progress(id)).toMatchObject({
    state: 'overlapping',
    moved: [],
    still_using_old: [{ address: sharedAddress, reason: 'used_previous_recently' }],
    using_new: [{ address: sharedAddress }],
  });
  expect((await ask(id, { secret: old })).status).toBe(200);
  world.pass(hour);
  expect((await world.progress(id)).state).toBe('overlapping');
  // The second program has moved too, so it does not ask with the previous secret again.
  expect((await ask(id, { secret: fresh })).status).toBe(200);
  const { still_using_old: still } = await world.progress(id);
  world.pass(Date.parse(still[0].counts_as_moved_at) - world.now() - 1);
  expect((await world.progress(id)).state).toBe('overlapping');
  world.pass(1);
  expect(await world.progress(id)).toMatchObject({ state: 'finished', ended_by: 'Keyturn' });
});

/** One of twenty replicas. @property restartsAt when it restarts with the new secret, in milliseconds from the rotation. */
type Replica = { everyMs: number; offsetMs: number; restartsAt: number };

const replicas = 20;
const spread = 4 * hour;
const runs = Number(process.env['ROLLING_RESTART_RUNS'] ?? 2);

/** Replicas that ask at least once in a token lifetime, or less often, and restart one after the other in any order. */
function arbitraryReplicas(longestMinutes: number): fc.Arbitrary<Replica[]> {
  const replica = fc.record({
    everyMs: fc.integer({ min: longestMinutes - 20, max: longestMinutes }).map((minutes) => minutes * minute),
    offsetMs: fc.integer({ min: 0, max: 19 }).map((minutes) => minutes * minute),
    restartsAt: fc.integer({ min: 1, max: spread / minute }).map((minutes) => minutes * minute),
  });
  return fc.array(replica, { minLength: replicas, maxLength: replicas });
}

type Request = { at: number; replica: number; secret: 'old' | 'new' };

/** Lists the requests of all replicas in the order of their times, in milliseconds from the rotation. */
function requestsOf(all: readonly Replica[]): Request[] {
  const requests = all.flatMap(({ everyMs, offsetMs, restartsAt }, replica) => {
    const own: Request[] = [{ at: restartsAt, replica, secret: 'new' }];
    // Each replica was used twice before the rotation.
    for (let at = offsetMs - 2 * everyMs; at < restartsAt; at += everyMs) own.push({ at, replica, secret: 'old' });
    for (let at = restartsAt + everyMs; at < spread + 2 * hour; at += everyMs) own.push({ at, replica, secret: 'new' });
    return own;
  });
  return requests.sort((a, b) => a.at - b.at);
}

/** Runs a rolling restart. Returns the requests that failed, and the state of the rotation a day later. */
async function roll(all: readonly Replica[], nameOf: (replica: number) => string | undefined) {
  const { id, secret: old } = await create();
  const requests = requestsOf(all);
  const startsAt = (requests[0]?.at ?? 0) - minute;
  let passed = startsAt;
  let fresh: string | undefined;
  const failed: (Request & { status: number })[] = [];
  const goTo = async (at: number) => {
    world.pass(at - passed);
    passed = at;
    if (fresh === undefined && at >= 0) fresh = await rotate(id);
  };
  for (const request of requests) {
    if (request.at > passed) await goTo(request.at);
    const secret = request.secret === 'old' ? old : (fresh ?? '');
    // If the grace period can end between two requests with the old secret, it can also end right before the second.
    if (request.secret === 'old' && fresh !== undefined) await world.lookAfterOverlaps();
    const { status } = await ask(id, { secret, name: nameOf(request.replica) });
    if (status !== 200) failed.push({ ...request, status });
  }
  await goTo(passed + 2 * day);
  return { failed, state: (await world.progress(id)).state };
}

it('refuses no replica during a rolling restart in any order, if each asks at least once in a token lifetime', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryReplicas(59), async (all) => {
      expect(await roll(all, () => undefined)).toEqual({ failed: [], state: 'finished' });
    }),
    { numRuns: runs, endOnFailure: true },
  );
});

it('refuses no replica that names its instance during a rolling restart in any order, however rarely it asks', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryReplicas(8 * 60), async (all) => {
      expect(await roll(all, (replica) => `pod-${replica}`)).toEqual({ failed: [], state: 'finished' });
    }),
    { numRuns: runs, endOnFailure: true },
  );
});
