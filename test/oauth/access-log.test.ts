import { createLog } from '../../src/observability/log.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { endpointsOf, registerAll } from './fixture.ts';

test.each([
  ['on', 4],
  ['off', 0],
])('with KEYTURN_ACCESS_LOG=%s, logs %i requests and counts all of them in the metrics', async (setting, logged) => {
  const lines: string[] = [];
  const log = createLog('info', { write: (line) => void lines.push(line) });
  const server: AdminServer = await startAdminServer({ env: { KEYTURN_ACCESS_LOG: setting }, log });
  const clients = await registerAll(server.core);
  const api = endpointsOf(server.publicUrl);
  const metrics = () => fetch(`${server.adminUrl}/metrics`).then((answer) => answer.text());
  lines.length = 0;
  const token = await api.accessToken(clients.shop);
  await api.introspect(clients.orders, token);
  expect((await api.token(clients.shop, { scope: 'nothing:read' })).status).toBe(400);
  const text = await metrics();
  expect(lines.filter((line) => /"msg":"(admin )?request"/.test(line))).toHaveLength(logged);
  expect(text).toMatch(/keyturn_requests_total\{[^}]*"\/oauth2\/token"[^}]*"4xx"[^}]*\} 1/);
  expect(text).toMatch(/keyturn_tokens_issued_total 1/);
  await server.close();
});
