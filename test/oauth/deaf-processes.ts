import { startAdminServer } from '../admin/admin-server.ts';
import { askPostgres } from '../services.ts';
import { endpointsOf, register } from './fixture.ts';

/**
 * Starts two processes of one deployment, here and there, that do not notify each other, so that each keeps outdated values
 * for as long as possible.
 */
export async function startDeafProcesses(env: Record<string, string> = {}) {
  const here = await startAdminServer({ env });
  await askPostgres(here.stores.databaseUrl, 'ALTER TABLE changes DISABLE TRIGGER changes_announce');
  const there = await startAdminServer({ env, stores: here.stores });
  const [atHere, atThere] = [endpointsOf(here.publicUrl), endpointsOf(there.publicUrl)];
  const resource = 'https://orders.example';
  const api = await register(here.core, { name: 'Orders', kind: 'resource_server', resource, information: ['orders'] });

  return {
    here,
    there,
    atHere,
    atThere,
    api,

    /** Changes something on the first process. @throws {Error} if it is rejected. */
    async change(method: string, path: string, body: object = {}) {
      const answer = await here.adminFetch(path, { method, body });
      if (answer.status !== 200 && answer.status !== 201)
        throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
      return answer.json;
    },

    /** Registers an integration and caches it in both processes. */
    async cachedClient(scope = 'orders:read') {
      const client = await register(here.core, { name: 'Shop', kind: 'integration', scope });
      for (const at of [atHere, atThere]) await at.introspect(api, await at.accessToken(client));
      return { client, path: `/clients/${client.id}` };
    },

    async close() {
      await there.close();
      await here.close();
    },
  };
}

export type DeafProcesses = Awaited<ReturnType<typeof startDeafProcesses>>;
