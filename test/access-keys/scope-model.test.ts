import fc from 'fast-check';
import { toPermissions } from '../../src/access-keys/access-key.ts';
import { createAccessKey, saveKey, setAccessKeyEnabled } from '../../src/access-keys/manage-access-keys.ts';
import { actions } from '../../src/clients/declared-scopes.ts';
import { updateClient } from '../../src/clients/manage-clients.ts';
import { permissions } from '../../src/contacts/contact.ts';
import { createContact } from '../../src/contacts/manage-contacts.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { actor, endpointsOf, register, registerAll, type TestClient } from '../oauth/fixture.ts';

const all = ['orders', 'products'].flatMap((kind) => actions.map((action) => `${kind}:${action}`));
const scopes = fc.uniqueArray(fc.constantFrom(...all), { maxLength: all.length });
const some = fc.uniqueArray(fc.constantFrom(...all), { minLength: 1, maxLength: 4 });
const steps = fc.array(
  fc.oneof(
    fc.record({ act: fc.constantFrom('save' as const, 'client' as const), scope: scopes }),
    fc.record({ act: fc.constantFrom('disable' as const, 'enable' as const), scope: fc.constant<string[]>([]) }),
  ),
  { maxLength: 5 },
);

let server: TestServer;
let orders: TestClient;
let endpoints: ReturnType<typeof endpointsOf>;
let contactId: string;
let made = 0;

beforeAll(async () => {
  server = await startTestServer();
  endpoints = endpointsOf(server.publicUrl);
  orders = (await registerAll(server.core)).orders;
  const grantor = { ...actor, permissions, organizationId: null };
  const input = { name: 'Ann', email: 'ann@example.com' };
  contactId = (await server.core.change((tx) => createContact(tx, server.core, grantor, input))).id;
});
afterAll(() => server.close());

/** Returns the scope that should be granted, as the reference model. */
function granted(asked: readonly string[] | undefined, client: readonly string[], key: readonly string[]): string[] {
  return (asked ?? all).filter((scope) => client.includes(scope) && key.includes(scope));
}

test('the granted scope is the intersection of request, client and key, also in introspection after any change', async () => {
  await fc.assert(
    fc.asyncProperty(some, scopes, fc.option(some, { nil: undefined }), steps, async (client, key, asked, changes) => {
      made += 1;
      const { core } = server;
      const integration = await register(core, { name: `C${made}`, kind: 'integration', scope: client.join(' ') });
      const input = { name: `K${made}`, permissions: toPermissions(key) };
      const created = await core.change((tx) => createAccessKey(tx, core, actor, contactId, input));
      const form = { access_key: created.accessKey, ...(asked ? { scope: asked.join(' ') } : {}) };
      const answer = await endpoints.token(integration, form);

      const allowed = granted(undefined, client, key);
      const mayBeIssued = allowed.length > 0 && (asked ?? []).every((scope) => allowed.includes(scope));
      if (!mayBeIssued) {
        expect(answer.json['error']).toBe('invalid_scope');
        return;
      }
      const atIssue = granted(asked, client, key);
      expect(new Set((answer.json['scope'] as string).split(' '))).toEqual(new Set(atIssue));

      let today: readonly string[] = key;
      let clientToday: readonly string[] = client;
      let enabled = true;
      for (const { act, scope } of [{ act: 'none', scope: [] }, ...changes]) {
        const { id } = created.key;
        if (act === 'client') {
          clientToday = scope;
          await core.change((tx) => updateClient(tx, core, actor, integration.id, { scope: scope.join(' ') }));
        } else if (act === 'save') {
          today = scope;
          await core.change((tx) => saveKey(tx, core, actor, id, { permissions: toPermissions(scope) }));
        } else if (act !== 'none') {
          enabled = act === 'enable';
          await core.change((tx) => setAccessKeyEnabled(tx, core, actor, id, enabled));
        }
        const expected = enabled ? granted(atIssue, clientToday, today) : [];
        const { json } = await endpoints.introspect(orders, answer.json['access_token'] as string);
        expect(json['active']).toBe(expected.length > 0);
        expect(new Set((json['scope'] as string | undefined)?.split(' ') ?? [])).toEqual(new Set(expected));
      }
    }),
    { numRuns: 150 },
  );
});
