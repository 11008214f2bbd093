import { makeCertificate } from '../certificates.ts';
import { runCommand } from '../cli/run-command.ts';
import { createWorld, day, hour, type World } from '../regeneration/world.ts';

let world: World;

beforeEach(async () => {
  world = await createWorld({ env: { KEYTURN_SIGNING_KEY_DAYS: '90' } });
});
afterEach(async () => {
  await world.close();
});

// biome-ignore lint/suspicious/noExplicitAny: the shape of a response is unknown until a test checks it.
type Body = any;

const expirations = async (query = ''): Promise<Body> => (await world.adminFetch(`/expirations${query}`)).json;

function command(...args: string[]) {
  const { databaseUrl, redisUrl, rootKey } = world.stores;
  const environment = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, KEYTURN_ROOT_KEY: rootKey };
  return runCommand(['expirations', ...args], environment);
}

const remote = async (...args: string[]) =>
  await runCommand(['expirations', ...args], {
    KEYTURN_URL: world.adminUrl,
    KEYTURN_OPERATOR_TOKEN: await world.operatorToken(),
  });

async function createContact(name = 'Partner'): Promise<string> {
  const body = { name, email: 'it@partner.example' };
  return (await world.adminFetch('/contacts', { method: 'POST', body })).json.id;
}

async function createKey(contact: string, name: string, expiresAt?: number): Promise<string> {
  const end = expiresAt === undefined ? {} : { expires_at: new Date(expiresAt).toISOString() };
  const body = { name, permissions: { orders: ['read'] }, ...end };
  return (await world.adminFetch(`/contacts/${contact}/access-keys`, { method: 'POST', body })).json.id;
}

/** Registers a client with certificates that expire in these numbers of days. */
async function createWithCertificates(name: string, ...days: number[]): Promise<string> {
  const keys = days.map((each) => {
    const { x509 } = makeCertificate({ notAfter: new Date(world.now() + each * day) });
    return { ...x509.publicKey.export({ format: 'jwk' }), x5c: [x509.raw.toString('base64')] };
  });
  const body = { name, kind: 'integration', auth_method: 'self_signed_tls_client_auth', jwks: { keys } };
  return (await world.adminFetch('/clients', { method: 'POST', body })).json.client_id;
}

test('everything that ends in the asked time is listed, the first to end first, with what to do before', async () => {
  const contact = await createContact();
  const key = await createKey(contact, 'Warehouse', world.now() + 5 * day);
  await createKey(contact, 'without an end');
  await createKey(contact, 'ends later', world.now() + 31 * day);
  const disabled = await createKey(contact, 'disabled', world.now() + day);
  await world.adminFetch(`/access-keys/${disabled}/disable`, { method: 'POST' });
  const certified = await createWithCertificates('Ledger', 2, 10);
  const { json: rotation } = await world.regenerate({ overlap_seconds: 3 * 86_400 });
  expect(await expirations()).toMatchObject({
    data: [
      {
        id: `grace_period:${rotation.regeneration_id}`,
        kind: 'grace_period',
        at: rotation.previous.retires_at,
        client_id: world.shop.id,
        access_key_id: null,
        name: 'Shop',
        regeneration_id: rotation.regeneration_id,
        message: 'The grace period ends, and the previous credential is rejected.',
        next_step: 'Move every program to the new credential, or extend the grace period.',
      },
      { kind: 'access_key', access_key_id: key, name: 'Warehouse', contact_id: contact, contact_name: 'Partner' },
      { kind: 'certificate', client_id: certified, name: 'Ledger' },
    ],
    next_cursor: null,
  });
  expect((await expirations('?days=4')).data).toMatchObject([{ kind: 'grace_period' }]);
  const [rotated] = (await expirations('?days=100')).data.slice(-1);
  expect(rotated).toMatchObject({ kind: 'signing_key', name: 'Signing key', next_step: null });
  world.pass(4 * day);
  expect((await expirations('?days=2')).data).toMatchObject([{ kind: 'access_key' }]);
  const { status, json } = await world.adminFetch('/expirations?days=401');
  expect([status, json.code]).toEqual([400, 'invalid_request']);
});

test('pages of one item contain everything once, also what ends at the same time', async () => {
  const contact = await createContact();
  const { json: rotation } = await world.regenerate({ overlap_seconds: 86_400 });
  const at = Date.parse(rotation.previous.retires_at);
  const keys = [];
  for (const name of ['a', 'b', 'c']) keys.push(await createKey(contact, name, at));
  keys.push(await createKey(contact, 'later', at + 1));
  const seen: string[] = [];
  for (let cursor = ''; ; ) {
    const page = await expirations(`?limit=1${cursor}`);
    expect(page.data).toHaveLength(1);
    seen.push(page.data[0].id);
    if (page.next_cursor === null) break;
    cursor = `&cursor=${page.next_cursor}`;
  }
  const [later, ...together] = keys.reverse();
  const expected = [
    ...together.map((key) => `access_key:${key}`).sort(),
    `grace_period:${rotation.regeneration_id}`,
    `access_key:${later}`,
  ];
  expect(seen).toEqual(expected);
  const forged = await world.adminFetch('/expirations?cursor=eyJhdCI6IjIwMjYifQ.AAAA');
  expect([forged.status, forged.json.code]).toEqual([400, 'invalid_cursor']);
});

test('keyturn expirations ends with 0 if nothing needs an act, and with 3 otherwise, also on a running server', async () => {
  expect(await command()).toMatchObject({ code: 0, stdout: '', stderr: 'Nothing ends in the next 30 days.\n' });
  // The signing key is rotated automatically.
  const automatic = await command('--days', '100');
  expect(automatic).toMatchObject({ code: 0, stdout: expect.stringContaining('signing key') });
  const key = await createKey(await createContact(), 'Warehouse', world.now() + 5 * day);
  for (const run of [command, remote]) {
    const text = await run();
    expect([text.code, text.stderr]).toEqual([3, '']);
    expect(text.stdout).toMatch(new RegExp(`access key +Warehouse \\(Partner\\) +${key} +Set a later end`));
    const json = await run('--json');
    expect([json.code, JSON.parse(json.stdout).data]).toMatchObject([3, [{ access_key_id: key }]]);
    expect(await run('--days', '4')).toMatchObject({ code: 0 });
    expect(await run('--ics')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`UID:access_key-${key}@keyturn`),
    });
    expect(await run('--days', '0')).toMatchObject({ code: 2 });
    expect(await run('--ics', '--json')).toMatchObject({ code: 2 });
  }
});

/** Reads the properties of an iCalendar object as RFC 5545 defines lines and text, without the code that wrote it. */
function readCalendar(text: string): [string, string][] {
  expect(text).not.toMatch(/(?<!\r)\n|\r(?!\n)/);
  const lines = text.split('\r\n');
  expect(lines.pop()).toBe('');
  for (const line of lines) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(75);
  const unfolded = text.replaceAll('\r\n ', '').split('\r\n').slice(0, -1);
  return unfolded.map((line) => {
    const [, name = '', value = ''] = /^([A-Z-]+):(.*)$/.exec(line) ?? [];
    return [name, value.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))];
  });
}

test('a calendar escapes and folds names, and keeps the UID of an event whose end is postponed', async () => {
  const name = `${'Lager; Süd, "Nord" \\n '.repeat(3)}${'🏭'.repeat(40)}`;
  const end = world.now() + 5 * day;
  const key = await createKey(await createContact('Müller & Söhne'), name, end);
  const properties = readCalendar((await command('--ics')).stdout);
  const valuesOf = (wanted: string, of = properties) =>
    of.filter(([each]) => each === wanted).map(([, value]) => value);
  const summary = `Access key expires: ${name} (Müller & Söhne)`;
  expect(valuesOf('SUMMARY')).toEqual([summary]);
  expect(valuesOf('DESCRIPTION')).toEqual([
    'The access key expires, and requests with it are rejected.\nSet a later end, or replace the key.',
    summary,
  ]);
  expect(valuesOf('DTSTART')).toEqual([new Date(end).toISOString().replaceAll(/[-:]|\.\d+/g, '')]);
  expect(valuesOf('TRIGGER')).toEqual(['-P1D']);
  expect(properties.filter(([each]) => each === 'BEGIN' || each === 'END').map(([, value]) => value)).toEqual(
    ['VCALENDAR', 'VEVENT', 'VALARM'].flatMap((each, _, all) =>
      each === 'VALARM' ? [...all, ...all.toReversed()] : [],
    ),
  );
  const body = { expires_at: new Date(end + day).toISOString() };
  await world.adminFetch(`/access-keys/${key}`, { method: 'PATCH', body });
  const later = readCalendar((await command('--ics')).stdout);
  expect(valuesOf('UID', later)).toEqual(valuesOf('UID'));
  expect(valuesOf('DTSTART', later)).not.toEqual(valuesOf('DTSTART'));
});

test('an extended grace period keeps its ID, and an ended one is not listed', async () => {
  const { json: rotation } = await world.regenerate({ overlap_seconds: 86_400 });
  const path = `/regenerations/${rotation.regeneration_id}`;
  const end = new Date(world.now() + 3 * day + hour).toISOString();
  await world.post(`${path}/extend`, { retires_at: end });
  expect((await expirations()).data).toMatchObject([{ id: `grace_period:${rotation.regeneration_id}`, at: end }]);
  await world.post(`${path}/finish`);
  expect((await expirations()).data).toEqual([]);
});
