import { eventually } from '../eventually.ts';
import { makeAssertion, makePair, postAssertion, registerKeyClient } from './assertion.ts';
import { type DeafProcesses, startDeafProcesses } from './deaf-processes.ts';
import { inactive, register, type TestClient } from './fixture.ts';

const env = { KEYTURN_STANDALONE_KEYS: 'on' };
const jwtResource = 'https://bills.example';

let here: DeafProcesses['here'];
let there: DeafProcesses['there'];
let atHere: DeafProcesses['atHere'];
let atThere: DeafProcesses['atThere'];
let api: DeafProcesses['api'];
let change: DeafProcesses['change'];
let cachedClient: DeafProcesses['cachedClient'];
let close: DeafProcesses['close'] | undefined;
let bills: TestClient;
const information = ['bills'];

beforeAll(async () => {
  ({ here, there, atHere, atThere, api, change, cachedClient, close } = await startDeafProcesses(env));
  const jwt = { resource: jwtResource, tokenFormat: 'jwt' } as const;
  bills = await register(here.core, { name: 'Bills', kind: 'resource_server', ...jwt, information });
});
afterAll(() => close?.());

const isIssuedThere = async (client: TestClient, form: Record<string, string> = {}) =>
  (await atThere.token(client, form)).status === 200;

async function createContact() {
  return await change('POST', '/contacts', { name: 'Ann', email: 'ann@example.com' });
}

/** Changes that make something valid on one process, each used on the other one right after the answer. */
const uses: Record<string, () => Promise<boolean>> = {
  'a client of an organization that was enabled again': async () => {
    const organization = await change('POST', '/organizations', { name: `Acme ${Math.random()}` });
    const { client, path } = await cachedClient();
    await change('PATCH', path, { organization_id: organization.id });
    await change('POST', `/organizations/${organization.id}/disable`);
    await eventually(async () => (await atThere.token(client)).status === 401);
    await change('POST', `/organizations/${organization.id}/enable`);
    return await isIssuedThere(client);
  },
  'a resource server that was enabled again': async () => {
    const { client } = await cachedClient();
    await change('POST', `/clients/${api.id}/disable`);
    await eventually(async () => (await atThere.introspect(api, 'x')).status === 401);
    await change('POST', `/clients/${api.id}/enable`);
    return (await atThere.introspect(api, await atHere.accessToken(client))).text !== inactive;
  },
  'new information of a resource server': async () => {
    const { client, path } = await cachedClient();
    await isIssuedThere(client, { scope: 'parcels:read' });
    const name = `parcels${Math.floor(Math.random() * 1e9)}`;
    information.push(name);
    await change('PATCH', `/clients/${bills.id}`, { information });
    await change('PATCH', path, { scope: `orders:read ${name}:read` });
    return await isIssuedThere(client, { scope: `${name}:read`, resource: jwtResource });
  },
  'a request without an access key, which is no longer required': async () => {
    const { client, path } = await cachedClient();
    await change('PATCH', path, { access_key: 'required' });
    await eventually(async () => !(await isIssuedThere(client)));
    await change('PATCH', path, { access_key: 'optional' });
    return await isIssuedThere(client);
  },
  'a request without a proof, which is no longer required': async () => {
    const { client, path } = await cachedClient();
    await change('PATCH', path, { dpop_bound_access_tokens: true });
    await eventually(async () => !(await isIssuedThere(client)));
    await change('PATCH', path, { dpop_bound_access_tokens: false });
    return await isIssuedThere(client);
  },
  'a request without a resource, which the client has a default for': async () => {
    const { client, path } = await cachedClient();
    await change('PATCH', path, { scope: 'orders:read bills:read' });
    await eventually(async () => !(await isIssuedThere(client)));
    await change('PATCH', path, { resource: jwtResource });
    return await isIssuedThere(client);
  },
  'a key that was added': async () => {
    const [first, second] = [await makePair(), await makePair()];
    const id = await registerKeyClient(here.core, { jwks: { keys: [first.publicJwk] } }, { scope: 'orders:read' });
    const ask = async (pair: typeof first) =>
      (await postAssertion(`${there.publicUrl}/oauth2/token`, await makeAssertion(pair, id, here.core.config.issuer)))
        .status;
    if ((await ask(first)) !== 200) throw new Error('the first key is not accepted');
    await change('PATCH', `/clients/${id}`, { jwks: { keys: [first.publicJwk, second.publicJwk] } });
    return (await ask(second)) === 200;
  },
  'a JWT of a new signing key': async () => {
    const { client } = await cachedClient('bills:read');
    await change('POST', '/signing-keys/rotate');
    const token = await atHere.accessToken(client);
    return (await atThere.introspect(bills, token)).text !== inactive;
  },
  'a stand-alone access key that is new, and one that was enabled again': async () => {
    const contact = await createContact();
    const key = await change('POST', `/contacts/${contact.id}/access-keys`, {
      name: `k${Math.random()}`,
      permissions: { orders: ['read'] },
      standalone: true,
    });
    const value = key.access_key as string;
    if ((await atThere.introspect(api, value)).text === inactive) return false;
    await change('POST', `/access-keys/${key.id}/disable`);
    await eventually(async () => (await atThere.introspect(api, value)).text === inactive);
    await change('POST', `/access-keys/${key.id}/enable`);
    return (await atThere.introspect(api, value)).text !== inactive;
  },
  'a token whose access key was enabled again': async () => {
    const { client } = await cachedClient();
    const contact = await createContact();
    const key = await change('POST', `/contacts/${contact.id}/access-keys`, {
      name: `k${Math.random()}`,
      permissions: { orders: ['read'] },
    });
    const token = await atThere.accessToken(client, { access_key: key.access_key as string });
    await change('POST', `/access-keys/${key.id}/disable`);
    await eventually(async () => (await atThere.introspect(api, token)).text === inactive);
    await change('POST', `/access-keys/${key.id}/enable`);
    return (await atThere.introspect(api, token)).text !== inactive;
  },
};

test.each(Object.keys(uses))('a process accepts what another one has just made valid: %s', async (name) => {
  for (let round = 0; round < 3; round++) expect([round, await uses[name]?.()]).toEqual([round, true]);
});
