import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { appendAuditEvent } from '../../src/audit/audit-log.ts';
import { createAuditStreams } from '../../src/audit/stream-audit-log.ts';
import { verifyAuditLog } from '../../src/audit/verify-audit-log.ts';
import { readConfig } from '../../src/config.ts';
import { runCommand } from '../cli/run-command.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';
import { askPostgres } from '../services.ts';
import { startReceivers } from './stream-receivers.ts';

const dayMs = 86_400_000;
let server: ConsoleServer;
let directory: string;
let ann: string;
let annsToken: string;
let shift: number;

/** Ann was invited 400 days ago, signed in with a token, changed another contact, and was deleted. */
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyturn-erasure-'));
  shift = 400 * dayMs;
  server = await startConsole({ clock: () => Date.now() - shift });
  const body = { name: 'Ann Lee', email: 'Ann@Example.com', external_id: 'hr-77', permissions: ['contacts:manage'] };
  ann = (await server.adminFetch('/contacts', { method: 'POST', body })).json.id;
  annsToken = (await server.adminFetch(`/contacts/${ann}/operator-token`, { method: 'POST' })).json.operator_token;
  const bob = await server.adminFetch('/contacts', {
    method: 'POST',
    token: annsToken,
    body: { name: 'Bob Ray', email: 'bob@example.com', permissions: [] },
  });
  expect(bob.status).toBe(201);
  await server.core.change(async (transaction) => {
    const about = { at: new Date(Date.now() - shift), actor: { id: 'op', name: 'Zoë', address: '192.0.2.1' } };
    await appendAuditEvent(transaction, {
      ...about,
      action: 'client.hand_over',
      targetType: 'client',
      target: 'kti_1',
      after: { email: 'ann@example.com' },
    });
    await appendAuditEvent(transaction, {
      ...about,
      action: 'notices.switch',
      targetType: 'address',
      target: 'mailto:ann@example.com',
    });
  });
});
afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

const remove = async () => expect((await server.adminFetch(`/contacts/${ann}`, { method: 'DELETE' })).status).toBe(204);
const erase = (contact_id = ann) => server.adminFetch('/audit-events/erase', { method: 'POST', body: { contact_id } });
const environment = () => ({
  DATABASE_URL: server.stores.databaseUrl ?? '',
  KEYTURN_ROOT_KEY: server.stores.rootKey ?? '',
});
const run = (...args: string[]) => runCommand(args, environment());
async function verify(...args: string[]) {
  const { stdout } = await run('audit', 'verify', '--json', ...args);
  return JSON.parse(stdout) as { erased: number; finding: { seq: number; problem: string } | null; files?: unknown };
}
const findProblem = async () => (await verifyAuditLog(server.core.database, server.core.keyRing)).finding;
const ask = (sql: string) => askPostgres(server.stores.databaseUrl ?? '', sql);
/** Runs SQL without triggers, as the owner of the database can. */
const tamper = (sql: string) => ask(`SET session_replication_role = replica; ${sql}`);
const seqOf = async (condition: string) =>
  (await ask(`SELECT seq::int AS seq FROM audit_events WHERE ${condition} ORDER BY seq LIMIT 1`))[0]?.['seq'] as number;
const stored = async () => JSON.stringify(await ask('SELECT to_jsonb(e) AS event FROM audit_events e'));
const ofAnn = /Ann Lee|ann@example\.com|hr-77/i;

test('erases what identifies a deleted contact, and the audit log still verifies', async () => {
  expect(await erase()).toMatchObject({ status: 409, json: { code: 'contact_exists' } });
  expect(await erase(crypto.randomUUID())).toMatchObject({ status: 404 });
  await remove();
  expect(await stored()).toMatch(ofAnn);
  expect(await verify()).toMatchObject({ finding: null, erased: 0 });

  const { status, json } = await erase();
  expect(status).toBe(200);
  expect(json).toMatchObject({ contact_id: ann, kept_events: 0, archived_until: null });
  expect(await stored()).not.toMatch(ofAnn);
  expect(await verify()).toMatchObject({ finding: null, erased: json.erased_events });
  // The values of others stay, also in what she did.
  expect(await stored()).toContain('bob@example.com');
  const events = (await server.adminFetch('/audit-events?limit=200')).json.data;
  const find = (action: string, target: string) =>
    events.find((event: { action: string; target: string }) => event.action === action && event.target === target);
  expect(find('contact.create', ann)).toMatchObject({
    erased: true,
    actor_name: expect.stringContaining('Operator'),
    after: { name: 'erased', email: 'erased', external_id: 'erased', permissions: ['contacts:manage'] },
  });
  expect(find('notices.switch', 'erased')).toMatchObject({ erased: true, actor_name: 'Zoë' });
  expect(find('client.hand_over', 'kti_1')).toMatchObject({ erased: true, after: { email: 'erased' } });
  expect(find('audit.erase', ann)).toMatchObject({ erased: false, after: { events: json.erased_events } });
  const own = (await server.adminFetch(`/audit-events?actor=${ann}`)).json.data;
  expect(own).toMatchObject([{ actor_name: 'erased', address: 'erased', after: { name: 'Bob Ray' } }]);

  expect((await erase()).json).toMatchObject({ erased_events: 0 });
  expect((await server.adminFetch('/audit-events?action=audit.erase')).json.data).toHaveLength(1);
  // It verifies after further events, and from a checkpoint.
  await server.adminFetch('/contacts', {
    method: 'POST',
    body: { name: 'Cy', email: 'c@example.com', permissions: [] },
  });
  expect(await verify('--recent')).toMatchObject({ finding: null });
  expect(await verify()).toMatchObject({ finding: null });
});

test('the command line and the console erase a contact, and show that it was erased', async () => {
  await remove();
  const cookie = await server.signIn(await server.operatorToken());
  expect((await server.look('/console/audit', cookie)).text).toContain(`/console/audit/erase?contact=${ann}`);
  expect((await server.look(`/console/audit/erase?contact=${ann}`, cookie)).text).toContain('Ann Lee');
  const form = { contact: ann, name: 'Ann Lee' };
  const done = await server.sendAndLook('/console/audit/erase', form, cookie);
  expect(done.text).toContain('Erased. The events stay');
  expect(done.text).not.toMatch(ofAnn);
  expect((await server.look('/console/audit/verify', cookie)).text).toMatch(
    /Personal values of \d+ events were erased/,
  );
  expect((await run('audit', 'verify')).stdout).toMatch(/^erased {6}personal values of \d+ events$/m);

  const body = { name: 'Dee', email: 'dee@example.com', permissions: [] };
  const dee = (await server.adminFetch('/contacts', { method: 'POST', body })).json.id;
  await server.adminFetch(`/contacts/${dee}`, { method: 'DELETE' });
  expect((await run('audit', 'erase', dee, '--yes')).stdout).toContain('values of 2 events');
  expect(await stored()).not.toContain('dee@example.com');
});

test('verification finds values that were removed, restored or replaced without the root key', async () => {
  await remove();
  const created = await seqOf(`action = 'contact.create' AND target = '${ann}'`);
  const acted = await seqOf(`actor = '${ann}'`);
  const mailed = await seqOf(`action = 'notices.switch'`);
  const changed = (seq: number) => ({ seq, problem: 'changed' });
  const unexplained = (seq: number) => ({ seq, problem: 'erased_without_event' });
  await tamper('CREATE TABLE original AS SELECT * FROM audit_events');
  const blank = (seq: number) => `UPDATE audit_events SET actor_salt = NULL, subject_salt = NULL WHERE seq = ${seq}`;

  async function expectFindings(table: string, cases: [string, (sql: string) => Promise<unknown>, object][]) {
    for (const [sql, change, finding] of cases) {
      await change(sql);
      expect([sql, await findProblem()]).toEqual([sql, finding]);
      await tamper(`DELETE FROM audit_events; INSERT INTO audit_events SELECT * FROM ${table}`);
      expect(await findProblem()).toBeNull();
    }
  }
  await expectFindings('original', [
    // The database itself allows these, because erasing needs no root key.
    [blank(created), ask, unexplained(created)],
    [blank(acted), ask, unexplained(acted)],
    [blank(mailed), ask, unexplained(mailed)],
    [blank(mailed), tamper, changed(mailed)],
    [`UPDATE audit_events SET actor_name = 'Eve' WHERE seq = ${acted}`, tamper, changed(acted)],
    [`UPDATE audit_events SET after = after || '{"name":"Eve"}' WHERE seq = ${created}`, tamper, changed(created)],
    [`UPDATE audit_events SET personal = NULL WHERE seq = ${created}`, tamper, changed(created)],
  ]);

  expect((await erase()).status).toBe(200);
  await tamper('CREATE TABLE erased AS SELECT * FROM audit_events');
  const other = await seqOf(`actor <> '${ann}' AND target <> '${ann}' AND action = 'contact.create'`);
  await expectFindings('erased', [
    [blank(other), ask, unexplained(other)],
    [`UPDATE audit_events SET actor_name = 'Ann Lee' WHERE seq = ${acted}`, tamper, changed(acted)],
    [`UPDATE audit_events SET actor_name = 'Eve', actor_salt = 'eve' WHERE seq = ${acted}`, tamper, changed(acted)],
    [`UPDATE audit_events SET personal = personal || '{"actor": "x"}' WHERE seq = ${acted}`, tamper, changed(acted)],
    [
      `UPDATE audit_events SET after = after || '{"further": []}' WHERE action = 'audit.erase'`,
      tamper,
      changed(await seqOf(`action = 'audit.erase'`)),
    ],
  ]);
  for (const sql of [
    `UPDATE audit_events SET actor_name = 'Ann Lee' WHERE seq = ${acted}`,
    `UPDATE audit_events SET actor_salt = 'x' WHERE seq = ${acted}`,
    `UPDATE audit_events SET subject_salt = NULL, actor_name = 'x' WHERE seq = ${other}`,
  ]) {
    await expect(ask(sql)).rejects.toThrow('append-only');
  }
});

test('receivers and archives get "erased", and what they have verifies', async () => {
  const { https, otlp, syslog, ca } = await startReceivers();
  const stream = async (name: string) => {
    https.lines = [];
    const streams = JSON.stringify([{ name, url: https.url, ca }]);
    const { auditStreams } = readConfig({ KEYTURN_AUDIT_STREAMS: streams });
    const sender = createAuditStreams({ ...server.core, database: server.core.unlimitedDatabase, auditStreams });
    await sender.turn();
    await sender.close();
    const file = join(directory, `${name}.jsonl`);
    writeFileSync(file, `${https.lines.join('\n')}\n`);
    return file;
  };
  await remove();
  const earlier = await stream('earlier');
  const erased = (await erase()).json.erased_events;
  shift = 0;
  await server.operator();
  const later = await stream('later');
  for (const receiver of [https, otlp, syslog]) await receiver.close();
  expect(readFileSync(earlier, 'utf8')).toMatch(ofAnn);
  expect(readFileSync(later, 'utf8')).not.toMatch(ofAnn);
  expect(await verify('--stream', earlier)).toMatchObject({ finding: null, erased: 0 });
  expect(await verify('--stream', later)).toMatchObject({ finding: null, erased });
  const lines = readFileSync(later, 'utf8');
  writeFileSync(later, lines.replace(/^(.*"contact.create".*)"erased"(.*)$/m, '$1"Eve"$2'));
  expect(await verify('--stream', later)).toMatchObject({ finding: { problem: 'changed' } });

  await tamper('DELETE FROM audit_streams');
  const before = new Date(Date.now() - 100 * dayMs).toISOString();
  expect(await run('audit', 'archive', '--before', before, '--to', directory)).toMatchObject({ code: 0 });
  const archive = join(directory, readdirSync(directory).find((name) => name.startsWith('keyturn-audit')) ?? '');
  expect(readFileSync(archive, 'utf8')).not.toMatch(ofAnn);
  expect(await verify('--archive', archive)).toMatchObject({ finding: null, files: { findings: [] } });
});
