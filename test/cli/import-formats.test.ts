import { readFile } from 'node:fs/promises';
import { callAdmin } from '../../src/cli/call-admin.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { type Environment, runCommand, runJson } from './run-command.ts';

/** The expected result of the import of a file. */
type Expected = {
  /** Options of the import besides --skip-refused. */
  options?: string[];
  /** Members of each imported client, as the admin API shows it. */
  imported?: Record<string, object>;
  /** Part of the reasons, by place. */
  refused?: Record<string, string>;
  skipped?: string[];
  /** Parts of the notes, by Client ID. */
  notes?: Record<string, string[]>;
  warnings?: string[];
};

type Report = {
  imported: number;
  acceptable: number;
  refused: { place: string; reasons: string[] }[];
  skipped: { client_id: string }[];
  notes: { client_id: string; note: string }[];
  warnings: string[];
};

let server: TestServer;
let environment: Environment;

beforeAll(async () => {
  server = await startTestServer();
  environment = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
  const offer = ['--resource', 'https://orders.example.com', '--information', 'orders'];
  await runJson(['clients', 'create', '--name', 'Orders', '--kind', 'resource-server', ...offer], environment);
});
afterAll(() => server.close());

const filesOf = (name: string) => new URL(`./import-files/${name}`, import.meta.url);

const hash = 'a hash in a format that cannot be verified';
const files: Record<string, Expected> = {
  'hydra-list.json': {
    imported: {
      '2f6c1f2e-6f0b-4d57-9b0a-51c2f1d7a001': {
        name: 'Warehouse',
        scope: 'orders:read orders:create',
        auth_method: 'client_secret_basic',
        resource: null,
        access_token_ttl: 900,
        metadata: { team: 'logistics' },
      },
      '2f6c1f2e-6f0b-4d57-9b0a-51c2f1d7a002': { auth_method: 'private_key_jwt', jwks: { keys: [{ kid: 'signed-1' }] } },
    },
    skipped: ['2f6c1f2e-6f0b-4d57-9b0a-51c2f1d7a003'],
    notes: { '2f6c1f2e-6f0b-4d57-9b0a-51c2f1d7a001': ['no contact has its owner'] },
  },
  'keycloak-10.json': {
    imported: {
      'kc10-stock': {
        scope: 'orders:read',
        auth_method: 'client_secret_basic',
        access_token_ttl: 600,
        claims: { tenant: 17 },
      },
    },
    refused: { 'client 3 (line 72)': 'is a pattern' },
    skipped: ['account'],
    notes: { 'kc10-stock': ['protocol mappers'] },
  },
  'keycloak-26.json': {
    imported: {
      'kc26-stock': {
        name: 'Stock',
        description: 'Keeps the stock in step',
        scope: 'orders:read orders:create',
        dpop_bound_access_tokens: true,
      },
    },
    refused: {
      'client 2 (line 46)': 'the secret is masked',
      'client 3 (line 55)': 'it cannot authenticate with federated-jwt here',
    },
    skipped: ['https://saml.example.com'],
    warnings: ['fapi for partners'],
  },
  'auth0-tenant.json': {
    imported: {
      q7Yd2LfP9xVtR4mZsK8bNcW1gHjE5uAo: {
        name: 'Order sync',
        scope: 'orders:read',
        resource: 'https://orders.example.com',
        auth_method: 'client_secret_post',
      },
    },
    refused: { 'client 2 (line 20)': '`compliance_level` is not followed' },
    skipped: ['g0000000000000000000000000000001'],
  },
  'auth0-deploy.yaml': {
    options: ['--fresh-secrets'],
    imported: { d9Kx2LfP7vVtR4mZsQ8bNcW1gHjE5uBz: { scope: 'orders:read', resource: null } },
    notes: { d9Kx2LfP7vVtR4mZsQ8bNcW1gHjE5uBz: ['has no default'] },
  },
  'identityserver.json': {
    // The hash is refused although it may be a secret elsewhere.
    options: ['--accept-hash-like'],
    imported: {
      'ids-plain': {
        scope: 'orders:read',
        dpop_bound_access_tokens: true,
        description: 'Written by hand',
        access_token_ttl: 600,
        claims: { client_tenant: 1, client_region: ['eu', 'us'] },
        metadata: { team: 'logistics' },
      },
      'ids-named': {
        auth_method: 'tls_client_auth',
        tls_client_auth_subject_dn: 'CN=ids-named,O=Example',
        tls_client_certificate_bound_access_tokens: true,
      },
    },
    refused: { 'client 2 (line 23)': hash, 'client 3 (line 29)': 'the type of its secret is not supported here' },
    skipped: ['ids-spa'],
  },
  'authelia.yml': {
    imported: {
      'authelia-plain': { name: 'Plain', scope: 'orders:read' },
      'authelia-key': { auth_method: 'private_key_jwt', jwks: { keys: [{ kid: 'authelia-key-1', alg: 'ES256' }] } },
      'authelia-old': { name: 'Names of versions before 4.38', scope: 'orders:read' },
    },
    skipped: ['authelia-login'],
  },
  'dex.yaml': {
    imported: { 'dex-sync': { name: 'Dex sync' } },
    refused: { 'client 2': 'placeholder' },
    skipped: ['dex-cli'],
  },
  'zitadel-users.json': {
    options: ['--fresh-secrets'],
    imported: { 'zitadel-sync': { name: 'Sync' }, 'zitadel-off': { name: 'Off', status: 'disabled' } },
    skipped: ['ann'],
  },
  'cognito.txt': {
    options: ['--map-scope', 'orders/read=orders:read'],
    imported: {
      '4r8s2k6v0q1m3n5p7t9x2z4b6c': { name: 'cognito-orders', scope: 'orders:read', access_token_ttl: 3_600 },
    },
    skipped: ['5r8s2k6v0q1m3n5p7t9x2z4b6c'],
  },
  'cognito-list.json': { refused: { 'client 1 (line 3)': 'describe-user-pool-client' } },
  'okta-apps.json': {
    imported: {
      '0oa1aaaaaaaaaaaaaaaa': { name: 'Okta sync', dpop_bound_access_tokens: true },
      '0oa2bbbbbbbbbbbbbbbb': { status: 'disabled', jwks: { keys: [{ kid: 'active' }] } },
    },
    refused: { 'client 3 (line 57)': 'only from certain networks' },
    skipped: ['0oa4dddddddddddddddd'],
    notes: { '0oa1aaaaaaaaaaaaaaaa': ['no scopes'], '0oa2bbbbbbbbbbbbbbbb': ['no scopes'] },
  },
  'entra-apps.json': {
    options: ['--fresh-secrets'],
    imported: { '8d1f0c8e-5b3a-4c2d-9e6f-8a1b2c3d4e01': { name: 'Entra daemon' } },
    refused: { 'client 2 (line 21)': 'the key is malformed' },
    skipped: ['8d1f0c8e-5b3a-4c2d-9e6f-8a1b2c3d4e03'],
    notes: { '8d1f0c8e-5b3a-4c2d-9e6f-8a1b2c3d4e01': ['no scopes'] },
  },
  'rfc7591.ndjson': {
    imported: { 'dcr-1': { name: 'One' }, 'dcr-3': { tls_client_certificate_bound_access_tokens: true } },
    refused: { 'line 2': 'the line is not JSON' },
  },
  'excel-utf8.csv': {
    imported: { 'excel-1': { name: 'Müller', scope: 'orders:read' } },
    refused: { 'line 4': 'it has 5 fields, but the header row has 4' },
  },
  'excel-utf16.csv': { imported: { 'unicode-1': { name: 'Müller' } } },
};

test.each(Object.entries(files))('an import of %s gives what its check predicts', async (name, expected) => {
  const { options = [], imported = {}, refused = {}, skipped = [], notes = {}, warnings = [] } = expected;
  const bytes = await readFile(filesOf(name));
  const run = async (...more: string[]) => {
    const args = ['clients', 'import', '-', '--json', ...options, ...more];
    const { stdout, stderr } = await runCommand(args, environment, bytes);
    if (!stdout) throw new Error(stderr);
    return JSON.parse(stdout) as Report;
  };
  // A check of a file without refusals would cost a process and show the same.
  const checked = Object.keys(refused).length > 0 ? await run('--check') : undefined;
  const report = await run('--skip-refused');
  if (checked) expect({ ...report, secrets: [], imported: 0 }).toEqual({ ...checked, secrets: [] });
  expect(report.refused).toEqual(
    Object.entries(refused).map(([place, says]) =>
      expect.objectContaining({ place, reasons: expect.arrayContaining([expect.stringContaining(says)]) }),
    ),
  );
  expect(report.skipped.map(({ client_id: id }) => id)).toEqual(skipped);
  expect(report.notes.map(({ client_id: id, note }) => [id, note])).toEqual(
    Object.entries(notes).flatMap(([id, parts]) => parts.map((part) => [id, expect.stringContaining(part)])),
  );
  expect(report.warnings).toEqual(warnings.map((part) => expect.stringContaining(part)));
  expect(report.imported).toBe(Object.keys(imported).length);
  const query = { limit: '200' };
  const { data } = await callAdmin<{ data: { client_id: string }[] }>(server.core, 'GET /clients', { query });
  for (const [id, members] of Object.entries(imported)) {
    expect(data.find(({ client_id: one }) => one === id)).toMatchObject(members);
  }
});
