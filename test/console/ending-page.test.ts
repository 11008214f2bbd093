import { type ConsoleServer, startConsole } from './console-server.ts';

const day = 86_400_000;
let server: ConsoleServer;
let cookie: string;

beforeAll(async () => {
  server = await startConsole({ env: { KEYTURN_SIGNING_KEY_DAYS: '0' } });
  cookie = await server.signIn((await server.operator()).token);
});
afterAll(() => server.close());

async function create(path: string, body: object): Promise<string> {
  return (await server.adminFetch(path, { method: 'POST', body })).json.id;
}

test('Home links to the page of what ends soon, which offers it as a calendar file', async () => {
  const { text: home } = await server.look('/console/', cookie);
  expect(home).toContain('<a href="/console/expirations">What ends soon</a>');
  expect((await server.look('/console/expirations', cookie)).text).toContain('Nothing ends in the next 30 days.');
  const contact = await create('/contacts', { name: 'Partner', email: 'it@partner.example' });
  const keys = [];
  for (const days of [5, 80]) {
    const expires_at = new Date(Date.now() + days * day).toISOString();
    keys.push(await create(`/contacts/${contact}/access-keys`, { name: `Key ${days}`, permissions: {}, expires_at }));
  }
  const { text: month } = await server.look('/console/expirations', cookie);
  expect(month).toContain(`<a class="strong" href="/console/access-keys/${keys[0]}">Key 5</a>`);
  expect(month).not.toContain('Key 80');
  const { text: quarter } = await server.look('/console/expirations?days=90', cookie);
  expect(quarter).toContain('Key 80');
  expect(quarter).toContain('<a class="button" href="/console/expirations.ics?days=90">');
  const file = await server.look('/console/expirations.ics?days=90', cookie);
  expect(file.headers.get('content-type')).toBe('text/calendar; charset=utf-8');
  expect(file.headers.get('content-disposition')).toBe('attachment; filename="keyturn.ics"');
  expect(file.text.match(/^UID:.*/gm)).toEqual(keys.map((key) => `UID:access_key-${key}@keyturn`));
  expect((await server.look('/console/expirations.ics')).status).toBe(303);
});
