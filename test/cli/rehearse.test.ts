import { updateClient } from '../../src/clients/manage-clients.ts';
import { type Dialect, dialectNames } from '../../src/configuration/dialects.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { actor, endpointsOf, register, registerAll, type TestClient } from '../oauth/fixture.ts';
import { basicOf, post, send } from '../oauth/http-client.ts';
import { type Environment, runCommand } from './run-command.ts';

type Line = {
  line: number;
  client_id: string;
  status: number;
  error: string | null;
  scope: string | null;
  text: string;
};

let server: TestServer;
let environment: Environment;
let clients: Awaited<ReturnType<typeof registerAll>>;

beforeAll(async () => {
  server = await startTestServer();
  clients = await registerAll(server.core);
  // The scope invoices:read is offered by an API with opaque tokens too, so its requests must name a resource.
  const accounts = { name: 'Accounts', resource: 'https://jwt.example', information: ['invoices'] };
  await register(server.core, { ...accounts, kind: 'resource_server', tokenFormat: 'jwt' });
  environment = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
});
afterAll(() => server.close());

const rehearse = (log: string, ...options: string[]) =>
  runCommand(['moving', 'rehearse', '-', ...options], environment, log);

async function rehearseEach(requests: readonly object[], env = environment): Promise<Line[]> {
  const log = requests.map((each) => JSON.stringify(each)).join('\n');
  const { stdout, stderr } = await runCommand(['moving', 'rehearse', '-', '--each'], env, log);
  if (!stdout) throw new Error(stderr);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

describe('keyturn moving rehearse', () => {
  it('answers each logged request as the token endpoint answers the same request', async () => {
    const { shop, partner, bare, orders } = clients;
    const stranger = { id: 'order-sync', secret: 'x'.repeat(32) };
    const requests: { client: TestClient; form: Record<string, string>; type?: string }[] = [];
    for (const client of [shop, partner, bare, orders, stranger]) {
      for (const scope of [undefined, 'orders:read', 'orders:read products:read', 'orders.read', 'orders:read  x']) {
        for (const resource of [undefined, 'https://orders.example', 'https://jwt.example', 'https://other.example']) {
          requests.push({ client, form: { ...(scope ? { scope } : {}), ...(resource ? { resource } : {}) } });
        }
      }
    }
    requests.push({ client: shop, form: { grant_type: 'password' } });
    requests.push({ client: shop, form: {}, type: 'application/json' });

    const log = requests.map(({ client, form, type }) => ({ client_id: client.id, ...form, content_type: type }));
    const rehearsed = await rehearseEach(log);
    expect(rehearsed).toHaveLength(requests.length);
    const seen = new Set<string>();
    for (const [index, { client, form, type }] of requests.entries()) {
      const real = await post(
        endpointsOf(server.publicUrl).tokenUrl,
        { grant_type: 'client_credentials', ...form },
        { basic: [client.id, client.secret], ...(type ? { headers: { 'content-type': type } } : {}) },
      );
      const { status, error, scope } = rehearsed[index] as Line;
      const expected = { status: real.status, error: real.json['error'] ?? null, scope: real.json['scope'] ?? null };
      expect({ request: log[index], status, error, scope }).toEqual({ request: log[index], ...expected });
      seen.add(`${status} ${error}`);
    }
    expect([...seen].sort()).toEqual([
      '200 null',
      '400 invalid_scope',
      '400 invalid_target',
      '400 unauthorized_client',
      '400 unsupported_grant_type',
      '401 invalid_client',
      '415 invalid_request',
    ]);
  });

  it.each([
    ['of the deployment', { KEYTURN_DIALECTS: dialectNames.join(',') }],
    ['of one client', undefined],
  ])('answers by the dialects that are on: those %s', async (_, env) => {
    const { shop, partner } = clients;
    const dialectal = await startTestServer({ stores: server.stores, ...(env ? { env } : {}) });
    const { core } = dialectal;
    const setDialects = (dialects: readonly Dialect[]) =>
      core.change((transaction) => updateClient(transaction, core, actor, partner.id, { dialects }));
    await setDialects(env ? [] : dialectNames);
    const paths = [
      '/oauth2/token',
      '/oauth/token',
      '/connect/token',
      '/realms/a/protocol/openid-connect/token',
      '/token',
    ];
    const audiences = [undefined, 'https://orders.example', 'https://other.example'];
    const types = ['application/x-www-form-urlencoded', 'application/json', 'text/plain'];
    const requests = [shop, partner].flatMap((client) =>
      paths.flatMap((path) =>
        types.flatMap((content_type) => audiences.map((audience) => ({ client, path, content_type, audience }))),
      ),
    );
    try {
      const log = requests.map(({ client, ...rest }) => ({ client_id: client.id, ...rest }));
      const rehearsed = await rehearseEach(log, { ...environment, ...env });
      expect(rehearsed).toHaveLength(requests.length);
      for (const [index, { client, path, content_type, audience }] of requests.entries()) {
        const form = { grant_type: 'client_credentials', ...(audience ? { audience } : {}) };
        const real = await send(dialectal.publicUrl + path, {
          method: 'POST',
          headers: { 'Content-Type': content_type, Authorization: basicOf(client.id, client.secret) },
          body: content_type === 'application/json' ? JSON.stringify(form) : new URLSearchParams(form).toString(),
        });
        const { status, error, scope } = rehearsed[index] as Line;
        const expected = { status: real.status, error: real.json['error'] ?? null, scope: real.json['scope'] ?? null };
        expect({ request: log[index], status, error, scope }).toEqual({ request: log[index], ...expected });
      }
      expect(new Set(rehearsed.map(({ status }) => status))).toEqual(new Set([200, 400, 404, 415]));
    } finally {
      await setDialects([]);
      await dialectal.close();
    }
  });

  it('recommends a dialect in addition to those that are on', async () => {
    const { id } = clients.shop;
    const { core } = server;
    const setDialects = (dialects: readonly Dialect[]) =>
      core.change((transaction) => updateClient(transaction, core, actor, id, { dialects }));
    await setDialects(['json_body']);
    const env = { ...environment, KEYTURN_DIALECTS: 'audience' };
    const [one] = await rehearseEach([{ client_id: id, path: '/oauth/token' }], env);
    await setDialects([]);
    expect(one?.text).toBe(
      `Set KEYTURN_DIALECTS=audience,other_paths or, for this client alone, \`keyturn clients update ${id} --dialect json_body,other_paths\`, or change the path to /oauth2/token.`,
    );
  });

  it('stores no token and counts no use of a secret', async () => {
    await server.core.usage.flush();
    const stored = async () =>
      await server.core.database.query(
        'SELECT (SELECT count(*) FROM usage_hours) AS uses, (SELECT count(*) FROM access_tokens) AS tokens',
      );
    const before = await stored();
    await rehearseEach([{ client_id: clients.shop.id }]);
    expect(await stored()).toEqual(before);
  });

  it('says what differs from the other server, and what must be changed', async () => {
    const { id } = clients.shop;
    const setting = (dialect: string) =>
      `Set KEYTURN_DIALECTS=${dialect} or, for this client alone, \`keyturn clients update ${id} --dialect ${dialect}\``;
    const answers = await rehearseEach([
      { client_id: id, scope: 'orders:read', granted_scope: ['orders:read', 'orders:delete'] },
      { client_id: id, granted_scope: 'orders:read' },
      { client_id: id, audience: 'https://orders.example' },
      { client_id: id, path: '/realms/shop/protocol/openid-connect/token' },
      { client_id: id, path: '/api/token' },
      { client_id: id, content_type: 'application/json' },
      { client_id: id, content_type: 'text/plain' },
      { client_id: id, auth_method: 'private_key_jwt' },
    ]);
    expect(answers.map(({ status, text }) => [status, text])).toEqual([
      [200, 'The token lacks orders:delete, which the other server granted.'],
      [200, 'The token also has orders:create products:read.'],
      [
        200,
        'The parameter audience is ignored; the token is for every resource server that its scope names. ' +
          `${setting('audience')}, to read it as resource.`,
      ],
      [404, `${setting('other_paths')}, or change the path to /oauth2/token.`],
      [404, 'The path must be changed to /oauth2/token, in the client or in a proxy.'],
      [415, `${setting('json_body')}, or change the body to application/x-www-form-urlencoded.`],
      [415, 'The body must be application/x-www-form-urlencoded.'],
      [401, 'The client authenticates with private_key_jwt, but it is registered with a secret.'],
    ]);
  });

  it('groups the requests of an access log by their answer and exits with 1 if one would be rejected', async () => {
    const entry = (user: string, target: string, status = 200) =>
      `198.51.100.7 - ${user} [29/Nov/2026:09:00:00 +0000] "POST ${target} HTTP/1.1" ${status} 512 "-" "curl/8"`;
    const good = [entry(clients.shop.id, '/oauth2/token'), entry(clients.shop.id, '/oauth2/token')];
    const omitted = [
      entry('-', '/login'),
      entry('stranger', '/oauth2/token', 401),
      entry('-', '/oauth2/token'),
      'not a log line',
    ];
    const fine = await rehearse(good.join('\n'));
    expect(fine).toMatchObject({ code: 0, stdout: '' });
    expect(fine.stderr).toBe('2 token requests: 2 get a token (0 with a difference), 0 would be rejected.\n');

    const { code, stdout, stderr } = await rehearse([...good, ...omitted, entry('gone', '/oauth2/token')].join('\n'));
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^REQUESTS\s+CLIENT.*\n1\s+gone\s+401 invalid_client\s+No client has this Client ID. Import it.\n$/,
    );
    expect(stderr.split('\n')).toEqual([
      'line 5: The line does not name the client: it did not use HTTP Basic.',
      'line 6: The line is neither JSON nor in the combined log format.',
      '3 token requests: 2 get a token (0 with a difference), 1 would be rejected.',
      '2 lines were skipped: other endpoints, or rejected by the other server.',
      '2 lines could not be read.',
      '',
    ]);
    const json = await rehearse([...good, entry('gone', '/oauth2/token')].join('\n'), '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      requests: 3,
      tokens: 2,
      rejected: 1,
      answers: [{ count: 1, first_line: 3, client_id: 'gone', status: 401, error: 'invalid_client' }],
    });
  });

  it('says that the log of Hydra does not name the clients, and skips its lines of other requests', async () => {
    const line = (path: string, status?: number) =>
      JSON.stringify({
        http_request: { headers: { accept: '*/*' }, host: 'hydra', method: 'POST', path, query: null, scheme: 'http' },
        ...(status ? { http_response: { headers: {}, size: 164, status, text_status: 'OK', took: 15_314_529 } } : {}),
        level: 'info',
        msg: status ? 'completed handling request' : 'started handling request',
        time: '2026-11-29T15:04:08.728339415Z',
      });
    const lines = [
      line('/oauth2/token'),
      line('/oauth2/token', 200),
      line('/oauth2/token', 401),
      line('/clients', 201),
    ];
    const log = [...lines, JSON.stringify({ client_id: clients.shop.id })].join('\n');
    const { code, stderr } = await rehearse(log);
    expect(code).toBe(1);
    expect(stderr).toContain('line 2: The log of Hydra does not name the client. Log the token requests in a proxy');
    expect(stderr).toContain('3 lines were skipped');
    expect(stderr).toContain('1 line could not be read.');
  });

  it('rejects a line that contains a secret without printing it, and a log without token requests with exit code 2', async () => {
    const secret = 'kts_a-secret-in-a-log';
    const names = ['client_secret', 'client_assertion', 'access_token', 'authorization'];
    const log = names.map((name) => JSON.stringify({ client_id: 'x', [name]: secret })).join('\n');
    const { code, stdout, stderr } = await rehearse(log);
    expect(code).toBe(2);
    for (const [index, name] of names.entries()) {
      expect(stderr).toContain(`line ${index + 1}: ${name}: must not be in a log.`);
    }
    expect(stdout + stderr).not.toContain(secret);
    expect(await rehearse('')).toMatchObject({ code: 2 });
    const missing = await runCommand(['moving', 'rehearse', '/nowhere/at-all.log'], environment);
    expect(missing).toMatchObject({ code: 2, stdout: '' });
  });
});
