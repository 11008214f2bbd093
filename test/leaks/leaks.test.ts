import { generateSecret } from '../../src/credentials/credential-format.ts';
import { runCommand } from '../cli/run-command.ts';
import { createWorld, type World } from '../regeneration/world.ts';

describe('a leaked credential', () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });
  afterEach(async () => {
    await world.close();
  });

  const check = async (values: string[], disable = false) =>
    (await world.adminFetch('/leaks', { method: 'POST', body: { values, ...(disable ? { disable } : {}) } })).json.data;

  async function leakedOperatorToken(): Promise<string> {
    return await world.operatorToken(['contacts:manage']);
  }

  async function leakedAccessKey(): Promise<string | undefined> {
    const contact = await world.adminFetch('/contacts', {
      method: 'POST',
      body: { name: 'Partner', email: 'partner@example.com' },
    });
    const key = await world.adminFetch(`/contacts/${contact.json.id}/access-keys`, {
      method: 'POST',
      body: { name: 'Reading', permissions: { orders: ['read'] } },
    });
    return key.json?.access_key;
  }

  it('is found anywhere in a text, and is reported with its kind and owner, but not with its value', async () => {
    const { shop } = world;
    const token = await world.token(shop);
    const operatorToken = await leakedOperatorToken();
    const accessKey = await leakedAccessKey();
    const foreign = generateSecret('kts_');
    const typo = shop.secret.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'));
    const answer = await world.adminFetch('/leaks', {
      method: 'POST',
      body: {
        values: [
          `curl -d client_secret%3D${shop.secret}&x -H "Authorization: Bearer ${token}"`,
          `nothing here: ${typo} ${shop.id}`,
          `${operatorToken}\n${foreign}${operatorToken} ${accessKey}`,
        ],
      },
    });
    expect(answer.json.data).toEqual([
      expect.objectContaining({
        value_index: 0,
        kind: 'client_secret',
        hint: `…${shop.secret.slice(-4)}`,
        status: 'live',
        owner: { type: 'client', id: shop.id, name: 'Shop' },
        disabled: false,
      }),
      expect.objectContaining({ value_index: 0, kind: 'access_token', status: 'live' }),
      expect.objectContaining({
        value_index: 2,
        kind: 'operator_token',
        status: 'live',
        owner: expect.objectContaining({ type: 'contact' }),
      }),
      expect.objectContaining({ value_index: 2, kind: 'client_secret', status: 'unknown', owner: null }),
      expect.objectContaining({
        value_index: 2,
        kind: 'access_key',
        status: 'live',
        owner: expect.objectContaining({ type: 'access_key', name: 'Reading' }),
      }),
    ]);
    for (const secret of [shop.secret, token, operatorToken, foreign]) expect(answer.text).not.toContain(secret);
    // Searching changes nothing.
    expect([await world.works(shop), await world.isLive(token)]).toEqual([true, true]);
  });

  it('that is a client secret is ended with every live token, and the other secret of a grace period stays valid', async () => {
    const { shop } = world;
    const { credentials } = await world.regenerate();
    const token = await world.token(credentials);
    expect(await check([shop.secret], true)).toMatchObject([{ status: 'live', disabled: true }]);
    expect([await world.works(shop), await world.works(credentials)]).toEqual([false, true]);
    expect(await world.isLive(token)).toBe(false);
    expect(await check([shop.secret], true)).toMatchObject([{ status: 'ended', disabled: false }]);
    expect((await world.regenerations())[0]).toMatchObject({ state: 'finished' });
    const audited = await world.adminFetch(`/audit-events?action=client.end_leaked_secret`);
    expect(audited.json.data).toMatchObject([{ target: shop.id, before: { hint: shop.secret.slice(-4) } }]);
  });

  it('that is the only secret of a client is ended too, and the client works again after a regeneration', async () => {
    await check([world.shop.secret], true);
    expect(await world.works(world.shop)).toBe(false);
    const { status, credentials } = await world.regenerate();
    expect(status).toBe(201);
    expect([await world.works(world.shop), await world.works(credentials)]).toEqual([false, true]);
  });

  it('that is a token is ended alone', async () => {
    const [leaked, other] = [await world.token(world.shop), await world.token(world.shop)];
    expect(await check([leaked], true)).toMatchObject([{ kind: 'access_token', disabled: true }]);
    expect([await world.isLive(leaked), await world.isLive(other)]).toEqual([false, true]);
    expect(await check([leaked])).toMatchObject([{ status: 'unknown' }]);
  });

  it('that is an operator token is ended, also by an operator with fewer permissions', async () => {
    const leaked = await leakedOperatorToken();
    expect(await check([leaked], true)).toMatchObject([{ kind: 'operator_token', disabled: true }]);
    expect(await world.adminFetch('/contacts', { token: leaked })).toMatchObject({ status: 401 });
  });

  it('that is a value of an access key is ended', async () => {
    const accessKey = await leakedAccessKey();
    const withKey = () => world.askToken(world.shop, {}, { access_key: accessKey ?? '' });
    expect((await withKey()).status).toBe(200);
    expect(await check([accessKey ?? ''], true)).toMatchObject([{ kind: 'access_key', disabled: true }]);
    expect((await withKey()).json).toMatchObject({ error: 'invalid_grant' });
  });

  it('is found in HTTP Basic, and percent-encoded once or twice', async () => {
    const { shop } = world;
    const basic = Buffer.from(`${shop.id}:${shop.secret}`).toString('base64');
    const values = [
      `Authorization: Basic ${basic}`,
      `Authorization%3A%20Basic%20${encodeURIComponent(basic)}`,
      shop.secret.replace('_', '%5F'),
      shop.secret.replace('_', '%255f'),
    ];
    const found = await check(values);
    expect(found.map(({ value_index: index }: { value_index: number }) => index)).toEqual([0, 1, 2, 3]);
    for (const leak of found)
      expect(leak).toMatchObject({ kind: 'client_secret', status: 'live', owner: { id: shop.id } });
  });

  it('that is a JWT is live until it is ended, and a JWT of another issuer is not reported', async () => {
    const api = {
      name: 'JWT API',
      kind: 'resource_server',
      resource: 'https://jwt.example',
      information: ['jwts'],
      token_format: 'jwt',
    };
    await world.adminFetch('/clients', { method: 'POST', body: api });
    const { json: client } = await world.adminFetch('/clients', {
      method: 'POST',
      body: { name: 'JWT user', kind: 'integration', scope: 'jwts:read', resource: 'https://jwt.example' },
    });
    const jwt = await world.token({ id: client.client_id, secret: client.client_secret });
    expect(jwt).toMatch(/^eyJ/);
    const foreign = `${jwt.slice(0, -4)}AAAA`;
    const leaked = [`{"token":"${jwt}"}`, foreign];
    const owner = { id: client.client_id };
    expect(await check(leaked)).toMatchObject([{ value_index: 0, kind: 'access_token', status: 'live', owner }]);
    expect(await check(leaked, true)).toMatchObject([{ disabled: true }]);
    expect(await check(leaked)).toMatchObject([{ status: 'ended' }]);
  });

  it('that is an imported secret is found between any surrounding characters', async () => {
    const { databaseUrl, redisUrl, rootKey } = world.stores;
    const environment = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, KEYTURN_ROOT_KEY: rootKey };
    const secret = 'aB+3dE5:fG7=hJ9kL1mN3pQ5rS7tU9vW1xY';
    const row = {
      client_id: 'imported',
      client_secret: secret,
      client_name: 'Moved',
      grant_types: ['client_credentials'],
    };
    const imported = await runCommand(['clients', 'import', '-'], environment, JSON.stringify([row]));
    expect(imported.code).toBe(0);
    const basic = Buffer.from(`imported:${encodeURIComponent(secret)}`).toString('base64');
    const values = [
      `SECRET=${secret}`,
      `{"s":"${secret}"}`,
      `basic ${basic}`,
      `client_secret=${encodeURIComponent(secret)}&x=1`,
      'other',
    ];
    const found = await check(values);
    expect(found.map(({ value_index: index }: { value_index: number }) => index)).toEqual([0, 1, 2, 3]);
    for (const leak of found)
      expect(leak).toMatchObject({ kind: 'client_secret', status: 'live', owner: { id: 'imported' } });
    const log = `${'a line of a log without anything\n'.repeat(700)}password: "${secret}"\n`;
    const command = await runCommand(['leaks', 'check', '-', '--json'], environment, log);
    expect(JSON.parse(command.stdout).data).toMatchObject([{ line: 701, kind: 'client_secret', status: 'live' }]);
  });

  it('is found by the command in a text of any length with its line, and the command fails while it is live', async () => {
    const { databaseUrl, redisUrl, rootKey } = world.stores;
    const environment = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, KEYTURN_ROOT_KEY: rootKey };
    const text = `${'some line of a log\n'.repeat(5_000)}export SECRET=${world.shop.secret}\n`;
    const found = await runCommand(['leaks', 'check', '-', '--json'], environment, text);
    expect(found.code).toBe(1);
    expect(JSON.parse(found.stdout).data).toMatchObject([{ line: 5_001, kind: 'client_secret', status: 'live' }]);
    expect(found.stdout + found.stderr).not.toContain(world.shop.secret);
    const ended = await runCommand(['leaks', 'check', '-', '--disable', '--yes'], environment, text);
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('now ended') });
    expect(await runCommand(['leaks', 'check', '/nowhere'], environment)).toMatchObject({ code: 2 });
    expect(await runCommand(['leaks', 'check', '-'], environment, 'none')).toMatchObject({ code: 0 });
  });
});
