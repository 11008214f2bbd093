import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { type Ended, type Environment, runCommand, runJson } from './run-command.ts';

type Report = {
  imported: number;
  acceptable: number;
  refused: { place: string; client_id: string | null; reasons: string[] }[];
  skipped: { client_id: string }[];
  notes: { client_id: string; note: string }[];
  warnings: string[];
  secrets: { client_id: string; client_secret: string }[];
  failure: string | null;
};

let server: TestServer;
let environment: Environment;

const secretOf = () => `x${randomBytes(24).toString('base64url')}`;
const run = (input: string | Uint8Array, ...options: string[]): Promise<Ended> =>
  runCommand(['clients', 'import', '-', ...options], environment, input);

async function importFile(input: unknown, ...options: string[]): Promise<Report & { code: number | null }> {
  const isFile = typeof input === 'string' || input instanceof Uint8Array;
  const { code, stdout, stderr } = await run(isFile ? input : JSON.stringify(input), '--json', ...options);
  if (!stdout) throw new Error(`${code}: ${stderr}`);
  return { code, ...(JSON.parse(stdout) as Report) };
}

/** Returns the reasons of each refused client, by its place in the file. */
function reasonsOf({ refused }: Report): Record<string, string> {
  return Object.fromEntries(refused.map(({ place, reasons }) => [place, reasons.join('; ')]));
}

const show = (id: string) => runJson(['clients', 'show', id], environment);

beforeAll(async () => {
  server = await startTestServer();
  environment = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
  const create = (...options: string[]) =>
    runJson(['clients', 'create', '--kind', 'resource-server', ...options], environment);
  await create('--name', 'Orders', '--resource', 'https://orders.example.com', '--information', 'orders');
  const jwt = ['--resource', 'https://things.example.com', '--information', 'things', '--token-format', 'jwt'];
  await create('--name', 'Things', ...jwt);
});
afterAll(() => server.close());

const publicKey = (kind: 'ec' | 'ed25519' | 'rsa', more: object = {}) => {
  const pair = {
    ec: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    ed25519: () => generateKeyPairSync('ed25519'),
    rsa: () => generateKeyPairSync('rsa', { modulusLength: 2_048 }),
  }[kind]();
  return { keys: [{ ...pair.publicKey.export({ format: 'jwk' }), ...more }] };
};

describe('an import adopts a security requirement of a client or refuses the client', () => {
  test('with the names of RFC 7591, RFC 8705 and RFC 9449, also in camel case', async () => {
    const key = { token_endpoint_auth_method: 'private_key_jwt' };
    const clients: { says?: string; is?: object; [member: string]: unknown }[] = [
      { dpop_bound_access_tokens: true, is: { dpop_bound_access_tokens: true } },
      { dpopBoundAccessTokens: 'TRUE', is: { dpop_bound_access_tokens: true } },
      {
        tls_client_certificate_bound_access_tokens: true,
        is: { tls_client_certificate_bound_access_tokens: true, auth_method: 'client_secret_basic' },
      },
      {
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_san_dns: 'sync.example.com',
        is: { tls_client_auth_san_dns: 'sync.example.com', tls_client_certificate_bound_access_tokens: true },
      },
      {
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_subject_dn: 'CN=sync,O=Example',
        tls_client_certificate_bound_access_tokens: false,
        is: { tls_client_auth_subject_dn: 'CN=sync,O=Example', tls_client_certificate_bound_access_tokens: false },
      },
      {
        ...key,
        jwks: publicKey('ec'),
        token_endpoint_auth_signing_alg: 'ES256',
        is: { auth_method: 'private_key_jwt' },
      },
      { ...key, jwks: publicKey('ed25519'), token_endpoint_auth_signing_alg: 'EdDSA', is: {} },
      { access_key: 'required', is: { access_key: 'required' } },
      { reveal: false, is: { reveal: false } },
      { resource: 'https://orders.example.com', is: { resource: 'https://orders.example.com' } },
      { disabled: true, is: { status: 'disabled' } },
      { active: false, is: { status: 'disabled' } },
      { status: 'suspended', is: { status: 'disabled' } },
      { scopes: ['orders:read'], is: { scope: 'orders:read' } },
      { client_credentials_grant_access_token_lifespan: '1h30m0s', is: { access_token_ttl: 5_400 } },
      { client_credentials_grant_access_token_lifespan: '48h', is: { access_token_ttl: 86_400 } },
      { access_token_lifetime: 30, says: 'its tokens live for 30 s; the shortest lifetime here is 60 s' },
      { access_token_ttl: 30, says: 'its tokens live for 30 s' },
      { claims: { tenant: 'acme', level: 3 }, is: { claims: { tenant: 'acme', level: 3 } } },
      { claims: { iss: 'https://evil.example' }, says: '`claims` iss is a registered claim' },
      { labels: { '-x': 'y' }, says: '`labels` each key must have' },
      { metadata: { text: 'x'.repeat(16_384) }, says: '`metadata` must have at most 16 KiB' },
      { dialects: ['audience', 'json_body'], is: { dialects: ['audience', 'json_body'] } },
      { dialects: ['json'], says: '`dialects` must be among audience' },
      {
        ...key,
        jwks: publicKey('rsa'),
        token_endpoint_auth_signing_alg: 'RS256',
        dialects: 'rs256_assertions',
        is: { dialects: ['rs256_assertions'] },
      },
      { default_scope: 'orders:read', says: '`default_scope` has a scope that is not in its `scope`' },
      { ...key, jwks: publicKey('ec'), token_endpoint_auth_signing_alg: 'PS256', says: 'another algorithm' },
      { ...key, jwks: publicKey('ec'), token_endpoint_auth_signing_alg: 'RS256', says: 'none of ES256' },
      {
        ...key,
        jwks_uri: 'https://client.example.com/jwks',
        token_endpoint_auth_signing_alg: 'ES256',
        says: 'cannot be enforced',
      },
      { ...key, jwks: publicKey('ec', { use: 'enc' }), says: 'is not for signatures' },
      { ...key, jwks: publicKey('ec', { key_ops: ['encrypt'] }), says: 'is not for signatures' },
      { ...key, jwks: publicKey('ec', { alg: 'ES384' }), says: 'must have the alg' },
      { ...key, jwks: publicKey('ec', { exp: 1_900_000_000 }), says: 'exp' },
      { ...key, jwks: { keys: 'none' }, says: 'jwks: must be a JWK set' },
      { tls_client_auth_san_dns: 'sync.example.com', says: 'does not allow a `tls_client_auth_…` field' },
      {
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_san_dns: 'sync.example.com',
        tls_client_auth_san_ip: '192.0.2.1',
        says: 'more than one `tls_client_auth_…` member',
      },
      { require_proof_of_possession: true, says: '`require_proof_of_possession` does not say how' },
      { RequireDPoP: true, says: 'a requirement that Keyturn does not know: `RequireDPoP`' },
      { allowed_ips: ['192.0.2.0/24'], says: 'a requirement that Keyturn does not know: `allowed_ips`' },
      { client_secret_expires_at: 1_900_000_000, says: 'the secret expires on 2030-03-17' },
      { client_secret_expires_at: 1_500_000_000, says: 'the secret has expired' },
      { status: 'on hold', says: '`status` has an unknown value' },
      { scope: 'orders:read', scopes: ['things:read'], says: '`scope` and `scopes` differ' },
      { dpop_bound_access_tokens: 'sometimes', says: 'dpop_bound_access_tokens: must be true or false' },
      { resource: 'https://nobody.example.com', says: 'no resource server has its `resource`' },
      { kind: 'resource_server', says: 'it is a resource server' },
      {
        client_authentication_methods: { private_key_jwt: { credentials: [{ id: 'cred_1' }] } },
        says: '`private_key_jwt` requires exactly one of: `jwks` or `jwks_uri`',
      },
    ].map((one, index) => ({ client_id: `demand-${index + 1}`, client_secret: secretOf(), ...one }));
    const file = clients.map(({ says: _says, is: _is, ...client }) => client);
    const report = await importFile(file, '--skip-refused', '--fresh-secrets');
    const refused = reasonsOf(report);
    for (const [index, { says }] of clients.entries()) {
      const place = `client ${index + 1}`;
      // --fresh-secrets replaces a secret that has expired.
      if (says?.startsWith('the secret')) expect({ place, is: refused[place] }).toEqual({ place, is: undefined });
      else if (says) expect({ place, is: refused[place] }).toEqual({ place, is: expect.stringContaining(says) });
      else expect({ place, is: refused[place] }).toEqual({ place, is: undefined });
    }
    const ended = clients.filter(({ says }) => says?.startsWith('the secret'));
    expect(report.secrets.map(({ client_id: id }) => id)).toEqual(ended.map(({ client_id: id }) => id));
    const { data } = await runJson<{ data: object[] }>(['clients', 'list', '--limit', '200'], environment);
    for (const { client_id: id, is } of clients)
      if (is) expect(data).toContainEqual(expect.objectContaining({ client_id: id, ...is }));
    // Without --fresh-secrets, these clients are refused.
    const again = ended.map(({ says: _says, ...client }, index) => ({ ...client, client_id: `ended-${index}` }));
    const checked = Object.values(reasonsOf(await importFile(again, '--check')));
    expect(checked).toEqual(ended.map(({ says }) => expect.stringContaining(says ?? '')));
  });

  test("with the names of Keycloak's attributes", async () => {
    const attributes = [
      { is: { dpop_bound_access_tokens: true }, 'dpop.bound.access.tokens': 'true' },
      {
        is: { tls_client_certificate_bound_access_tokens: true },
        'tls.client.certificate.bound.access.tokens': 'true',
      },
      { is: { tls_client_auth_subject_dn: 'CN=kc' }, type: 'client-x509', 'x509.subjectdn': 'CN=kc' },
      {
        is: { auth_method: 'private_key_jwt' },
        type: 'client-jwt',
        'use.jwks.string': 'true',
        'jwks.string': JSON.stringify(publicKey('ec')),
        'token.endpoint.auth.signing.alg': 'ES256',
      },
      {
        says: 'is a pattern',
        type: 'client-x509',
        'x509.subjectdn': '.*',
        'x509.allow.regex.pattern.comparison': 'true',
      },
      { says: 'client_secret_jwt', type: 'client-secret-jwt' },
      {
        says: 'none of ES256',
        type: 'client-jwt',
        'jwks.url': 'https://k.example.com/jwks',
        'use.jwks.url': 'true',
        'token.endpoint.auth.signing.alg': 'RS256',
      },
      { says: 'the secret expires on', 'client.secret.expiration.time': '1900000000' },
      { says: 'a requirement that Keyturn does not know', 'oauth2.dpop.required': 'true' },
      { says: 'attributes.dpop.bound.access.tokens: must be true or false', 'dpop.bound.access.tokens': 'perhaps' },
    ];
    const clients = attributes.map(({ is: _is, says: _says, type, ...more }, index) => ({
      clientId: `kc-demand-${index}`,
      secret: secretOf(),
      enabled: true,
      serviceAccountsEnabled: true,
      clientAuthenticatorType: type ?? 'client-secret',
      attributes: more,
    }));
    const report = await importFile({ realm: 'shop', clients }, '--skip-refused');
    const refused = reasonsOf(report);
    for (const [index, { says, is }] of attributes.entries()) {
      const place = `client ${index + 1}`;
      expect({ place, is: refused[place] }).toEqual({ place, is: says ? expect.stringContaining(says) : undefined });
      if (is) expect(await show(`kc-demand-${index}`)).toMatchObject(is);
    }
  });
});

test('an import accepts a secret that was rotated in Keycloak until the end of its grace period there', async () => {
  const [current, previous] = [secretOf(), secretOf()];
  const endsAt = Math.floor(Date.now() / 1_000) + 864_000;
  const client = (id: string, more: object) => ({
    clientId: id,
    enabled: true,
    serviceAccountsEnabled: true,
    defaultClientScopes: ['orders:read'],
    ...more,
  });
  const rotated = {
    'client.secret.creation.time': '1700000000',
    'client.secret.rotated': previous,
    'client.secret.rotated.creation.time': '1699000000',
    'client.secret.rotated.expiration.time': String(endsAt),
  };
  const over = { 'client.secret.rotated': secretOf(), 'client.secret.rotated.expiration.time': '1600000000' };
  const masked = { 'client.secret.rotated': '**********', 'client.secret.rotated.expiration.time': String(endsAt) };
  const clients = [
    client('kc-rotated', { secret: current, attributes: rotated }),
    client('kc-over', { secret: secretOf(), attributes: over }),
    client('kc-masked', { secret: secretOf(), attributes: masked }),
  ];
  const report = await importFile({ realm: 'shop', clients }, '--skip-refused');
  expect(reasonsOf(report)).toEqual({
    'client 3': expect.stringContaining('previous secret: the secret is masked'),
  });
  const shown = await runJson<{ secrets: object[] }>(['clients', 'show', 'kc-rotated'], environment);
  const end = new Date(endsAt * 1_000).toISOString();
  expect(shown.secrets).toMatchObject([{ status: 'current' }, { status: 'retiring', retires_at: end }]);
  expect(await show('kc-over')).toMatchObject({ secrets: [{ status: 'current' }] });

  const { token } = endpointsOf(server.publicUrl);
  await server.core.feed.sync();
  expect((await token({ id: 'kc-rotated', secret: current })).status).toBe(200);
  const retiring = await token({ id: 'kc-rotated', secret: previous });
  expect(retiring).toMatchObject({
    status: 200,
    headers: { deprecation: expect.any(String), sunset: expect.any(String) },
  });
  await runJson(['clients', 'finish', 'kc-rotated', '--yes'], environment);
  await server.core.feed.sync();
  expect((await token({ id: 'kc-rotated', secret: previous })).status).toBe(401);
  expect((await token({ id: 'kc-rotated', secret: current })).status).toBe(200);
});

test('imported secrets with + % : & and quotes work in HTTP Basic encoded as in RFC 6749, and unencoded if that is unambiguous', async () => {
  const clients = [
    { client_id: 'sp-plus', client_secret: 'Kd+7fWq2ZpR9xVb4NcM6tYhJ3sLgE8u' },
    { client_id: 'sp-percent', client_secret: 'Kd%417fWq2ZpR9xVb4NcM6tYhJ3sLgE8v' },
    { client_id: 'sp-percent-2', client_secret: '100%ok-fWq2ZpR9xVb4NcM6tYhJ3sLgE8w' },
    { client_id: 'sp-colon', client_secret: 'Kd:7fWq2ZpR9x:Vb4NcM6tYhJ3sLgE8x' },
    { client_id: 'sp-amp', client_secret: 'Kd&7fWq=2ZpR9?xVb/4NcM6tYhJ3sLgE8' },
    { client_id: 'sp-quote', client_secret: 'Kd"7fWq\'2ZpR9\\xVb`4NcM6tYhJ3sLgE9' },
    { client_id: 'sp.dot~a@b-c_d', client_secret: 'Kd7fWq2ZpR9~xVb4NcM6tYhJ3' },
  ];
  expect(await importFile(clients)).toMatchObject({ code: 0, imported: clients.length });
  await server.core.feed.sync();
  const encode = (text: string) => new URLSearchParams({ '': text }).toString().slice(1);
  for (const { client_id: id, client_secret: secret } of clients) {
    const isSame = !/[+%]/.test(secret);
    const forms = [`${encode(id)}:${encode(secret)}`, ...(isSame ? [`${id}:${secret}`] : [])];
    for (const form of forms) {
      const { status } = await fetch(`${server.publicUrl}/oauth2/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(form).toString('base64')}` },
        body: new URLSearchParams({ grant_type: 'client_credentials' }),
      });
      expect({ id, form: forms.indexOf(form), status }).toEqual({ id, form: forms.indexOf(form), status: 200 });
    }
  }
});

test('an import refuses a malformed row with every reason and reads the rows after it', async () => {
  const odd = [
    { client_id: 7, client_secret: secretOf() },
    { client_id: null, client_secret: secretOf() },
    'a text',
    null,
    { client_id: 'no-object', client_secret: { valueFrom: 'vault' }, grant_types: 7 },
    {
      client_id: 'nulls',
      client_name: null,
      client_secret: secretOf(),
      jwks: null,
      jwks_uri: null,
      scope: null,
      grant_types: null,
    },
    { client_id: 'empty-jwks', client_secret: secretOf(), jwks: {}, redirect_uris: null, metadata: {}, audience: [] },
  ];
  const report = await importFile(odd, '--check');
  expect(report.acceptable).toBe(2);
  expect(reasonsOf(report)).toEqual({
    'client 1': expect.stringContaining('client_id: '),
    'client 2': expect.stringContaining('client_id: '),
    'client 3': 'it is not a client object',
    'client 4': 'it is not a client object',
    'client 5': expect.stringMatching(/client_secret: .*grant_types: /),
  });
  const csv = [
    'client_id;client_secret;name;enabled',
    `excel;${secretOf()};Order sync;TRUE`,
    `short;${secretOf()}`,
    `long;${secretOf()};Name;true;more`,
    `maybe;${secretOf()};Name;perhaps`,
    `last;${secretOf()};'=1+1;FALSE`,
  ].join('\r\n');
  const read = await importFile(csv, '--skip-refused');
  expect(reasonsOf(read)).toEqual({
    'line 3': 'it has 2 fields, but the header row has 4',
    'line 4': 'it has 5 fields, but the header row has 4',
    'line 5': 'enabled: must be true or false',
  });
  expect(await show('excel')).toMatchObject({ status: 'enabled' });
  expect(await show('last')).toMatchObject({ status: 'disabled', name: '=1+1' });
});

test('an import refuses a client in JSON with a repeated member, which may be a demand, and reads the others', async () => {
  const twice = `{"client_id":"twice","client_secret":"${secretOf()}","dpop_bound_access_tokens":true,"dpop_bound_access_tokens":false}`;
  const next = JSON.stringify({ client_id: 'next-to-twice', client_secret: secretOf() });
  for (const [file, place] of [
    [`[${twice},${next}]`, 'client 1'],
    [`{"clients":[${next},${twice}]}`, 'client 2'],
    [`${next}\n${twice}\n`, 'line 2'],
    [`[${next},{"client_id":"inside","secret":"x","attributes":{"a":"true","a":"false"}}]`, 'client 2'],
  ] as const) {
    const report = await importFile(file, '--check');
    expect(report.acceptable).toBe(1);
    expect(reasonsOf(report)).toEqual({ [place]: 'a member of it occurs twice' });
  }
});

test('an import refuses a record of CSV whose quote is not closed, and reads the records after it', async () => {
  const [secret, cut] = [secretOf(), 'Vx4kT9qLm2Zr7Wc8Yb3Nd6'];
  const lines = [
    'client_id,client_secret,name,description',
    `before,${secretOf()},Before,`,
    `open-secret,"${cut},Open,`,
    `between,${secretOf()},Between,"Two`,
    'lines, of which ""one"" has quotes',
    `and a third"`,
    `open-name,${secret},"Open,`,
    `open-again,"${cut},Open,`,
    `quoted,"${secretOf()}",Quoted,"no ""line"" more"`,
    `last,${secretOf()},Last,"never closed`,
    'and no record follows',
  ];
  for (const end of ['\n', '\r\n']) {
    const { stdout, stderr } = await run(lines.join(end), '--json', '--check');
    const report = JSON.parse(stdout) as Report;
    expect(reasonsOf(report)).toEqual({
      'line 3': 'column client_secret: a quote opens and is not closed',
      'line 7': 'column name: a quote opens and is not closed',
      'line 8': 'column client_secret: a quote opens and is not closed',
      'line 10': 'column description: a quote opens and is not closed',
      'line 11': 'it has 1 fields, but the header row has 4',
    });
    expect(report.acceptable).toBe(3);
    for (const part of [cut, secret]) expect(`${stdout}${stderr}`).not.toContain(part);
  }
  await importFile(lines.join('\n'), '--skip-refused');
  expect(await show('between')).toMatchObject({ description: 'Two\nlines, of which "one" has quotes\nand a third' });
  expect(await show('quoted')).toMatchObject({ description: 'no "line" more' });
});

test('an import reads UTF-16 with a byte order mark, and one JSON client per line', async () => {
  const utf16 = Buffer.from(`\uFEFF${JSON.stringify([{ client_id: 'utf-16', client_secret: secretOf() }])}`, 'utf16le');
  const lines = ['nd-1', 'nd-2'].map((id) => JSON.stringify({ client_id: id, client_secret: secretOf() })).join('\n');
  for (const file of [utf16, Buffer.from(utf16).swap16(), lines]) {
    expect(await importFile(file, '--check')).toMatchObject({ code: 0, refused: [] });
  }
});

describe('the import of a file without clients or in another format exits with 2 and describes the file', () => {
  const latin1 = Buffer.from(
    'client_id,client_secret,name\norder-sync,Zx8kQ2vN5rT7wY1pL4mB9cD3,M\xfcller Lager\n',
    'latin1',
  );
  const noMark = Buffer.from(JSON.stringify([{ client_id: 'a' }]), 'utf16le');
  test.each<[string, string | Uint8Array]>([
    ['The file is empty', ''],
    ['The file is empty', ' \n\n'],
    ['contains no clients', '[]'],
    ['contains no clients', '{"clients": []}'],
    ['contains no clients', '{"statusCode": 401, "error": "Unauthorized"}'],
    ['contains no clients', 'client_id,client_secret\n'],
    ['must be a header row', 'null'],
    ['looks like HTML or XML', '<!doctype html><title>Sign in</title>'],
    ['The YAML cannot be read: error at line 4', '---\nclients:\n  - client_id: "a\n'],
    ['contains no clients', 'clients: []\n'],
    ['looks like Latin-1', latin1],
    ['looks like UTF-16 without a byte order mark', noMark],
    ['ZIP archive or an Excel workbook', Buffer.from('PK\x03\x04 and so on')],
    ['compressed with gzip', Buffer.from([0x1f, 0x8b, 8, 0])],
  ])('%s', async (says, input) => {
    expect(await run(input)).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(says) });
  });
});

test('an import reads responses of several APIs, and reports incomplete pages and skipped clients', async () => {
  const two = {
    client_id: 'two-apis',
    client_secret: secretOf(),
    scope: 'orders:read things:read',
    audience: ['https://things.example.com'],
    client_credentials_grant_access_token_lifespan: '5m',
  };
  const hydra = await importFile({ items: [two], next_page_token: 'abc', is_last_page: false });
  expect(hydra.warnings).toEqual([expect.stringContaining('is one page of several')]);
  expect(hydra.notes).toEqual([
    { place: 'client 1', client_id: 'two-apis', note: expect.stringContaining('is rejected with invalid_target') },
  ]);
  await server.core.feed.sync();
  const refused = await endpointsOf(server.publicUrl).token({ id: 'two-apis', secret: two.client_secret });
  expect(refused.json).toMatchObject({ error: 'invalid_target' });
  // Auth0's client that represents the tenant is skipped.
  const global = { tenant: 't', global: true, client_id: 'auth0-global', client_secret: secretOf() };
  const auth0 = await run(JSON.stringify({ total: 120, start: 0, limit: 1, clients: [global] }));
  expect(auth0).toMatchObject({ code: 0, stderr: expect.stringContaining('1 of 120 clients') });
  expect(auth0.stderr).toContain('1 skipped');
});

test('messages about a malformed file name the position and contain no part of a secret', async () => {
  const secret = 'Vx4kT9qLm2Zr7Wc8Yb3Nd6';
  const [start, end] = [secret.slice(0, 11), secret.slice(11)];
  const files: [string, string][] = [
    [`client_id,client_secret\na-1,${start}"${end}\n`, 'line 2'],
    [`client_id,client_secret,name\na-1,"${start}"${end},x\nb-1,${secret},ok\n`, 'line 2'],
    [`client_id,client_secret\na-1,"${secret}\na-2,${secret}\n`, 'a quote opens and is not closed'],
    [`order-sync,${secret}\n`, 'must be a header row'],
    [`[{"client_id":"a-1","client_secret":"${start}\n${end}"}]`, 'line 1, column'],
    [`[{"client_id":"a-1","client_secret":${secret}}]`, 'JSON cannot be read'],
    [`[{"client_id":"a-1","client_secret":"${secret}"`, 'JSON cannot be read'],
    [`client_id,client_secret\n${secret},${secret}\n`, 'too easy to guess'],
    [`client_id,client_secret,scope\na-1,${secret},${secret}\n`, 'one of its scopes'],
    [`client_id,client_secret,enabled\na-1,x,${secret}\n`, 'line 2'],
    [JSON.stringify([{ client_id: { a: secret }, client_secret: [secret] }]), 'client 1'],
  ];
  for (const [file, says] of files) {
    const { stdout, stderr, code } = await run(file);
    expect({ file, code, stdout, stderr }).toEqual({
      file,
      code: expect.any(Number),
      stdout: '',
      stderr: expect.stringContaining(says),
    });
    expect(code).not.toBe(0);
    for (const part of [secret, start, end]) expect(stderr.toLowerCase()).not.toContain(part.toLowerCase());
  }
});

test('import --check predicts the result of the import for every text that is not a name, a key or a URL', async () => {
  const names = [
    'lone\ud800x',
    'evil \u202egnp.exe',
    'iso\u2066x\u2069',
    'line\u2028sep',
    'zero\u200bwidth',
    '=1+1',
    'n\0l',
    'x'.repeat(201),
    ' ',
    'Ünïcode 🚀',
    'tab\t',
  ];
  const key = publicKey('ec').keys[0];
  const proofs = [
    { jwks: { keys: [{ ...key, kid: 'n\0l' }] } },
    { jwks: { keys: [{ ...key, kid: '\ud800' }] } },
    { jwks: { keys: [{ ...key, ['\ud800']: 1 }] } },
    { jwks: { keys: [key, key] } },
    { jwks_uri: 'https://client.example.com/\0' },
    { jwks_uri: 'https://client.example.com/\ud800' },
    { jwks_uri: 'https://127.0.0.1/jwks' },
  ].map((proof) => ({ token_endpoint_auth_method: 'private_key_jwt', ...proof }));
  const subjects = ['n\0l.example.com', '\ud800.example.com', 'a..b'].map((name) => ({
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_san_dns: name,
  }));
  const clients = [
    ...names.map((client_name) => ({ client_name })),
    ...proofs,
    ...subjects,
    { client_id: 'nul\0id' },
    { client_id: '\ud800id' },
    { client_secret: `n\0${secretOf()}` },
    { client_secret: `\ud800${secretOf()}` },
    { scope: 'n\0l:read' },
    { resource: 'https://orders.example.com\0' },
    { token_endpoint_auth_method: 'n\0ne' },
  ].map((one, index) => ({ client_id: `text-${index}`, client_secret: secretOf(), ...one }));
  const check = await importFile(clients, '--check');
  const real = await importFile(clients, '--skip-refused');
  expect(real).toMatchObject({ code: 0, failure: null, imported: check.acceptable, refused: check.refused });
  expect(check.acceptable).toBeGreaterThanOrEqual(2);
  expect(check.refused.length).toBe(clients.length - check.acceptable);
});

test('an import refuses placeholders and hashes unless --fresh-secrets or --accept-hash-like is given', async () => {
  const file = {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder as Keycloak writes it.
    keycloak: ['${vault.shop-order-sync}', 'a placeholder'],
    helm: ['{{ .Values.shop.clientSecret }}', 'a placeholder'],
    sops: ['ENC[AES256_GCM,data:7Gd1sdf3==,iv:8sdKf3hX=,tag:Rw8dkf==,type:str]', 'a placeholder'],
    spring: ['{cipher}BQBkD0xQqpD3nK5lq8wZr3hTz', 'a placeholder'],
    crypt: ['$6$rounds=5000$M9qo8uLOickgx2ZM$RZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWz', 'a hash in a format'],
    hex: ['4e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d9', 'looks like a hash'],
    base64: ['J7gNU3sdo+OL0wNhqoVWhYjBB+3sVrKgHsC2aGk8lqh=', 'looks like a hash'],
  };
  const clients = Object.entries(file).map(([id, [secret]]) => ({ client_id: `ph-${id}`, client_secret: secret }));
  const refused = reasonsOf(await importFile(clients));
  expect(Object.values(refused)).toEqual(Object.values(file).map(([, says]) => expect.stringContaining(says ?? '')));
  const accepted = await importFile(clients, '--accept-hash-like', '--check');
  expect(accepted).toMatchObject({ acceptable: 2 });
  const renewed = await importFile(clients, '--fresh-secrets');
  expect(renewed).toMatchObject({ code: 0, imported: 7 });
  expect(renewed.secrets).toHaveLength(7);
});

test('an import commits in batches, does not block other changes, and continues with --resume after it was stopped', async () => {
  const ids = Array.from({ length: 1_100 }, (_, index) => `batch-${index}-${randomUUID().slice(0, 8)}`);
  const csv = `client_id,client_secret\n${ids.map((id) => `${id},${secretOf()}`).join('\n')}\n`;
  const { database } = server.core;
  let interrupt = () => {};
  const interrupted = new Promise<void>((resolve) => {
    interrupt = resolve;
  });
  // Lock a client ID of the last batch in an open transaction, so that the batch waits.
  const holder = await runJson<{ client_id: string }>(['clients', 'create', '--name', 'Holder'], environment);
  let isHeld = () => {};
  const held = new Promise<void>((resolve) => {
    isHeld = resolve;
  });
  const other = database.transaction(async (transaction) => {
    await transaction.query(
      'INSERT INTO client_ids (client_id, client) SELECT $1, client FROM client_ids WHERE client_id = $2',
      [ids[1_050], holder.client_id],
    );
    isHeld();
    await interrupted;
  });
  await held;
  const importing = run(csv, '--json');
  const isWaiting = async () => {
    const sql = `SELECT 1 FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    return (await database.query(sql)).length > 0;
  };
  const committed = async () =>
    (await database.query('SELECT 1 FROM clients WHERE client_id = $1', [ids[0]])).length > 0;
  while (!((await committed()) || (await isWaiting()))) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await committed()).toBe(true);
  expect(await runJson(['clients', 'disable', ids[0] ?? '', '--yes'], environment)).toMatchObject({
    status: 'disabled',
  });
  interrupt();
  await other;
  const stopped = await importing;
  expect(stopped.code).toBe(1);
  expect(JSON.parse(stopped.stdout)).toMatchObject({ imported: 1_000, failure: expect.any(String) });

  expect(reasonsOf(await importFile(csv, '--resume'))).toEqual({ 'line 1052': 'the Client ID is already registered' });
  const rest = csv.split('\n').filter((line) => !line.startsWith(`${ids[1_050]},`));
  const resumed = await importFile(rest.join('\n'), '--resume');
  expect(resumed).toMatchObject({ code: 0, imported: 99, refused: [] });
  expect(await show(ids[0] ?? '')).toMatchObject({ status: 'disabled' });
});
