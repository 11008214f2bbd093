import { adminEndpoints } from '../../src/admin/endpoints.ts';
import { makePair } from '../oauth/assertion.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

let here: AdminServer;
let there: AdminServer;

beforeAll(async () => {
  here = await startAdminServer();
  there = await startAdminServer({ stores: here.stores });
  await create('/clients', {
    name: 'Orders',
    kind: 'resource_server',
    resource: 'https://orders.example',
    information: ['orders'],
  });
});
afterAll(async () => {
  await there?.close();
  await here?.close();
});

async function create(path: string, body: object): Promise<Record<string, string>> {
  const answer = await here.adminFetch(path, { method: 'POST', body });
  if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${answer.text}`);
  return answer.json;
}

const createContact = () =>
  create('/contacts', { name: 'Ann', email: `ann${Math.random().toString(36).slice(2)}@example.com` });

/** Each endpoint that checks If-Match: how its resource is created, and the changes that requests compete for. */
const table: Record<string, { make: () => Promise<string>; change: (value: string) => Promise<object> | object }[]> = {
  'patch /clients/{client_id}': [
    {
      make: async () => `/clients/${(await create('/clients', { name: 'Shop', kind: 'integration' }))['client_id']}`,
      change: (name) => ({ name }),
    },
    {
      make: async () => {
        const jwks = { keys: [(await makePair()).publicJwk] };
        const body = { name: 'Shop', kind: 'integration', auth_method: 'private_key_jwt', jwks };
        return `/clients/${(await create('/clients', body))['client_id']}`;
      },
      // A client whose keys were never used may replace them without a review.
      change: async (name) => ({ name, jwks: { keys: [(await makePair()).publicJwk] } }),
    },
  ],
  'patch /contacts/{id}': [
    { make: async () => `/contacts/${(await createContact())['id']}`, change: (name) => ({ name }) },
  ],
  'patch /organizations/{id}': [
    {
      make: async () => `/organizations/${(await create('/organizations', { name: 'Acme' }))['id']}`,
      change: (name) => ({ name }),
    },
  ],
  'patch /trusts/{id}': [
    {
      make: async () => {
        const { client_id: clientId } = await create('/clients', { name: 'Shop', kind: 'integration' });
        const conditions = [{ claim: 'sub', equals: 'shop' }];
        const trust = { client_id: clientId, name: 'Trust', issuer: 'https://issuer.example', conditions };
        return `/trusts/${(await create('/trusts', trust))['id']}`;
      },
      change: (name) => ({ name }),
    },
  ],
  'patch /identity-providers/{id}': [
    {
      make: async () => {
        const provider = { name: 'Login', issuer: 'https://login.example', client_id: 'keyturn' };
        return `/identity-providers/${(await create('/identity-providers', provider))['id']}`;
      },
      change: (name) => ({ name }),
    },
  ],
  'patch /webhooks/{id}': [
    {
      make: async () => {
        const webhook = { name: 'Orders', url: 'https://receiver.example/' };
        return `/webhooks/${(await create('/webhooks', webhook))['id']}`;
      },
      change: (name) => ({ name }),
    },
  ],
  'patch /access-keys/{id}': [
    {
      make: async () => {
        const contact = await createContact();
        const key = await create(`/contacts/${contact['id']}/access-keys`, {
          name: 'Key',
          permissions: { orders: ['read'] },
        });
        return `/access-keys/${key['id']}`;
      },
      change: (name) => ({ name }),
    },
  ],
};

/**
 * Settings, which are changed one by one, and resources with one field that people change: a change there overwrites
 * nothing that it does not name.
 */
const withoutRevision = [
  '/notices/settings',
  '/approvals/settings',
  '/approvals/{id}',
  '/operator-tokens/{id}',
  '/policies/{name}',
];

test('the table has each endpoint that changes a resource by PATCH, and each checks If-Match', () => {
  const declared = adminEndpoints(here.core).filter(
    ({ method, path, conditional }) => (method === 'patch' && !withoutRevision.includes(path)) || conditional,
  );
  expect(declared.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(Object.keys(table).sort());
  expect(declared.filter(({ conditional }) => !conditional)).toEqual([]);
});

const cases = Object.entries(table).flatMap(([endpoint, each]) => each.map((one, at) => [endpoint, at, one] as const));

test.each(cases)(
  '%s (%i): of six changes on two processes at once with the same If-Match, exactly one is made',
  async (_, __, { make, change }) => {
    const path = await make();
    for (let round = 0; round < 5; round++) {
      const ifMatch = (await there.adminFetch(path)).headers.get('etag') ?? '';
      const names = Array.from({ length: 6 }, (_each, index) => `Round ${round}, ${index}`);
      const bodies = await Promise.all(names.map((name) => change(name)));
      const answers = await Promise.all(
        bodies.map((body, index) =>
          (index % 2 === 0 ? here : there).adminFetch(path, {
            method: 'PATCH',
            body,
            headers: { 'if-match': ifMatch },
          }),
        ),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412, 412, 412]);
      const winner = answers.findIndex(({ status }) => status === 200);
      const after = await here.adminFetch(path);
      expect(after.json.name).toBe(names[winner]);
      expect(after.headers.get('etag')).toBe(answers[winner]?.headers.get('etag'));
      expect(after.headers.get('etag')).not.toBe(ifMatch);
    }
  },
);
