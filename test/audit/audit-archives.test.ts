import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { appendAuditEvent } from '../../src/audit/audit-log.ts';
import { createAuditStreams } from '../../src/audit/stream-audit-log.ts';
import { readConfig } from '../../src/config.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { ended, runCommand, startCommand } from '../cli/run-command.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';
import { eventuallyIs } from '../eventually.ts';
import { createTestStores } from '../harness.ts';
import { askPostgres } from '../services.ts';
import { startReceivers } from './stream-receivers.ts';

const dayMs = 86_400_000;
const daysAgo = (days: number) => new Date(Date.now() - days * dayMs);
const before = (days: number) => daysAgo(days).toISOString();

let server: ConsoleServer;
let directory: string;
let environment: Record<string, string>;
const servers: ConsoleServer[] = [];

/** Starts a deployment whose first events are 400 days old. */
async function startDeployment(stores?: Awaited<ReturnType<typeof createTestStores>>): Promise<ConsoleServer> {
  let shift = 400 * dayMs;
  const started = await startConsole({ clock: () => Date.now() - shift, ...(stores ? { stores } : {}) });
  shift = 0;
  servers.push(started);
  return started;
}

beforeEach(async () => {
  server = await startDeployment();
  directory = mkdtempSync(join(tmpdir(), 'keyturn-archives-'));
  const { databaseUrl = '', rootKey = '' } = server.stores;
  environment = { DATABASE_URL: databaseUrl, KEYTURN_ROOT_KEY: rootKey };
});
afterEach(async () => {
  for (const each of servers.splice(0)) await each.close();
  rmSync(directory, { recursive: true });
});

async function append(count: number, days: number, to = server): Promise<void> {
  await to.core.change(async (transaction) => {
    for (let index = 0; index < count; index++) {
      await appendAuditEvent(transaction, {
        at: daysAgo(days),
        actor: { id: 'op', name: 'Zoë', address: '192.0.2.1' },
        action: 'client.update',
        targetType: 'client',
        target: `target ${days} ${index}`,
        before: { z: 1, a: [1.5, { y: null, b: 'é\u2028😀' }], n: 1e21 },
      });
    }
  });
}

const ask = (sql: string) => askPostgres(server.stores.databaseUrl ?? '', sql);
/** Runs SQL without triggers, as the owner of the database can. */
const tamper = (sql: string) => ask(`SET session_replication_role = replica; ${sql}`);
const run = (...args: string[]) => runCommand(args, environment);
const archive = (days: number, to = directory, ...more: string[]) =>
  run('audit', 'archive', '--before', before(days), '--to', to, ...more);
const files = () => readdirSync(directory).sort();
const paths = () => files().map((name) => join(directory, name));
const numbers = async () =>
  (await ask('SELECT min(seq)::int AS oldest, max(seq)::int AS newest, count(*)::int FROM audit_events'))[0];

async function verify(...args: string[]) {
  const { code, stdout, stderr } = await run('audit', 'verify', '--json', ...args);
  return { code, stderr, ...(JSON.parse(stdout || '{}') as { finding?: unknown; from?: number; files?: unknown }) };
}

/** Archives the log in three parts, and leaves a part in the database. */
async function archiveThree(): Promise<void> {
  for (const days of [300, 200, 100, 50]) await append(10, days);
  for (const days of [250, 150, 75]) expect(await archive(days)).toMatchObject({ code: 0 });
  expect(files()).toHaveLength(3);
}

test('moves old events to a file, which verifies together with the rest', async () => {
  await append(10, 300);
  const middle = (await run('audit', 'checkpoint')).stdout.trim();
  await append(1, 290);
  await append(10, 50);
  const end = (await numbers())?.['newest'] as number;
  const last = end - 10;
  const ascending = (await server.adminFetch('/audit-events?order=at&limit=2')).json;
  const descending = (await server.adminFetch('/audit-events?limit=12')).json;
  const cookie = await server.signIn((await server.operator()).token);
  expect((await server.look('/console/audit', cookie)).text).not.toContain('were moved to files');

  const { code, stdout } = await archive(100, directory, '--json');
  expect(code).toBe(0);
  const [name = ''] = files();
  expect(name).toBe(`keyturn-audit-000000000001-${String(last).padStart(12, '0')}.jsonl`);
  const file = join(directory, name);
  expect(JSON.parse(stdout)).toMatchObject({ first_event: 1, last_event: last, file });
  expect(await numbers()).toMatchObject({ oldest: last + 1 });
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  expect(lines).toHaveLength(last + 1);
  expect(JSON.parse(lines.at(-2) ?? '')).toMatchObject({ seq: last, actor_name: 'Zoë', target: 'target 290 0' });
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ archive: { first_seq: 1, last_seq: last, events: last } });

  const archived = { first_event: 1, last_event: last, file: name };
  expect(await verify()).toMatchObject({ code: 0, finding: null, from: last + 1, archives: [archived] });
  expect(await verify('--recent')).toMatchObject({ code: 0, finding: null });
  expect(await verify('--archive', file)).toMatchObject({ code: 0, finding: null, files: { verified: [name] } });
  const text = (await run('audit', 'verify')).stdout;
  expect(text).toMatch(`archived    events 1 to ${last} in ${name}, at 20`);
  expect(text).toContain('(command line); not verified');

  const unknown = await verify('--checkpoint', middle);
  expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining(`--archive, ${name}`)]);
  expect(await verify('--checkpoint', middle, '--archive', file)).toMatchObject({ code: 0, finding: null });
  const other = middle.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
  expect(await verify('--checkpoint', other, '--archive', file)).toMatchObject({
    code: 1,
    finding: { problem: 'not_the_checkpoint' },
  });

  const page = async (query: string) => {
    const answer = await server.adminFetch(`/audit-events?${query}`);
    expect(answer.status).toBe(200);
    return answer.json.data.map(({ id }: { id: number }) => id);
  };
  expect(await page(`order=at&limit=1&cursor=${ascending.next_cursor}`)).toEqual([last + 1]);
  expect(await page(`limit=5&cursor=${descending.next_cursor}`)).toEqual([]);
  expect(await page(`until=${encodeURIComponent(before(200))}`)).toEqual([]);
  expect((await server.adminFetch('/audit-events?action=audit.archive')).json.data).toMatchObject([
    { after: { first_event: 1, last_event: last, file: name } },
  ]);
  const shown = (await server.look('/console/audit', cookie)).text;
  expect(shown).toContain(`Events up to #${last} were moved to files and are not listed.`);
  expect(shown).toContain('moved old events of the audit log to a file');
  expect((await server.look('/console/audit/verify', cookie)).text).toContain('The audit log is intact.');
});

test('joins several files of thousands of events, given in any order', async () => {
  await append(10_100, 300);
  await append(1_100, 200);
  await append(5, 50);
  expect(await archive(250)).toMatchObject({ code: 0 });
  expect(await verify()).toMatchObject({ code: 0, finding: null });
  expect(await archive(150)).toMatchObject({ code: 0 });
  const [first = '', second = ''] = files();
  expect(await verify('--archive', join(directory, second), join(directory, first))).toMatchObject({
    code: 0,
    finding: null,
    files: { verified: [first, second], earlier: [], findings: [] },
  });
  expect(await verify('--archive', join(directory, second))).toMatchObject({
    code: 0,
    files: { verified: [second], earlier: [first] },
  });
});

test('names every file that is missing, altered, truncated, reordered or of another log', async () => {
  await archiveThree();
  const [first = '', second = '', third = ''] = paths();
  const [, secondName = ''] = files();
  const whole = readFileSync(second, 'utf8');
  const lines = whole.split(/(?<=\n)/);
  const seq = JSON.parse(lines[0] ?? '').seq as number;
  const problems = async (...given: string[]) => {
    const { code, stderr, files: found } = await verify('--archive', ...given);
    return { code, stderr, found };
  };
  const wrong = (file: string, problem: string, at: number | null) => ({
    code: 1,
    stderr: expect.stringContaining(file),
    found: expect.objectContaining({ findings: [{ file, seq: at, problem }] }),
  });

  expect(await problems(first, third)).toEqual(wrong(secondName, 'missing_file', seq));
  expect(await problems(first, second)).toMatchObject({ code: 1, stderr: expect.stringContaining('was not given') });
  const gone = join(directory, 'gone.jsonl');
  expect(await problems(first, second, third, gone)).toEqual(wrong(gone, 'unreadable', null));

  const faults: [string, string, number][] = [
    [whole.replace('target 200 3', 'target 200 x'), 'changed', seq + 3],
    [whole.replace('"seq"', '"more":1,"seq"'), 'changed', seq],
    [whole.replace('{"archive"', '{"more":1,"archive"'), 'another_archive', seq],
    [lines.slice(0, -1).join(''), 'cut_off', seq + 10],
    [lines.slice(0, 4).join(''), 'cut_off', seq + 4],
    [[...lines.slice(0, 4), ...lines.slice(-1)].join(''), 'cut_off', seq + 4],
    [whole.slice(0, -3), 'cut_off', seq + 10],
    [[...lines.slice(0, 4), lines[5], lines[4], ...lines.slice(6)].join(''), 'missing', seq + 4],
    [whole + (lines[0] ?? ''), 'changed', seq + 10],
  ];
  for (const [content, problem, at] of faults) {
    writeFileSync(second, content);
    expect(await problems(first, second, third)).toEqual(wrong(second, problem, at));
  }
  writeFileSync(second, lines.slice(1).join(''));
  expect(await problems(first, second, third)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`${second} is not an archive of this log: none begins with event ${seq + 1}.`),
  });
  writeFileSync(second, whole);

  const other = await startDeployment();
  await append(10, 300, other);
  await append(1, 50, other);
  const { databaseUrl = '', rootKey = '' } = other.stores;
  const foreign = join(directory, 'foreign.jsonl');
  const command = ['audit', 'archive', '--before', before(200), '--to', foreign];
  expect(await runCommand(command, { DATABASE_URL: databaseUrl, KEYTURN_ROOT_KEY: rootKey })).toMatchObject({
    code: 0,
  });
  expect(await problems(foreign, second, third)).toEqual(wrong(foreign, 'another_archive', 1));
  expect(await problems(first, second, third)).toMatchObject({ code: 0 });
});

test('finds rows that were deleted without an archive, and records of archives that were changed', async () => {
  await archiveThree();
  const [row] = await ask('SELECT min(seq)::int AS seq FROM audit_events');
  const oldest = row?.['seq'] as number;
  await expect(ask(`DELETE FROM audit_events WHERE seq = ${oldest}`)).rejects.toThrow('append-only');
  await expect(ask('DELETE FROM audit_archives')).rejects.toThrow('append-only');
  await expect(ask(`UPDATE audit_archives SET archived_by = 'x'`)).rejects.toThrow('append-only');
  await tamper(
    'CREATE TABLE kept_events AS SELECT * FROM audit_events; CREATE TABLE kept_archives AS SELECT * FROM audit_archives',
  );
  const faults: [string, { seq: number; problem: string }][] = [
    [`DELETE FROM audit_events WHERE seq = ${oldest}`, { seq: oldest, problem: 'missing' }],
    [
      // Deleted with a record that only the root key could seal.
      `INSERT INTO audit_archives SELECT ${oldest}, ${oldest}, first_at, mac, (SELECT mac FROM audit_events WHERE seq = ${oldest}),
         digest, key_versions, NULL, file, archived_at, archived_by, key_version, file_seal, seal
       FROM audit_archives ORDER BY first_seq DESC LIMIT 1; DELETE FROM audit_events WHERE seq = ${oldest}`,
      { seq: oldest, problem: 'archive_changed' },
    ],
    [`UPDATE audit_archives SET archived_by = 'x' WHERE first_seq = 1`, { seq: 1, problem: 'archive_changed' }],
    [`UPDATE audit_archives SET digest = sha256(digest) WHERE first_seq = 1`, { seq: 1, problem: 'archive_changed' }],
    ['DELETE FROM audit_archives WHERE first_seq = 1', { seq: 1, problem: 'archive_changed' }],
    [
      'DELETE FROM audit_archives WHERE first_seq = (SELECT max(first_seq) FROM audit_archives)',
      { seq: oldest - 10, problem: 'missing' },
    ],
    [
      `INSERT INTO audit_events SELECT (jsonb_populate_record(e, '{"seq": 5}')).* FROM audit_events e WHERE seq = ${oldest}`,
      { seq: 5, problem: 'changed' },
    ],
  ];
  for (const [sql, finding] of faults) {
    await tamper(sql);
    expect(await verify()).toMatchObject({ code: 1, finding });
    await tamper(`DELETE FROM audit_events; INSERT INTO audit_events SELECT * FROM kept_events;
      DELETE FROM audit_archives; INSERT INTO audit_archives SELECT * FROM kept_archives`);
  }
  expect(await verify()).toMatchObject({ code: 0, finding: null });
  await tamper(`UPDATE audit_events SET actor = 'x' WHERE seq = ${oldest}`);
  expect(await archive(40)).toMatchObject({ code: 1, stderr: expect.stringContaining(`event ${oldest}, changed`) });
  expect(files()).toHaveLength(3);
});

test('keeps events that a receiver has not accepted, and names the receiver', async () => {
  await append(10, 300);
  await append(10, 50);
  const untouched = await numbers();
  const { https, otlp, syslog, ca } = await startReceivers();
  const streams = (name: string) => JSON.stringify([{ name, url: https.url, ca }]);
  environment['KEYTURN_AUDIT_STREAMS'] = streams('siem');
  const refused = {
    code: 1,
    stderr: expect.stringContaining('The receiver siem has accepted the audit log only up to event 0'),
  };
  // The receiver has no position yet.
  expect(await archive(100)).toMatchObject(refused);
  await server.core.database.query(`INSERT INTO audit_streams (name) VALUES ('siem')`);
  environment['KEYTURN_AUDIT_STREAMS'] = '[]';
  expect(await archive(100)).toMatchObject(refused);
  environment['KEYTURN_AUDIT_STREAMS'] = streams('siem');
  expect(await archive(100, directory, '--forget-stream', 'siem')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('siem is in KEYTURN_AUDIT_STREAMS'),
  });
  expect([files(), await numbers()]).toEqual([[], untouched]);

  const send = async (name: string) => {
    const { auditStreams } = readConfig({ KEYTURN_AUDIT_STREAMS: streams(name) });
    const sender = createAuditStreams({ ...server.core, database: server.core.unlimitedDatabase, auditStreams });
    await sender.turn();
    await sender.close();
  };
  await send('siem');
  expect(await archive(100)).toMatchObject({ code: 0 });
  await append(1, 49);
  const received = https.lines.length;
  await send('siem');
  expect(https.lines.length).toBe(received + 3);

  // A receiver that is added now gets what is in the database.
  https.lines = [];
  await append(1, 48);
  await send('lake');
  const file = join(directory, 'received.jsonl');
  writeFileSync(file, `${https.lines.join('\n')}\n`);
  const verified = await run('audit', 'verify', '--stream', file, '--json');
  expect(JSON.parse(verified.stdout)).toMatchObject({
    from: ((await numbers())?.['oldest'] as number) ?? 0,
    finding: null,
  });

  environment['KEYTURN_AUDIT_STREAMS'] = streams('lake');
  await append(1, 47);
  await send('lake');
  await server.core.database.query(`UPDATE audit_streams SET seq = 20 WHERE name = 'siem'`);
  expect(await archive(40, directory, '--forget-stream', 'nothing')).toMatchObject({ code: 1 });
  expect(await archive(47.5)).toMatchObject({ code: 1, stderr: expect.stringContaining('--forget-stream siem') });
  expect(await archive(47.5, directory, '--forget-stream', 'siem')).toMatchObject({ code: 0 });
  expect(await ask('SELECT name FROM audit_streams')).toEqual([{ name: 'lake' }]);
  for (const receiver of [https, otlp, syslog]) await receiver.close();
});

test('rejects a range without events or with the newest one, a recent time, and a file that cannot be written', async () => {
  const refuse = async (days: number, text: string, to = directory) =>
    expect(await archive(days, to)).toMatchObject({ code: 1, stderr: expect.stringContaining(text) });
  await refuse(100, 'must stay');
  await refuse(29, 'at least 30 days ago');
  await refuse(500, 'no events before');
  await append(1, 50);
  await refuse(100, 'cannot be written', join(directory, 'nowhere', 'a.jsonl'));
  const taken = join(directory, 'taken.jsonl');
  writeFileSync(taken, 'something else\n');
  await refuse(100, 'exists, with other content', taken);
  expect(readFileSync(taken, 'utf8')).toBe('something else\n');
  expect(files()).toEqual(['taken.jsonl']);
  expect(await verify()).toMatchObject({ code: 0, finding: null, from: 1 });
});

/** Runs work while no record of an archive can be inserted. */
async function whileHeld(work: () => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: server.stores.databaseUrl });
  await client.connect();
  await client.query('BEGIN; LOCK TABLE audit_archives IN SHARE MODE');
  try {
    await work();
  } finally {
    await client.query('ROLLBACK');
    await client.end();
  }
}

const waiting = async () =>
  (await ask(`SELECT FROM pg_locks WHERE NOT granted AND relation = 'audit_archives'::regclass`)).length;

test('loses nothing if it is killed between the file and the commit, and can be run again', async () => {
  await append(10, 300);
  await append(10, 50);
  const untouched = await numbers();
  const kept = join(directory, 'kept');
  mkdirSync(kept);
  const command = ['audit', 'archive', '--before', before(100), '--to', directory];
  await whileHeld(async () => {
    const child = startCommand(command, environment);
    const end = ended(child);
    await eventuallyIs(waiting, (count) => count === 1);
    // The file is complete before anything is deleted.
    const name = files().find((each) => each !== 'kept') ?? '';
    expect(name).toMatch(/^keyturn-audit-.*\.jsonl$/);
    copyFileSync(join(directory, name), join(kept, name));
    child.kill('SIGKILL');
    await end;
  });
  await eventuallyIs(waiting, (count) => count === 0);
  expect(await numbers()).toEqual(untouched);
  expect(await verify()).toMatchObject({ code: 0, finding: null, from: 1 });
  expect(await runCommand(command, environment)).toMatchObject({ code: 0 });
  const [name = ''] = readdirSync(kept);
  expect(await verify('--archive', join(kept, name))).toMatchObject({
    code: 0,
    finding: null,
    files: { verified: [name] },
  });
});

test('deletes nothing if personal values are erased between the file and the deletion, and can be run again', async () => {
  const ann = randomUUID();
  await server.core.change(async (transaction) => {
    const of = {
      at: daysAgo(300),
      actor: { id: 'op', name: 'Zoë', address: '192.0.2.1' },
      targetType: 'contact' as const,
    };
    const after = { name: 'Ann Lee', email: 'ann@example.com' };
    await appendAuditEvent(transaction, { ...of, target: ann, action: 'contact.create', after });
    await appendAuditEvent(transaction, { ...of, target: ann, action: 'contact.delete', before: after });
  });
  await append(10, 50);
  await append(1, 40);
  const file = join(directory, 'events.jsonl');
  const command = ['audit', 'archive', '--before', before(45), '--to', file];
  let archiving: ReturnType<typeof ended> | undefined;
  await whileHeld(async () => {
    archiving = ended(startCommand(command, environment));
    await eventuallyIs(waiting, (count) => count === 1);
    expect(readFileSync(file, 'utf8')).toContain('ann@example.com');
    const erasure = { method: 'POST', body: { contact_id: ann } };
    expect((await server.adminFetch('/audit-events/erase', erasure)).json.erased_events).toBe(2);
  });
  expect(await archiving).toMatchObject({ code: 1, stderr: expect.stringContaining('were erased meanwhile') });
  expect((await ask('SELECT FROM audit_archives')).length).toBe(0);
  rmSync(file);
  expect(await runCommand(command, environment)).toMatchObject({ code: 0 });
  expect(readFileSync(file, 'utf8')).not.toContain('ann@example.com');
  expect(await verify('--archive', file)).toMatchObject({ code: 0, finding: null });
});

test('lets one of two commands archive', async () => {
  await append(10, 300);
  await append(10, 50);
  await append(1, 40);
  const other = join(directory, 'other.jsonl');
  const first = join(directory, 'first.jsonl');
  let winner: ReturnType<typeof ended> | undefined;
  await whileHeld(async () => {
    winner = ended(startCommand(['audit', 'archive', '--before', before(45), '--to', first], environment));
    await eventuallyIs(waiting, (count) => count === 1);
    expect(await archive(150, other)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Another command archives'),
    });
  });
  expect(await winner).toMatchObject({ code: 0 });
  expect(await verify('--archive', first)).toMatchObject({
    code: 0,
    finding: null,
    archives: [{ file: 'first.jsonl' }],
  });
  expect(await verify('--archive', other)).toMatchObject({ code: 1 });
});

test('verifies archives and events of a root key that was replaced and removed', async () => {
  const [v1, v2] = [generateRootKey('v1'), generateRootKey('v2')];
  const stores = { ...(await createTestStores()), rootKey: v1 };
  server = await startDeployment(stores);
  environment = { DATABASE_URL: stores.databaseUrl ?? '', KEYTURN_ROOT_KEY: v1 };
  for (const days of [300, 200, 100]) await append(3, days);
  expect(await archive(250)).toMatchObject({ code: 0 });
  environment['KEYTURN_ROOT_KEY'] = `${v2},${v1}`;
  expect(await run('root-key', 'rotate')).toMatchObject({ code: 0 });
  environment['KEYTURN_ROOT_KEY'] = v2;
  expect(await verify('--archive', ...paths())).toMatchObject({ code: 0, finding: null });
  expect(await archive(150)).toMatchObject({ code: 0 });
  expect(await verify('--archive', ...paths())).toMatchObject({ code: 0, finding: null, files: { findings: [] } });
  expect(await verify('--recent')).toMatchObject({ code: 0, finding: null });
  await tamper(`UPDATE audit_archives SET archived_by = 'x' WHERE first_seq = 1`);
  expect(await verify()).toMatchObject({ code: 1, finding: { seq: 1, problem: 'unknown_key' } });
});

test('still knows the age of the root key after its first events were archived', async () => {
  await append(1, 300);
  await append(1, 50);
  expect(await archive(100)).toMatchObject({ code: 0 });
  await server.core.notices.turn();
  const { data } = (await server.adminFetch('/notices?kind=root_key_old')).json;
  expect(data).toMatchObject([{ data: { age_days: 400 } }]);
});
