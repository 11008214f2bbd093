/**
 * `npm run bench:growth`: how speed and memory change with more clients, connections, live tokens, processes and time.
 * Uses real stores; prints results and never fails.
 */
import { parseArgs } from 'node:util';
import { startServices } from '../test/services.ts';
import { growClients } from './grow-clients.ts';
import { growConnections } from './grow-connections.ts';
import { growProcesses } from './grow-processes.ts';
import { growTime } from './grow-time.ts';
import { growTokens } from './grow-tokens.ts';
import { describeMachine, type Machine } from './report.ts';
import { leaveServersCore } from './server-process.ts';
import type { Table } from './table.ts';

export type Growth = Machine & { tables: Table[] };
type Stores = { databaseUrl: string; redisUrl: string };

const studies: Record<string, (stores: Stores) => Promise<Table>> = {
  clients: growClients,
  connections: growConnections,
  tokens: growTokens,
  processes: growProcesses,
  time: growTime,
};
const usage = `npm run bench:growth -- [--only ${Object.keys(studies).join('|')}]… [--json]`;

const { values } = parseArgs({
  options: { only: { type: 'string', multiple: true, default: Object.keys(studies) }, json: { type: 'boolean' } },
});
const chosen = values.only.map((name) => studies[name]);
if (chosen.includes(undefined)) {
  console.error(usage);
  process.exit(2);
}
leaveServersCore();
const stores = await startServices();
const tables: Table[] = [];
try {
  for (const study of chosen) {
    const table = await study?.(stores);
    if (!table) continue;
    tables.push(table);
    console.error(presentTable(table));
  }
} finally {
  await stores.stop();
}
const growth: Growth = { ...describeMachine(), tables };
if (values.json) console.log(JSON.stringify(growth, null, 2));

function presentTable({ title, head, rows }: Table): string {
  const lines = [head, ...rows].map((cells) => cells.map((cell) => cell.padStart(26)).join(''));
  return [`\n${title}`, ...lines].join('\n');
}
