import { decodeJwt, decodeProtectedHeader } from 'jose';
import { createAccessTokenVerifier } from '../../src/resource-server/resource-server.ts';
import { privateClaims, signAccessToken } from '../../src/tokens/jwt-access-token.ts';
import type { SigningKey } from '../../src/tokens/signing-keys.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventually } from '../eventually.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, inactive, register, type TestClient } from '../oauth/fixture.ts';

const resource = 'https://reports.example/';
const issuer = 'http://localhost:4000';

let now = Date.now();
let server: AdminServer;
let beside: TestServer;
let api: ReturnType<typeof endpointsOf>;
let reports: TestClient;
let analyst: TestClient;

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now });
  beside = await startTestServer({ clock: () => now, stores: server.stores });
  api = endpointsOf(server.publicUrl);
  const input = { resource, information: ['reports'], tokenFormat: 'jwt' } as const;
  reports = await register(server.core, { name: 'Reports API', kind: 'resource_server', ...input });
  analyst = await register(server.core, { name: 'Analyst', kind: 'integration', scope: 'reports:read' });
});

afterAll(async () => {
  await beside?.close();
  await server?.close();
});

const kidOf = (token: string) => String(decodeProtectedHeader(token).kid);
const seconds = () => Math.floor(now / 1_000);
const both = () => [server.publicUrl, beside.publicUrl].map(endpointsOf);

/** Makes a token as an attacker with the stolen key would. */
async function forge(key: SigningKey, changed: Record<string, unknown>): Promise<string> {
  const claims = decodeJwt(await api.accessToken(analyst)) as unknown as Parameters<typeof signAccessToken>[2];
  return signAccessToken(key, 'at+jwt', { ...claims, jti: `forged-${Math.random()}`, ...changed });
}

async function findKey(kid: string): Promise<SigningKey> {
  const key = (await server.core.signingKeys.all()).find((one) => one.kid === kid);
  if (!key) throw new Error('no such key');
  return key;
}

const revoke = (kid: string) => server.adminFetch(`/signing-keys/${kid}/revoke`, { method: 'POST' });
const rotate = () => server.adminFetch('/signing-keys/rotate', { method: 'POST' });

async function published(): Promise<string[]> {
  const { keys } = (await (await fetch(`${server.publicUrl}/.well-known/jwks.json`)).json()) as {
    keys: { kid: string }[];
  };
  return keys.map(({ kid }) => kid);
}

async function expectInactiveEverywhere(token: string): Promise<void> {
  for (const each of both()) {
    await eventually(async () => (await each.introspect(reports, token)).text === inactive);
  }
}

describe.each(['current', 'next', 'retired'] as const)('a revoked signing key that was %s', (state) => {
  it('signs and verifies nothing on any process within a second, and new tokens are valid', async () => {
    if (state === 'retired') await rotate();
    const stolen = (await server.core.signingKeys.all()).find((key) => key.state === state) as SigningKey;
    const token = await forge(stolen, {});
    for (const each of both()) expect((await each.introspect(reports, token)).json['active']).toBe(true);

    const answer = await revoke(stolen.kid);
    // The process that revoked the key has just verified the token, and must not answer from that.
    expect((await api.introspect(reports, token)).text).toBe(inactive);
    expect(answer.status).toBe(200);
    expect(answer.json.data.map((key: { kid: string }) => key.kid)).not.toContain(stolen.kid);
    expect(answer.json.data.filter((key: { status: string }) => key.status !== 'retired')).toHaveLength(2);
    await expectInactiveEverywhere(token);
    expect(await published()).not.toContain(stolen.kid);

    const fresh = await api.accessToken(analyst);
    expect(kidOf(fresh)).not.toBe(stolen.kid);
    for (const each of both()) expect((await each.introspect(reports, fresh)).json['active']).toBe(true);
    expect((await revoke(stolen.kid)).status).toBe(404);
    const audit = await server.adminFetch(`/audit-events?target=${stolen.kid}`);
    expect(audit.json.data[0]).toMatchObject({ action: 'signing_key.revoke', before: { state } });
  });
});

it('the resource-server library rejects tokens of a revoked signing key within a second, for any iat', async () => {
  const verifier = createAccessTokenVerifier({
    issuer,
    resource,
    clientId: reports.id,
    clientSecret: reports.secret,
    fetch: (input, init) => fetch(server.publicUrl + new URL(String(input)).pathname, init),
  });
  const isAccepted = (token: string) =>
    verifier.verify(token).then(
      () => true,
      () => false,
    );
  try {
    now = Date.now() + 6_000; // a JWT is trusted if it is some seconds newer than the last change of its client
    const stolen = await server.core.signingKeys.current();
    const token = await api.accessToken(analyst);
    expect(await isAccepted(token)).toBe(true);
    await revoke(stolen.kid);
    await eventually(async () => !(await isAccepted(token)));
    expect(await isAccepted(await forge(stolen, { iat: seconds() + 30 }))).toBe(false);
    expect(await isAccepted(await api.accessToken(analyst))).toBe(true);
  } finally {
    verifier.close();
  }
});

it('publishes the token lifetime and the retirement of keys, so that verifiers can reject forged dates', async () => {
  const { kid } = await server.core.signingKeys.current();
  await rotate();
  const { keys } = (await (await fetch(`${server.publicUrl}/.well-known/jwks.json`)).json()) as { keys: object[] };
  expect(keys).toContainEqual(
    expect.objectContaining({ kid, token_lifetime: 3_600, retired_at: Math.ceil(now / 1_000) }),
  );
});

describe('a JWT of a stolen key with dates that the server never issues', () => {
  const verify = async (token: string) => {
    const asked: string[] = [];
    const verifier = createAccessTokenVerifier({
      issuer,
      resource,
      clientId: reports.id,
      clientSecret: reports.secret,
      events: false,
      fetch: (input, init) => {
        const { pathname } = new URL(String(input));
        asked.push(pathname);
        return fetch(server.publicUrl + pathname, init);
      },
    });
    const accepted = await verifier.verify(token).then(
      () => true,
      () => false,
    );
    verifier.close();
    return { accepted, asked: asked.includes('/oauth2/introspect') };
  };

  it.each<[string, () => Record<string, unknown>]>([
    ['is valid for ten years', () => ({ exp: seconds() + 315_360_000 })],
    ['is valid for a second longer than the token lifetime', () => ({ iat: seconds() - 1, exp: seconds() + 3_600 })],
    ['was issued in the future', () => ({ iat: seconds() + 62, exp: seconds() + 3_600 })],
  ])('is inactive and rejected by the library if it %s', async (_what, change) => {
    now = Date.now();
    const token = await forge(await server.core.signingKeys.current(), change());
    expect((await api.introspect(reports, token)).text).toBe(inactive);
    expect(await verify(token)).toEqual({ accepted: false, asked: true });
  });

  it('is inactive and rejected by the library if it was issued after the retirement of its key', async () => {
    now = Date.now();
    const { kid } = await server.core.signingKeys.current();
    await rotate();
    const [last, late] = [seconds() + 59, seconds() + 62];
    now += 65_000;
    const key = await findKey(kid);
    expect((await api.introspect(reports, await forge(key, { iat: last, exp: last + 3_600 }))).json['active']).toBe(
      true,
    );
    const token = await forge(key, { iat: late, exp: late + 3_600 });
    expect((await api.introspect(reports, token)).text).toBe(inactive);
    expect(await verify(token)).toEqual({ accepted: false, asked: true });
  });

  it('is inactive if its epoch is not that of its client', async () => {
    now = Date.now();
    const { [privateClaims]: own } = decodeJwt(await api.accessToken(analyst)) as {
      [privateClaims]: { epoch: number; generation: number };
    };
    const forgeOwn = async (changed: object) =>
      await forge(await server.core.signingKeys.current(), { [privateClaims]: { ...own, ...changed } });
    expect((await api.introspect(reports, await forgeOwn({}))).json['active']).toBe(true);
    for (const changed of [{ epoch: own.epoch + 1 }, { epoch: undefined }, { epoch: null }]) {
      expect((await api.introspect(reports, await forgeOwn(changed))).text).toBe(inactive);
    }
    const without = await forge(await server.core.signingKeys.current(), { [privateClaims]: undefined });
    expect((await api.introspect(reports, without)).text).toBe(inactive);
  });
});

it('every process accepts a token of a process with a longer token lifetime', async () => {
  now = Date.now();
  const longer = await startTestServer({
    clock: () => now,
    stores: server.stores,
    env: { KEYTURN_ACCESS_TOKEN_TTL: '7200' },
  });
  const token = await endpointsOf(longer.publicUrl).accessToken(analyst);
  await eventually(async () => (await api.introspect(reports, token)).json['active'] === true);
  await longer.close();
});
