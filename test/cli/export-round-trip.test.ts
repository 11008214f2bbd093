import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { registerKeys } from '../../src/clients/client-rules.ts';
import { generateClient, type NewClient, registerClient } from '../../src/clients/manage-clients.ts';
import { dialectNames } from '../../src/configuration/dialects.ts';
import { permissions } from '../../src/contacts/contact.ts';
import { createContact } from '../../src/contacts/manage-contacts.ts';
import { textProblem } from '../../src/text/read-text.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { actor, register } from '../oauth/fixture.ts';
import { type Environment, runCommand } from './run-command.ts';

const grantor = { ...actor, permissions, organizationId: null };
const resource = 'https://orders.example.com';
/** Names that a reader could split, parse or take for scopes of OpenID Connect. */
const scopes = ['orders.read', 'a,b', "['a']", 'profile', 'https://x.example/y?z=1'].map((name) => ({
  name,
  description: 'Some',
}));
let servers: TestServer[];
/** Contacts that every deployment has, under other IDs. The second one has no external ID. */
const owners = [
  { name: 'Ann', email: 'ann@example.com', externalId: 'crm 4711' },
  { name: 'Bo', email: 'Bo@Example.com' },
];
const ownerIds = new Map<TestServer, string[]>();

beforeAll(async () => {
  servers = await Promise.all([startTestServer(), startTestServer(), startTestServer()]);
  for (const { core } of servers) {
    await register(core, { name: 'Orders', kind: 'resource_server', resource, information: ['orders'], scopes });
  }
  for (const server of servers) {
    const made = owners.map((input) =>
      server.core.change((transaction) => createContact(transaction, server.core, grantor, input)),
    );
    ownerIds.set(
      server,
      (await Promise.all(made)).map(({ id }) => id),
    );
  }
});
afterAll(() => Promise.all(servers.map((server) => server.close())));

const environmentOf = ({ stores }: TestServer): Environment => ({
  DATABASE_URL: stores.databaseUrl,
  KEYTURN_ROOT_KEY: stores.rootKey,
});

async function exportFrom(server: TestServer, format: string): Promise<string> {
  const { code, stdout, stderr } = await runCommand(['clients', 'export', '--format', format], environmentOf(server));
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

const name = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
    fc.constantFrom('=1+1', "'=1", "''=1", ' "a", b ', '-x', '@x;y'),
  )
  .filter((text) => textProblem(text, 200) === undefined);
const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const proof = fc.constantFrom(
  { authMethod: 'client_secret_basic' as const },
  { authMethod: 'client_secret_post' as const },
  {
    authMethod: 'private_key_jwt' as const,
    ...registerKeys('private_key_jwt', {
      jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'a, "b"' }] },
    }),
  },
  {
    authMethod: 'private_key_jwt' as const,
    ...registerKeys('private_key_jwt', { jwksUri: 'https://client.example.com/jwks?a=1,2' }),
  },
  {
    authMethod: 'tls_client_auth' as const,
    ...registerKeys('tls_client_auth', {
      certificateSubject: { field: 'tls_client_auth_subject_dn', value: 'CN=sync\\, main,O=Example' },
    }),
  },
);
const client = fc.record({
  input: fc.record({
    name,
    scope: fc.oneof(
      fc.constantFrom('', 'orders:read', 'orders:read orders:create'),
      fc.shuffledSubarray(scopes.map(({ name }) => name)).map((names) => ['orders:read', ...names].join(' ')),
      fc.constantFrom(...scopes.map(({ name }) => name)),
    ),
    accessKey: fc.constantFrom('optional' as const, 'required' as const),
    reveal: fc.boolean(),
    resource: fc.constantFrom(undefined, resource),
    certificateBoundTokens: fc.constantFrom(undefined, true, false),
    dpopBoundTokens: fc.boolean(),
    selfRotation: fc.boolean(),
    allowedNetworks: fc.constantFrom(null, ['203.0.113.0/24', '2001:db8::/48']),
    networkMode: fc.constantFrom('watch' as const, 'enforce' as const),
    description: fc.constantFrom(null, 'One line', ' Two\nlines, "quoted"; ', '=1+1'),
    labels: fc.dictionary(fc.stringMatching(/^[a-z]{1,9}$/), fc.constantFrom('', 'a=b', ' x ', 'müde'), { maxKeys: 3 }),
    metadata: fc.dictionary(fc.stringMatching(/^[a-z_]{1,9}$/), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 2 }),
    contacts: fc.array(fc.constantFrom('it@partner.example', 'Ann, "A" +49', '[1]'), { maxLength: 2 }),
    tokenTtlSeconds: fc.constantFrom(null, 60, 900, 86_400),
    dialects: fc.shuffledSubarray([...dialectNames]),
    claims: fc.dictionary(
      fc.stringMatching(/^x_[a-z]{1,9}$/),
      fc.oneof(fc.integer(), fc.boolean(), fc.constantFrom('', 'acme', '3'), fc.constant(['eu', 'us'])),
      { maxKeys: 3 },
    ),
  }),
  owner: fc.constantFrom(undefined, 0, 1),
  defaultScope: fc.constantFrom(null, '', 'orders:read'),
  proof,
});

test.each(['json', 'csv'])(
  'a %s export describes the same clients after it was imported into another deployment',
  async (format) => {
    const [from, ...others] = servers as [TestServer, TestServer, TestServer];
    const to = format === 'json' ? others[0] : others[1];
    const { core } = from;
    const ids = ownerIds.get(from) ?? [];
    for (const { input, owner, defaultScope, proof: authentication } of fc.sample(client, 60)) {
      const asked: NewClient = {
        kind: 'integration',
        ...input,
        ownerContactId: owner === undefined ? null : ids[owner],
        defaultScope: defaultScope && !input.scope.includes(defaultScope) ? null : defaultScope,
      };
      await core.change(async (transaction) => {
        if ('jwks' in authentication) await registerClient(transaction, core, actor, asked, authentication);
        else await generateClient(transaction, core, actor, { ...asked, ...authentication });
      });
    }
    const exported = await exportFrom(from, format);
    const imported = await runCommand(['clients', 'import', '-', '--fresh-secrets'], environmentOf(to), exported);
    expect(imported).toMatchObject({ code: 0, stderr: expect.stringMatching(/ imported, 0 rejected/) });
    const lines = (exported: string) => {
      // A contact has another ID in each deployment.
      const text = servers.reduce(
        (given, server) =>
          (ownerIds.get(server) ?? []).reduce((all, id, index) => all.replaceAll(id, `${index}`), given),
        exported,
      );
      return (
        format === 'json'
          ? (JSON.parse(text) as { client_id: string }[]).map((one) => JSON.stringify(one))
          : text.split('\n')
      ).sort();
    };
    expect(lines(await exportFrom(to, format))).toEqual(lines(exported));

    // Importing into the same deployment imports and changes nothing.
    const back = await runCommand(['clients', 'import', '-', '--fresh-secrets'], environmentOf(from), exported);
    expect(back).toMatchObject({ code: 1, stdout: '' });
    expect(await exportFrom(from, format)).toBe(exported);
  },
);
