import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../eventually.ts';
import { createTestStores, startTestServer } from '../harness.ts';
import { endpointsOf, registerAll, type TestClient } from '../oauth/fixture.ts';
import { post, send } from '../oauth/http-client.ts';
import { type ChildServer, startChildServer } from './child-server.ts';

describe.each([{ KEYTURN_FAST_PATH: 'on' }, { KEYTURN_FAST_PATH: 'off' }])(
  'a process that was stopped for two seconds, %o',
  (env) => {
    let child: ChildServer;
    let clients: { shop: TestClient; orders: TestClient };

    beforeAll(async () => {
      const stores = await createTestStores();
      const registrar = await startTestServer({ stores });
      clients = await registerAll(registrar.core);
      await registrar.close();
      child = await startChildServer(stores, env);
    });

    afterAll(() => child?.terminate());

    it('rejects the accumulated requests with 503, is not ready meanwhile, and recovers at once', async () => {
      const api = endpointsOf(child.publicUrl);
      const token = await api.accessToken(clients.shop);
      const { shop, orders } = clients;
      // Open connections, so that all requests are read in the same turn of the event loop.
      const agent = new Agent({ keepAlive: true });
      const askAll = () => [
        ...Array.from({ length: 20 }, () =>
          post(api.tokenUrl, { grant_type: 'client_credentials' }, { basic: [shop.id, shop.secret], agent }),
        ),
        ...Array.from({ length: 20 }, () =>
          post(api.introspectionUrl, { token }, { basic: [orders.id, orders.secret], agent }),
        ),
        send(`${child.publicUrl}/readyz`, { agent }),
        send(`${child.publicUrl}/healthz`, { agent }),
      ];
      await Promise.all(askAll());
      child.process.kill('SIGSTOP');
      const all = askAll();
      const [readiness, liveness] = all.slice(-2);
      const waiting = all.slice(0, -2);
      await delay(2_000);
      child.process.kill('SIGCONT');

      expect(await readiness).toMatchObject({ status: 503, json: { status: 'overloaded' } });
      expect((await liveness)?.status).toBe(200);
      for (const answer of await Promise.all(waiting)) {
        expect(answer).toMatchObject({ status: 503, json: { error: 'temporarily_unavailable' } });
        expect(answer.headers['retry-after']).toBe('1');
      }
      agent.destroy();
      await eventually(async () => (await send(`${child.publicUrl}/readyz`)).status === 200);
      expect((await api.introspect(orders, token)).json['active']).toBe(true);
      expect((await api.token(shop)).status).toBe(200);
    });

    it('rejects no request after a pause of a quarter of a second', async () => {
      const api = endpointsOf(child.publicUrl);
      // A busy machine can make a pause longer than it was meant to be, which another attempt shows.
      await eventually(async () => {
        child.process.kill('SIGSTOP');
        const waiting = Array.from({ length: 20 }, () => api.token(clients.shop));
        await delay(250);
        child.process.kill('SIGCONT');
        return (await Promise.all(waiting)).every(({ status }) => status === 200);
      });
    });
  },
);
