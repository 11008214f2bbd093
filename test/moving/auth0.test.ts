import { randomBytes } from 'node:crypto';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { runCommand, runJson } from '../cli/run-command.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { send } from '../oauth/http-client.ts';
import { createUnchangedPrograms, type UnchangedPrograms } from './unchanged-programs.ts';

/** A file of the shape of a tenant of Auth0, which runs nowhere else, and the programs that used the tenant. */

const resource = 'https://api.example.com/';
const reports = 'https://reports.example.com/';
const registered = {
  id: 'q7Yd2LfP9xVtR4mZsK8bNcW1gHjE5uAo',
  secret: randomBytes(48).toString('base64url'),
  scope: 'read:orders',
  audience: resource,
};
const tenant = {
  clients: [
    {
      tenant: 'shop',
      global: false,
      name: 'Order sync',
      client_id: registered.id,
      client_secret: registered.secret,
      app_type: 'non_interactive',
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'client_secret_post',
      jwt_configuration: { alg: 'RS256', lifetime_in_seconds: 36_000, secret_encoded: false },
      is_first_party: true,
      oidc_conformant: true,
      custom_login_page_on: true,
    },
  ],
  client_grants: [
    {
      id: 'cgr_1a2B3c4D5e6F7g8H',
      client_id: registered.id,
      audience: resource,
      scope: ['read:orders', 'write:orders'],
    },
    { id: 'cgr_2a2B3c4D5e6F7g8H', client_id: registered.id, audience: reports, scope: ['read:reports'] },
  ],
};

let programs: UnchangedPrograms;
let server: AdminServer;
let api: { id: string; secret: string };
let environment: Record<string, string>;

beforeAll(async () => {
  programs = await createUnchangedPrograms();
  server = await startAdminServer();
  environment = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
  const registerApi = async (identifier: string, names: string[]) => {
    const scopes = names.map((name) => ({ name, description: `Permission ${name}` }));
    const body = { name: identifier, kind: 'resource_server', resource: identifier, scopes };
    return await server.adminFetch('/clients', { method: 'POST', body });
  };
  const { json } = await registerApi(resource, ['read:orders', 'write:orders']);
  await registerApi(reports, ['read:reports']);
  api = { id: json.client_id, secret: json.client_secret };
  const imported = await runCommand(['clients', 'import', '-'], environment, JSON.stringify(tenant));
  expect(imported).toMatchObject({ code: 0, stderr: expect.stringContaining('1 imported, 0 rejected.') });
});
afterAll(async () => {
  await server?.close();
  await programs?.remove();
});

const stateOf = async (token: string) => (await endpointsOf(server.publicUrl).introspect(api, token)).json;

/** The request of Auth0's documentation: JSON, with an audience, at the path of Auth0. */
const askAsDocumented = () =>
  send(`${server.publicUrl}/oauth/token`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      client_id: registered.id,
      client_secret: registered.secret,
      audience: registered.audience,
      grant_type: 'client_credentials',
    }),
  });

it('gives tokens for the old audience to unchanged programs at the path of Auth0, once the dialects of the client are on', async () => {
  expect((await askAsDocumented()).status).toBe(404);
  const on = ['--dialect', 'audience,json_body,other_paths'];
  await runJson(['clients', 'update', registered.id, ...on], environment);

  const documented = await askAsDocumented();
  expect(documented).toMatchObject({ status: 200, json: { scope: 'read:orders write:orders' } });
  expect(await stateOf(String(documented.json['access_token']))).toMatchObject({
    client_id: registered.id,
    aud: resource,
  });

  const tokens = await programs.getTokens(`${server.publicUrl}/oauth/token`, registered);
  expect(Object.keys(tokens)).toEqual(programs.names());
  for (const token of Object.values(tokens)) {
    expect(await stateOf(token)).toMatchObject({ client_id: registered.id, scope: 'read:orders', aud: resource });
  }
});
