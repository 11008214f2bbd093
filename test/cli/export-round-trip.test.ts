import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { registerKeys } from '../../src/clients/client-rules.ts';
import { generateClient, type NewClient, registerClient } from '../../src/clients/manage-clients.ts';
import { textProblem } from '../../src/text/read-text.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { actor, register } from '../oauth/fixture.ts';
import { type Environment, runCommand } from './run-command.ts';

const resource = 'https://orders.example.com';
let servers: TestServer[];

beforeAll(async () => {
  servers = await Promise.all([startTestServer(), startTestServer(), startTestServer()]);
  for (const { core } of servers) {
    await register(core, { name: 'Orders', kind: 'resource_server', resource, information: ['orders'] });
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
    scope: fc.constantFrom('', 'orders:read', 'orders:read orders:create'),
    accessKey: fc.constantFrom('optional' as const, 'required' as const),
    reveal: fc.boolean(),
    resource: fc.constantFrom(undefined, resource),
    certificateBoundTokens: fc.constantFrom(undefined, true, false),
    dpopBoundTokens: fc.boolean(),
  }),
  proof,
});

test.each(['json', 'csv'])(
  'a %s export describes the same clients after it was imported into another deployment',
  async (format) => {
    const [from, ...others] = servers as [TestServer, TestServer, TestServer];
    const to = format === 'json' ? others[0] : others[1];
    const { core } = from;
    for (const { input, proof: authentication } of fc.sample(client, 60)) {
      const asked: NewClient = { kind: 'integration', ...input };
      await core.change(async (transaction) => {
        if ('jwks' in authentication) await registerClient(transaction, core, actor, asked, authentication);
        else await generateClient(transaction, core, actor, { ...asked, ...authentication });
      });
    }
    const exported = await exportFrom(from, format);
    const imported = await runCommand(['clients', 'import', '-', '--fresh-secrets'], environmentOf(to), exported);
    expect(imported).toMatchObject({ code: 0, stderr: expect.stringMatching(/ imported, 0 rejected/) });
    const lines = (text: string) =>
      (format === 'json'
        ? (JSON.parse(text) as { client_id: string }[]).map((one) => JSON.stringify(one))
        : text.split('\n')
      ).sort();
    expect(lines(await exportFrom(to, format))).toEqual(lines(exported));

    // Importing into the same deployment imports and changes nothing.
    const back = await runCommand(['clients', 'import', '-', '--fresh-secrets'], environmentOf(from), exported);
    expect(back).toMatchObject({ code: 1, stdout: '' });
    expect(await exportFrom(from, format)).toBe(exported);
  },
);
