import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { JWTPayload } from 'jose';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { registerAll } from '../oauth/fixture.ts';
import {
  githubClaims,
  type IssuerKey,
  kubernetesClaims,
  makeIssuerKey,
  signWith,
  spiffeClaims,
} from './fake-issuer.ts';

const run = promisify(execFile);
const pages = new URL('../../docs/workload-identity/', import.meta.url);
const now = Math.floor(Date.now() / 1_000);
const audience = 'http://localhost:4000';
const times = { now, audience };
const life = { iat: now, nbf: now - 5, exp: now + 900, jti: 'a9f1' };
const tenant = '72f988bf-86f1-41af-91ab-2d7cd011db47';

/** For each page, a token in the form that the platform documents, and a change after which it is not the right one. */
const tokens: Record<string, { claims: JWTPayload; wrong: object }> = {
  'github-actions.md': {
    claims: githubClaims('https://token.actions.githubusercontent.com', times),
    wrong: { repository_id: '719384513' },
  },
  'gitlab.md': {
    claims: {
      namespace_id: '72',
      namespace_path: 'my-group',
      project_id: '20',
      project_path: 'my-group/shop',
      user_id: '1',
      user_login: 'sample-user',
      pipeline_id: '574',
      pipeline_source: 'push',
      job_id: '302',
      ref: 'main',
      ref_type: 'branch',
      ref_path: 'refs/heads/main',
      ref_protected: 'true',
      runner_id: 1,
      runner_environment: 'self-hosted',
      project_visibility: 'private',
      iss: 'https://gitlab.com',
      sub: 'project_path:my-group/shop:ref_type:branch:ref:main',
      aud: audience,
      ...life,
    },
    wrong: { ref_protected: 'false' },
  },
  'kubernetes.md': {
    claims: kubernetesClaims('https://kubernetes.default.svc.cluster.local', times),
    wrong: { 'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'default' } } },
  },
  'google-cloud.md': {
    claims: {
      iss: 'https://accounts.google.com',
      azp: '113774264463038321964',
      aud: audience,
      sub: '113774264463038321964',
      email: 'checkout@shop.iam.gserviceaccount.com',
      email_verified: true,
      google: { compute_engine: { project_id: 'shop', zone: 'europe-west1-b', instance_name: 'checkout' } },
      ...life,
    },
    wrong: { sub: '113774264463038321965' },
  },
  'aws.md': {
    claims: {
      iss: 'https://abc123-def456-ghi789-jkl012.tokens.sts.global.api.aws',
      aud: audience,
      sub: 'arn:aws:iam::123456789012:role/checkout',
      'https://sts.amazonaws.com/': {
        aws_account: '123456789012',
        source_region: 'eu-central-1',
        org_id: 'o-abc1234567',
      },
      ...life,
    },
    wrong: { sub: 'arn:aws:iam::123456789012:role/checkout-2' },
  },
  'azure.md': {
    claims: {
      aud: 'api://keyturn',
      iss: `https://sts.windows.net/${tenant}/`,
      appid: 'c44b4083-3bb0-49c1-b47d-974e53cbdf3c',
      appidacr: '2',
      idp: `https://sts.windows.net/${tenant}/`,
      idtyp: 'app',
      oid: '5b1e7c3a-90d4-4c1e-8f27-6a0d2b9c4e18',
      sub: '5b1e7c3a-90d4-4c1e-8f27-6a0d2b9c4e18',
      tid: tenant,
      ver: '1.0',
      ...life,
      exp: now + 86_400,
    },
    wrong: { oid: '6b1e7c3a-90d4-4c1e-8f27-6a0d2b9c4e18' },
  },
  'spiffe.md': { claims: spiffeClaims(times), wrong: { sub: 'spiffe://example.org/ns/shop/sa/other' } },
};

let server: AdminServer;
let key: IssuerKey;

beforeAll(async () => {
  server = await startAdminServer({ env: { KEYTURN_CLUSTER_URL: 'https://kubernetes.default.svc' } });
  await registerAll(server.core);
  key = await makeIssuerKey('stand-in');
});
afterAll(() => server?.close());

test('there is a page for each platform', () => {
  expect(
    readdirSync(pages)
      .filter((name) => name !== 'README.md')
      .sort(),
  ).toEqual(Object.keys(tokens).sort());
});

/** Returns the shell blocks of a page. */
function blocksOf(page: string): string[] {
  return [...readFileSync(new URL(page, pages), 'utf8').matchAll(/```sh\n(.*?)```/gs)].map(([, text = '']) => text);
}

/** Returns the values of an option in a command of a page. */
function optionsOf(command: string, name: string): string[] {
  return [...command.matchAll(new RegExp(`--${name} (?:'([^']*)'|(\\S+))`, 'g'))].map(
    ([, quoted, plain]) => quoted ?? plain ?? '',
  );
}

test.each(Object.entries(tokens))(
  'the lines of %s get an access token with a token of the platform, and not with another one',
  async (page, { claims, wrong }) => {
    const [create = '', request = ''] = blocksOf(page);
    const admin = (path: string, body: object) => server.adminFetch(path, { method: 'POST', body });
    const client = { name: page, kind: 'integration', scope: 'orders:read', auth_method: 'workload_identity' };
    const { client_id: clientId } = (await admin('/clients', client)).json;
    const conditions = optionsOf(create, 'condition').map((text) => {
      const [claim = '', ...value] = text.split('=');
      return { claim, equals: value.join('=') };
    });
    const trust = {
      client_id: clientId,
      name: page,
      preset: optionsOf(create, 'preset')[0],
      issuer: optionsOf(create, 'issuer')[0],
      audience: optionsOf(create, 'audience')[0],
      conditions,
      // The keys of the stand-in, instead of those that the platform publishes.
      jwks: { keys: [key.jwk] },
    };
    expect(await admin('/trusts', trust)).toMatchObject({ status: 201 });
    const lines = request
      .slice(request.indexOf('curl -sS https://auth.example.com/oauth2/token'))
      .replaceAll('https://auth.example.com', server.publicUrl);
    const ask = async (token: string) => {
      const env = { PATH: process.env['PATH'], CLIENT_ID: clientId, WORKLOAD_TOKEN: token };
      return JSON.parse((await run('bash', ['-ec', lines], { env: env as never })).stdout) as Record<string, unknown>;
    };
    expect(await ask(await signWith(key, claims))).toMatchObject({ token_type: 'Bearer', scope: 'orders:read' });
    expect(await ask(await signWith(key, { ...claims, ...wrong }))).toMatchObject({ error: 'invalid_client' });
  },
);
