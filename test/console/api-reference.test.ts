import { type ConsoleServer, startConsole } from './console-server.ts';

type Operation = { operationId: string; parameters?: { name: string }[]; responses: Record<string, object> };

let server: ConsoleServer;
let cookie: string;

beforeAll(async () => {
  server = await startConsole();
  cookie = await server.signIn((await server.operator(['integrations:view'])).token);
});
afterAll(() => server?.close());

/** Returns the text of a page as a reader sees it. */
async function read(path: string): Promise<string> {
  const { status, text } = await server.look(path, cookie);
  expect([path, status]).toEqual([path, 200]);
  return text
    .replace(/<[^>]+>/g, ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
    .replace(/\s+/g, ' ');
}

it('links the API reference from the page System, and lists every operation of both listeners in it', async () => {
  expect((await server.look('/console/system', cookie)).text).toContain('href="/console/api"');
  const list = (await server.look('/console/api', cookie)).text;
  for (const name of ['openapi', 'public-openapi']) {
    expect(list).toContain(`href="/admin/v1/${name}.json"`);
    const { paths } = (await server.adminFetch(`/${name}.json`)).json as {
      paths: Record<string, Record<string, Operation>>;
    };
    for (const [path, methods] of Object.entries(paths)) {
      for (const [method, { operationId, parameters = [], responses }] of Object.entries(methods)) {
        expect(list).toContain(`href="/console/api/${operationId}"`);
        const page = await read(`/console/api/${operationId}`);
        expect(page).toContain(` ${method.toUpperCase()} ${path} `);
        for (const part of [...parameters.map((each) => each.name), ...Object.keys(responses)]) {
          expect(page).toContain(` ${part} `);
        }
      }
    }
  }
});

it('shows the permission, the fields and a command with the example of an operation', async () => {
  const page = await read('/console/api/createClient');
  expect(page).toContain('Requires the permission “Manage the API key” (api_key:manage).');
  expect(page).toContain(' kind required integration, resource_server ');
  expect(page).toContain(
    `curl -X POST "$KEYTURN_URL/admin/v1/clients" \\ -H "Authorization: Bearer $KEYTURN_OPERATOR_TOKEN" \\ -H 'Content-Type: application/json' \\ -d '{"name":"Order sync","kind":"integration","scope":"orders:read"}'`,
  );
  expect(page).toContain('"client_secret": "kts_');
  const publicPage = await read('/console/api/requestToken');
  expect(publicPage).toContain(
    `"${server.core.issuer}/oauth2/token" \\ -u "$CLIENT_ID:$CLIENT_SECRET" \\ -d 'grant_type=client_credentials'`,
  );
});

it('answers 404 for an operation that does not exist, and requires a session for the API reference', async () => {
  expect((await server.look('/console/api/nothing', cookie)).status).toBe(404);
  expect((await server.look('/console/api')).status).toBe(303);
});
