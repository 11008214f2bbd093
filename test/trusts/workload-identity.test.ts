import { constants, createHmac, KeyObject, sign } from 'node:crypto';
import type { JWTPayload } from 'jose';
import { createLog } from '../../src/observability/log.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventuallyIs } from '../eventually.ts';
import { register, registerAll, type TestClient } from '../oauth/fixture.ts';
import { type Answer, post } from '../oauth/http-client.ts';
import {
  type FakeIssuer,
  githubClaims,
  type IssuerKey,
  kubernetesClaims,
  makeIssuerKey,
  signWith,
  spiffeClaims,
  startIssuer,
} from './fake-issuer.ts';

const audience = 'http://localhost:4000';
let ahead = 0;
const clock = () => Date.now() + ahead;
let server: AdminServer;
let other: AdminServer;
let github: FakeIssuer;
let cluster: FakeIssuer;
let spire: FakeIssuer;
const clients: Record<string, TestClient> = {};
const logs: string[] = [];

const times = () => ({ now: Math.floor(clock() / 1_000), audience });
const admin = (path: string, body: object = {}, method = 'POST') => server.adminFetch(path, { method, body });

async function makeClient(name: string): Promise<string> {
  const body = { name, kind: 'integration', scope: 'orders:read', auth_method: 'workload_identity' };
  const { json, status } = await admin('/clients', body);
  if (status !== 201) throw new Error(JSON.stringify(json));
  return json.client_id as string;
}

async function trust(body: object): Promise<{ id: string }> {
  const { json, status } = await admin('/trusts', body);
  if (status !== 201) throw new Error(JSON.stringify(json));
  return json;
}

/** Presents a token of a workload as a client does (RFC 7523 §2.2). */
function present(token: string, form: Record<string, string> = {}, to = server): Promise<Answer> {
  return post(`${to.publicUrl}/oauth2/token`, {
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: token,
    ...form,
  });
}

async function tryToken(token: string) {
  const { json, status } = await admin('/trusts/test', { token });
  if (status !== 200) throw new Error(JSON.stringify(json));
  return json as {
    accepted: boolean;
    problem: string | null;
    trusts: { name: string; accepted: boolean; checks: { check: string; claim: string | null; met: boolean }[] }[];
  };
}

beforeAll(async () => {
  [github, cluster, spire] = await Promise.all([startIssuer(), startIssuer(), startIssuer('ES256')]);
  server = await startAdminServer({
    clock,
    env: {
      KEYTURN_FAILURES_PER_MINUTE: '0',
      KEYTURN_TRUST_NETWORKS: '127.0.0.0/8',
    },
    log: createLog('debug', { write: (line) => void logs.push(line) }),
  });
  other = await startAdminServer({ clock, stores: server.stores, env: { KEYTURN_TRUST_NETWORKS: '127.0.0.0/8' } });
  await registerAll(server.core);
  for (const name of ['github', 'cluster', 'spiffe']) clients[name] = { id: await makeClient(name), secret: '' };
  await trust({
    client_id: clients['github']?.id,
    name: 'deployment',
    preset: 'github',
    issuer: github.url,
    ca: github.ca,
    conditions: [
      { claim: 'repository_id', equals: '719384512' },
      { claim: 'environment', one_of: ['production', 'canary'] },
      { claim: 'ref', prefix: 'refs/heads/' },
    ],
  });
  await trust({
    client_id: clients['cluster']?.id,
    name: 'checkout',
    preset: 'kubernetes',
    issuer: cluster.url,
    ca: cluster.ca,
    max_lifetime: 7_200,
    conditions: [
      { claim: '/kubernetes.io/namespace', equals: 'shop' },
      { claim: '/kubernetes.io/serviceaccount/name', equals: 'checkout' },
    ],
  });
  await trust({
    client_id: clients['spiffe']?.id,
    name: 'checkout in SPIFFE',
    preset: 'spiffe',
    issuer: 'spiffe://example.org',
    jwks_uri: `${spire.url}/keys`,
    ca: spire.ca,
    conditions: [{ claim: 'sub', prefix: 'spiffe://example.org/ns/shop/sa/' }],
  });
  const [key] = spire.keys;
  if (key) key.jwk.use = 'jwt-svid';
});

afterEach(() => {
  ahead = 0;
});

afterAll(async () => {
  await other?.close();
  await server?.close();
  for (const issuer of [github, cluster, spire]) await issuer?.close();
  expect(logs.length).toBeGreaterThan(100);
  expect(logs.join('')).not.toContain('eyJ');
});

const good: Record<string, () => Promise<string>> = {
  github: () => github.sign(githubClaims(github.url, times())),
  cluster: () => cluster.sign(kubernetesClaims(cluster.url, times()), { header: { typ: undefined } }),
  spiffe: () => spire.sign(spiffeClaims(times())),
};

describe.each(['github', 'cluster', 'spiffe'])('a token of a workload (%s)', (name) => {
  it('authenticates its client, with and without client_id, again until it expires', async () => {
    const token = await (good[name] as () => Promise<string>)();
    const clientId = clients[name]?.id as string;
    for (const form of [{}, { client_id: clientId }, { client_id: clientId }]) {
      const answer = await present(token, { ...form, scope: 'orders:read' });
      expect(answer).toMatchObject({ status: 200, json: { token_type: 'Bearer', scope: 'orders:read' } });
    }
    const trial = await tryToken(token);
    expect(trial).toMatchObject({ accepted: true, problem: null, trusts: [{ accepted: true }] });
    const { json } = await server.adminFetch(`/clients/${clientId}`);
    await server.core.usage.flush();
    expect((await server.adminFetch(`/clients/${clientId}`)).json.keys).toMatchObject([
      { type: 'trust', status: 'current' },
    ]);
    expect(json.auth_method).toBe('workload_identity');
  });
});

it('also accepts the assertion type of JWT-SVIDs', async () => {
  const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';
  const token = await (good['spiffe'] as () => Promise<string>)();
  expect(await present(token, { client_assertion_type: type })).toMatchObject({ status: 200 });
});

const of = (changes: object) => () => github.sign(githubClaims(github.url, times(), changes));
const ofPod = (changes: object, inside: object) => () =>
  cluster.sign(kubernetesClaims(cluster.url, times(), changes, inside));
const ofSpiffe = (changes: object) => () => spire.sign(spiffeClaims(times(), changes));
const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');

/** Tokens that are almost right. @property reason the check that fails, the claim of a condition, or a text. */
const nearMisses: [string, () => Promise<string> | string, string][] = [
  ['of a fork, which has its own id', of({ repository_id: '802211334', repository: 'mallory/shop' }), 'repository_id'],
  ['of another repository with the same name', of({ repository_id: '999' }), 'repository_id'],
  ['of another environment', of({ environment: 'staging' }), 'environment'],
  ['of a job without an environment', of({ environment: undefined }), 'environment'],
  ['of an environment in other case', of({ environment: 'Production' }), 'environment'],
  ['of an environment that only begins alike', of({ environment: 'production-2' }), 'environment'],
  ['of an environment as a list', of({ environment: ['production'] }), 'environment'],
  ['of a pull request', of({ ref: 'refs/pull/12/merge' }), 'ref'],
  ['of a branch that leaves its segment', of({ ref: 'refs/heads/main/../../tags/x' }), 'ref'],
  ['for another audience', of({ aud: 'https://other.example' }), 'audience'],
  ['for this and another audience', of({ aud: [audience, 'https://other.example'] }), 'audience'],
  ['for the audience with a slash at the end', of({ aud: `${audience}/` }), 'audience'],
  ['whose issuer has a slash at the end', () => github.sign(githubClaims(`${github.url}/`, times())), 'issuer'],
  ['of an issuer that nobody trusts', () => github.sign(githubClaims('https://evil.example', times())), 'issuer'],
  ['that has expired', of({ exp: Math.floor(Date.now() / 1_000) - 1 }), 'expiry'],
  ['without an expiry', of({ exp: undefined }), 'expiry'],
  ['from the future', of({ iat: Math.floor(Date.now() / 1_000) + 3_600 }), 'issued_at'],
  ['that is not valid yet', of({ nbf: Math.floor(Date.now() / 1_000) + 3_600 }), 'not_before'],
  ['that lives for more than a day', of({ exp: Math.floor(Date.now() / 1_000) + 90_000 }), 'lifetime'],
  ['signed by another issuer', () => cluster.sign(githubClaims(github.url, times())), 'No key of the issuer'],
  [
    'signed by a stranger with the same kid',
    async () => signWith(await makeIssuerKey('key-1'), githubClaims(github.url, times())),
    'No key of the issuer',
  ],
  [
    'signed by a key in its own header',
    async () => {
      const own = await makeIssuerKey('own');
      return await signWith(own, githubClaims(github.url, times()), { jwk: own.jwk, jku: 'https://evil.example/keys' });
    },
    'No key of the issuer',
  ],
  [
    'without a signature (alg none)',
    () => `${encode({ alg: 'none', typ: 'JWT' })}.${encode(githubClaims(github.url, times()))}.AA`,
    'algorithm',
  ],
  [
    'signed with the public key as a secret (HS256)',
    () => {
      const [key] = github.keys;
      const text = `${encode({ alg: 'HS256', kid: 'key-1' })}.${encode(githubClaims(github.url, times()))}`;
      return `${text}.${createHmac('sha256', JSON.stringify(key?.jwk)).update(text).digest('base64url')}`;
    },
    'algorithm',
  ],
  [
    'with an algorithm that its key is not for',
    async () => {
      const [key] = github.keys as [IssuerKey];
      const text = `${encode({ alg: 'PS256', kid: 'key-1', typ: 'JWT' })}.${encode(githubClaims(github.url, times()))}`;
      const signature = sign('sha256', Buffer.from(text), {
        key: KeyObject.from(key.privateKey),
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      });
      return `${text}.${signature.toString('base64url')}`;
    },
    'No key of the issuer',
  ],
  [
    'that is an access token',
    () => github.sign(githubClaims(github.url, times()), { header: { typ: 'at+jwt' } }),
    'type',
  ],
  [
    'whose content was changed',
    async () => {
      const [header, , signature] = (await github.sign(githubClaims(github.url, times()))).split('.');
      return `${header}.${encode(githubClaims(github.url, times(), { environment: 'canary' }))}.${signature}`;
    },
    'No key of the issuer',
  ],
  ['of another namespace', ofPod({}, { namespace: 'shop-staging' }), '/kubernetes.io/namespace'],
  [
    'of the default service account',
    ofPod({ sub: 'system:serviceaccount:shop:default' }, { serviceaccount: { name: 'default', uid: 'x' } }),
    '/kubernetes.io/serviceaccount/name',
  ],
  [
    'of a pod whose token lives longer than allowed',
    ofPod({ exp: Math.floor(Date.now() / 1_000) + 9_000 }, {}),
    'lifetime',
  ],
  [
    'with its account at the wrong place',
    ofPod({ serviceaccount: 'checkout' }, { serviceaccount: {} }),
    '/kubernetes.io/serviceaccount/name',
  ],
  ['of another trust domain', ofSpiffe({ sub: 'spiffe://evil.example/ns/shop/sa/checkout' }), 'issuer'],
  ['of a trust domain that only begins alike', ofSpiffe({ sub: 'spiffe://example.org.evil/ns/shop/sa/x' }), 'issuer'],
  ['of another SPIFFE ID', ofSpiffe({ sub: 'spiffe://example.org/ns/other/sa/checkout' }), 'sub'],
  ['of a SPIFFE ID that goes on after its segment', ofSpiffe({ sub: 'spiffe://example.org/ns/shop/sa/a/b' }), 'sub'],
];

describe('a token of a workload that is almost right', () => {
  it.each(nearMisses)('%s is rejected, and the trial says why', async (_, make, reason) => {
    const token = await make();
    const reference = await present(await of({ environment: 'nothing' })());
    for (const form of [{}, { client_id: clients['github']?.id as string }]) {
      const answer = await present(token, form);
      expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
      expect(answer.text).toBe(reference.text);
    }
    const trial = await tryToken(token);
    expect(trial.accepted).toBe(false);
    const failed = trial.trusts.flatMap(({ checks }) => checks.filter(({ met }) => !met));
    const said = [trial.problem ?? '', ...failed.map(({ check, claim }) => claim ?? check)];
    expect(said.some((text) => text === reason || (trial.problem !== null && text.includes(reason)))).toBe(true);
  });

  it('stands for no other client than its own', async () => {
    const token = await (good['github'] as () => Promise<string>)();
    expect(await present(token, { client_id: clients['cluster']?.id as string })).toMatchObject({ status: 401 });
  });

  it('is rejected without client_id if trusts of two clients accept it', async () => {
    const second = await makeClient('second');
    const { id } = await trust({
      client_id: second,
      name: 'the same',
      preset: 'github',
      issuer: github.url,
      ca: github.ca,
      conditions: [
        { claim: 'repository_id', equals: '719384512' },
        { claim: 'environment', equals: 'production' },
      ],
    });
    const token = await (good['github'] as () => Promise<string>)();
    expect(await present(token)).toMatchObject({ status: 401 });
    expect(await present(token, { client_id: second })).toMatchObject({ status: 200 });
    expect((await admin(`/clients/${second}/disable`)).status).toBe(200);
    expect(await present(token, { client_id: second })).toMatchObject({ status: 401 });
    expect((await server.adminFetch(`/trusts/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect(await present(token)).toMatchObject({ status: 200 });
  });
});

describe('a trust', () => {
  it('accepts RS256, PS256, ES256 and EdDSA', async () => {
    for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
      const issuer = await startIssuer(alg);
      const clientId = await makeClient(alg);
      const conditions = [{ claim: 'repository_id', equals: '719384512' }];
      await trust({ client_id: clientId, name: alg, issuer: issuer.url, ca: issuer.ca, conditions });
      const token = await issuer.sign(githubClaims(issuer.url, times()));
      expect({ alg, status: (await present(token)).status }).toEqual({ alg, status: 200 });
      await issuer.close();
    }
  });

  it('is followed at once by every process: created, changed, disabled and deleted', async () => {
    const issuer = await startIssuer();
    const clientId = await makeClient('followed');
    const token = await issuer.sign(githubClaims(issuer.url, times()));
    const statusBeside = async () => (await present(token, {}, other)).status;
    expect(await statusBeside()).toBe(401);
    const conditions = [{ claim: 'repository_id', equals: '719384512' }];
    const { id } = await trust({ client_id: clientId, name: 'x', issuer: issuer.url, ca: issuer.ca, conditions });
    expect(await statusBeside()).toBe(200);
    await admin(`/trusts/${id}`, { conditions: [{ claim: 'repository_id', equals: '1' }] }, 'PATCH');
    await eventuallyIs(statusBeside, (status) => status === 401);
    expect((await present(token)).status).toBe(401);
    await admin(`/trusts/${id}`, { conditions }, 'PATCH');
    expect((await present(token)).status).toBe(200);
    // The client authenticates with this trust alone.
    expect((await admin(`/trusts/${id}`, { enabled: false }, 'PATCH')).json.code).toBe('last_trust');
    await admin(`/clients/${clientId}/disable`);
    expect((await server.adminFetch(`/trusts/${id}`, { method: 'DELETE' })).status).toBe(204);
    await admin(`/clients/${clientId}/enable`);
    expect((await present(token)).status).toBe(401);
    await issuer.close();
  });

  it('finds a new key of its issuer at once, and rejects an old one that is no longer published', async () => {
    const issuer = await startIssuer();
    const clientId = await makeClient('rotating');
    const conditions = [{ claim: 'repository_id', equals: '719384512' }];
    await trust({ client_id: clientId, name: 'x', issuer: issuer.url, ca: issuer.ca, conditions });
    const [old] = issuer.keys;
    const sign = () => issuer.sign(githubClaims(issuer.url, times()));
    expect((await present(await sign())).status).toBe(200);
    issuer.keys = [await makeIssuerKey('key-2')];
    ahead = 61_000;
    expect((await present(await sign())).status).toBe(200);
    const withOld = await issuer.sign(githubClaims(issuer.url, times()), old ? { key: old } : {});
    expect((await present(withOld)).status).toBe(401);
    expect((await tryToken(withOld)).problem).toContain('no longer publishes');
    await issuer.close();
  });

  it('serves with known keys while its issuer cannot be reached, for an hour, and then answers 503', async () => {
    const issuer = await startIssuer();
    const clientId = await makeClient('unreachable');
    const conditions = [{ claim: 'repository_id', equals: '719384512' }];
    await trust({ client_id: clientId, name: 'x', issuer: issuer.url, ca: issuer.ca, conditions });
    const sign = () => issuer.sign(githubClaims(issuer.url, times()));
    expect((await present(await sign())).status).toBe(200);
    issuer.isDown = true;
    ahead = 59 * 60_000;
    expect((await present(await sign())).status).toBe(200);
    ahead = 62 * 60_000;
    const answer = await present(await sign());
    expect(answer).toMatchObject({ status: 503, json: { error: 'temporarily_unavailable' } });
    expect((await tryToken(await sign())).problem).toContain('cannot be read');
    issuer.isDown = false;
    ahead = 64 * 60_000;
    expect((await present(await sign())).status).toBe(200);
    await issuer.close();
  });

  it('does not believe metadata of another issuer, and asks no private address that is not allowed', async () => {
    const issuer = await startIssuer();
    issuer.metadata = (url) => ({ issuer: `${url}/other`, jwks_uri: `${url}/keys` });
    const clientId = await makeClient('metadata');
    const conditions = [{ claim: 'repository_id', equals: '719384512' }];
    await trust({ client_id: clientId, name: 'x', issuer: issuer.url, ca: issuer.ca, conditions });
    const token = await issuer.sign(githubClaims(issuer.url, times()));
    expect((await present(token)).status).toBe(503);
    const guarded = await startAdminServer({ clock, stores: server.stores });
    const before = issuer.requests.length;
    expect((await present(token, {}, guarded)).status).toBe(503);
    expect(issuer.requests).toHaveLength(before);
    await guarded.close();
    await issuer.close();
  });
});

describe('a trust that others could satisfy is refused', () => {
  const id = () => clients['github']?.id;
  it.each<[string, object]>([
    ['GitHub by name', { preset: 'github', conditions: [{ claim: 'repository', equals: 'octo-org/shop' }] }],
    [
      'GitHub by subject',
      { preset: 'github', conditions: [{ claim: 'sub', equals: 'repo:octo-org/shop:ref:refs/heads/main' }] },
    ],
    ['GitHub by repository alone', { preset: 'github', conditions: [{ claim: 'repository_id', equals: '719384512' }] }],
    [
      'GitHub by owner',
      {
        preset: 'github',
        conditions: [
          { claim: 'repository_owner_id', equals: '65' },
          { claim: 'ref', equals: 'refs/heads/main' },
        ],
      },
    ],
    [
      'GitHub as custom',
      {
        preset: 'custom',
        issuer: 'https://token.actions.githubusercontent.com',
        conditions: [{ claim: 'repository', equals: 'octo-org/shop' }],
      },
    ],
    [
      'GitLab without a protected ref',
      {
        preset: 'gitlab',
        conditions: [
          { claim: 'project_id', equals: '20' },
          { claim: 'ref', equals: 'main' },
        ],
      },
    ],
    [
      'Kubernetes by namespace alone',
      {
        preset: 'kubernetes',
        issuer: 'https://k.example',
        conditions: [{ claim: '/kubernetes.io/namespace', equals: 'shop' }],
      },
    ],
    [
      'the default account',
      {
        preset: 'kubernetes',
        issuer: 'https://k.example',
        conditions: [
          { claim: '/kubernetes.io/namespace', equals: 'shop' },
          { claim: '/kubernetes.io/serviceaccount/name', equals: 'default' },
        ],
      },
    ],
    [
      'Google by address',
      { preset: 'google', conditions: [{ claim: 'email', equals: 'a@p.iam.gserviceaccount.com' }] },
    ],
    [
      'Azure by tenant alone',
      {
        preset: 'azure',
        issuer: 'https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47/',
        conditions: [{ claim: 'tid', equals: '72f988bf-86f1-41af-91ab-2d7cd011db47' }],
      },
    ],
    [
      'AWS by account',
      {
        preset: 'aws',
        issuer: 'https://0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0.tokens.sts.global.api.aws',
        conditions: [{ claim: '/https:~1~1sts.amazonaws.com~1/aws_account', equals: '123456789012' }],
      },
    ],
    [
      'a whole trust domain',
      {
        preset: 'spiffe',
        issuer: 'spiffe://example.org',
        jwks_uri: 'https://s.example/keys',
        conditions: [{ claim: 'sub', prefix: 'spiffe://example.org/' }],
      },
    ],
    [
      'another trust domain',
      {
        preset: 'spiffe',
        issuer: 'spiffe://example.org',
        jwks_uri: 'https://s.example/keys',
        conditions: [{ claim: 'sub', equals: 'spiffe://example.com/x' }],
      },
    ],
    [
      'conditions on the issuer alone',
      { issuer: 'https://i.example', conditions: [{ claim: 'iss', equals: 'https://i.example' }] },
    ],
    [
      'an empty prefix',
      {
        issuer: 'https://i.example',
        conditions: [
          { claim: 'sub', prefix: '/' },
          { claim: 'x', equals: 'y' },
        ],
      },
    ],
    ['an issuer without TLS', { issuer: 'http://i.example', conditions: [{ claim: 'sub', equals: 'x' }] }],
    [
      'a cluster that is not configured',
      { issuer: 'https://i.example', in_cluster: true, conditions: [{ claim: 'sub', equals: 'x' }] },
    ],
    [
      'a condition with two kinds of values',
      { issuer: 'https://i.example', conditions: [{ claim: 'sub', equals: 'x', prefix: 'y' }] },
    ],
  ])('%s', async (_, body) => {
    expect(await admin('/trusts', { client_id: id(), name: 'refused', ...body })).toMatchObject({
      status: 400,
      json: { code: 'invalid_request' },
    });
  });
});

it('reads the keys of its own cluster with the service account of the deployment', async () => {
  const { mkdtemp, writeFile } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const { join } = await import('node:path');
  const files = await mkdtemp(join(tmpdir(), 'keyturn-cluster-'));
  await writeFile(join(files, 'ca.crt'), cluster.ca);
  await writeFile(join(files, 'token'), 'service-account-token\n');
  const inside = await startAdminServer({
    clock,
    env: { KEYTURN_CLUSTER_URL: cluster.url, KEYTURN_CLUSTER_FILES: files },
  });
  const post = (path: string, body: object) => inside.adminFetch(path, { method: 'POST', body });
  await registerAll(inside.core);
  const issuer = 'https://kubernetes.default.svc.cluster.local';
  const { client_id: clientId } = (
    await post('/clients', { name: 'pod', kind: 'integration', scope: 'orders:read', auth_method: 'workload_identity' })
  ).json;
  const created = await post('/trusts', {
    client_id: clientId,
    name: 'pod',
    preset: 'kubernetes',
    issuer,
    in_cluster: true,
    conditions: [
      { claim: '/kubernetes.io/namespace', equals: 'shop' },
      { claim: '/kubernetes.io/serviceaccount/name', equals: 'checkout' },
    ],
  });
  expect(created.status).toBe(201);
  expect(await present(await cluster.sign(kubernetesClaims(issuer, times())), {}, inside)).toMatchObject({
    status: 200,
  });
  expect(cluster.requests.at(-1)).toEqual({ path: '/openid/v1/jwks', authorization: 'Bearer service-account-token' });
  await inside.close();
});

describe('the change from a secret to an identity', () => {
  it('is a rotation: both work during the grace period, it can be undone, and the secret ends with it', async () => {
    const shop = await register(server.core, { name: 'Shop', kind: 'integration', scope: 'orders:read' });
    const bySecret = () =>
      post(`${server.publicUrl}/oauth2/token`, { grant_type: 'client_credentials' }, { basic: [shop.id, shop.secret] });
    const claims = (): JWTPayload => githubClaims(github.url, times(), { repository_id: '42' });
    const byIdentity = async () => await present(await github.sign(claims()), { client_id: shop.id });
    const { id } = await trust({
      client_id: shop.id,
      name: 'shop',
      preset: 'github',
      issuer: github.url,
      ca: github.ca,
      conditions: [
        { claim: 'repository_id', equals: '42' },
        { claim: 'environment', equals: 'production' },
      ],
    });
    expect((await byIdentity()).status).toBe(401);
    expect((await bySecret()).status).toBe(200);

    const at = `/clients/${shop.id}`;
    const start = async () => {
      const review = await admin(`${at}/regeneration/review`, { replace: { trust: id } });
      const { confirmation, impact } = review.json;
      expect(impact.warnings).toEqual([expect.stringContaining('DPoP')]);
      return await admin(`${at}/regenerate`, { replace: { trust: id }, confirmation, overlap_seconds: 3_600 });
    };
    const first = await start();
    expect(first).toMatchObject({ status: 201, json: { client_id: shop.id } });
    expect(first.json).not.toHaveProperty('client_secret');
    expect((await byIdentity()).status).toBe(200);
    expect((await bySecret()).headers).toHaveProperty('sunset');

    expect((await admin(`${at}/regenerations/${first.json.regeneration_id}/undo`)).status).toBe(200);
    expect((await byIdentity()).status).toBe(401);
    expect((await bySecret()).status).toBe(200);

    const second = await start();
    await byIdentity();
    await server.core.usage.flush();
    const { data } = (await server.adminFetch(`${at}/regenerations`)).json;
    expect(data[0]).toMatchObject({ state: 'overlapping', using_new: [{ address: '127.0.0.1' }] });
    expect((await admin(`${at}/regenerations/${second.json.regeneration_id}/finish`)).status).toBe(200);
    expect((await bySecret()).status).toBe(401);
    expect((await byIdentity()).status).toBe(200);
  });

  it('needs an enabled trust of the same client', async () => {
    const shop = await register(server.core, { name: 'Shop', kind: 'integration', scope: 'orders:read' });
    for (const replace of [{ trust: crypto.randomUUID() }, { auth_method: 'workload_identity' }]) {
      expect(await admin(`/clients/${shop.id}/regeneration/review`, { replace })).toMatchObject({ status: 400 });
    }
  });
});

it('the trial stores nothing and asks no issuer that nobody trusts', async () => {
  const before = github.requests.length;
  const trial = await tryToken(await github.sign(githubClaims(`${github.url}/other`, times())));
  expect(trial).toMatchObject({ accepted: false, trusts: [] });
  expect(github.requests).toHaveLength(before);
  for (const token of ['', 'x', 'a.b.c', 'kta_x', `${encode({})}.${encode({})}.x`]) {
    expect((await tryToken(token)).problem).toContain('not a signed JWT');
  }
});
