import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { appendAuditEvent } from '../../src/audit/audit-log.ts';
import type { StreamedHead } from '../../src/audit/stream-records.ts';
import { verifyStream } from '../../src/audit/verify-stream.ts';
import { readConfig } from '../../src/config.ts';
import { createKeyRing } from '../../src/credentials/key-ring.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { childEnvironment } from '../child-environment.ts';
import { runCommand } from '../cli/run-command.ts';
import { eventually, eventuallyIs } from '../eventually.ts';
import { type StreamReceiver, startReceivers } from './stream-receivers.ts';

let ahead = 0;
let server: AdminServer;
let receivers: Awaited<ReturnType<typeof startReceivers>>;
const children = new Set<ChildProcess>();
const token = 'collector-token-1';

beforeAll(async () => {
  receivers = await startReceivers();
  const { https, otlp, syslog, ca } = receivers;
  const targets = [
    { name: 'lake', url: https.url, ca, headers: { Authorization: `Bearer ${token}` } },
    { name: 'collector', url: otlp.url, ca },
    { name: 'siem', url: syslog.url, ca },
  ];
  server = await startAdminServer({
    clock: () => Date.now() + ahead,
    env: { KEYTURN_AUDIT_STREAMS: JSON.stringify(targets) },
  });
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await server?.close();
  for (const receiver of [receivers.https, receivers.otlp, receivers.syslog]) await receiver?.close();
});

async function append(count: number): Promise<void> {
  await server.core.change(async (transaction) => {
    for (let index = 0; index < count; index++) {
      await appendAuditEvent(transaction, {
        at: new Date(),
        actor: { id: 'op', name: 'Zoë', address: '192.0.2.1' },
        action: 'client.update',
        targetType: 'client',
        target: `target ${index}`,
        before: { z: 1, a: [1.5, { y: null, b: 'é😀' }], n: 1e21 },
      });
    }
  });
}

const endOfLog = async () =>
  (await server.core.database.query<{ seq: number }>('SELECT seq FROM audit_anchor'))[0]?.seq ?? 0;
const verify = (lines: readonly string[], ring = server.core.keyRing) =>
  verifyStream(
    ring,
    (async function* () {
      yield* lines;
    })(),
  );
const headsIn = (lines: readonly string[]) =>
  lines.filter((line) => line.includes('"head"')).map((line) => JSON.parse(line) as StreamedHead);

async function untilComplete({ lines }: StreamReceiver): Promise<void> {
  const end = await endOfLog();
  const complete = { from: 1, to: end, head: end, finding: null };
  await eventuallyIs(
    async () => (lines.length === 0 ? undefined : await verify(lines)),
    (verified) => verified?.to === end && verified.finding === null,
  );
  expect(await verify(lines)).toMatchObject(complete);
}

test('each receiver gets every event in its own form, with heads that prove that none is missing', async () => {
  await append(1_100);
  for (const receiver of [receivers.https, receivers.otlp, receivers.syslog]) await untilComplete(receiver);
  expect(receivers.https.headers[0]).toMatchObject({
    authorization: `Bearer ${token}`,
    'content-type': 'application/x-ndjson',
  });
  expect(headsIn(receivers.https.lines).length).toBeGreaterThan(2);
  expect(receivers.otlp.headers[0]).toMatchObject({ path: '/v1/logs', 'content-type': 'application/json' });
  const [first = ''] = receivers.syslog.lines;
  expect(first).toMatch(/^<110>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z localhost keyturn - [\w.]+ - \{"seq":1,/);
});

test('verification of a stream finds events that were removed, changed or cut off, and heads of another log', async () => {
  const { lines } = receivers.https;
  const at = lines.findIndex((line) => line.startsWith('{"seq":700,'));
  const without = (from: number, count = 1) => lines.filter((_, index) => index < from || index >= from + count);
  expect((await verify(without(at))).finding).toEqual({ seq: 700, problem: 'missing' });
  const changed = lines.with(at, (lines[at] ?? '').replace('Zoë', 'Zoe'));
  expect((await verify(changed)).finding).toEqual({ seq: 700, problem: 'changed' });
  const last = await endOfLog();
  const lastAt = lines.findIndex((line) => line.startsWith(`{"seq":${last},`));
  expect((await verify(without(lastAt))).finding).toEqual({ seq: last, problem: 'cut_off' });
  const [head] = headsIn(lines);
  const forged = { ...head, head: { ...head?.head, seq: 1 } };
  expect((await verify([...lines, JSON.stringify(forged)])).finding).toEqual({ seq: 1, problem: 'anchor_changed' });
  expect((await verify(lines, createKeyRing(generateRootKey('v1')))).finding).toEqual({ seq: 1, problem: 'changed' });
  const again = lines.filter((line) => line.startsWith('{"seq":')).slice(0, 10);
  expect(await verify([...lines, ...again])).toMatchObject({ repeated: 10, finding: null });
  // A stream that began later is verified from its beginning, which its first head names.
  const second = headsIn(lines)[1]?.from ?? 0;
  const later = lines.slice(lines.findIndex((line) => line.startsWith(`{"seq":${second},`)));
  expect(await verify(later)).toMatchObject({ from: second, finding: null });
  await expect(verify(['something else'])).rejects.toThrow('no event');
});

test('the command line verifies the file of a receiver', async () => {
  const file = join(dirname(receivers.ca), 'siem.log');
  const { databaseUrl = '', redisUrl = '', rootKey = '' } = server.stores;
  const env = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, KEYTURN_ROOT_KEY: rootKey };
  writeFileSync(file, receivers.syslog.lines.join('\n'));
  const whole = await runCommand(['audit', 'verify', '--stream', file], env);
  expect(whole).toMatchObject({ code: 0, stdout: expect.stringContaining('complete up to event') });
  writeFileSync(file, receivers.syslog.lines.filter((line) => !line.includes('{"seq":700,')).join('\n'));
  const cut = await runCommand(['audit', 'verify', '--stream', file], env);
  expect(cut).toMatchObject({ code: 1, stderr: expect.stringContaining('event 700, missing') });
});

test('a receiver that fails delays no other one, needs attention after 15 minutes, and gets everything later', async () => {
  const { https, syslog } = receivers;
  https.status = 500;
  await append(3);
  await untilComplete(syslog);
  const late = async () =>
    (await server.adminFetch('/attention')).json.data.filter(
      ({ kind }: { kind: string }) => kind === 'audit_stream_late',
    );
  const failure = async () =>
    (
      await server.core.database.query(`SELECT last_failure FROM audit_streams WHERE name = 'lake' AND attempts > 0`)
    )[0];
  await eventuallyIs(failure, (row) => row?.['last_failure'] === 'The receiver answered with status 500.');
  expect(await late()).toEqual([]);
  ahead = 16 * 60_000;
  expect(await late()).toMatchObject([{ audit_stream: 'lake', urgency: 'soon' }]);
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
  expect(metrics).toMatch(/keyturn_audit_stream_lag_events\{stream="lake"\} [1-9]/);
  expect(metrics).toContain('keyturn_audit_stream_lag_events{stream="siem"} 0');
  https.status = 200;
  ahead += 10 * 60_000;
  await untilComplete(https);
  expect(await late()).toEqual([]);
});

test('a collector that drops records of a batch gets the batch again', async () => {
  const { otlp } = receivers;
  otlp.answer = '{"partialSuccess":{"rejectedLogRecords":"1"}}';
  await append(1);
  const end = await endOfLog();
  await eventually(() => otlp.lines.some((line) => line.includes(`{\\"seq\\":${end},`)));
  const failure = async () =>
    (await server.core.database.query(`SELECT last_failure FROM audit_streams WHERE name = 'collector'`))[0];
  await eventuallyIs(failure, (row) => row?.['last_failure'] === 'The receiver dropped records of the batch.');
  otlp.answer = '{}';
  ahead += 10 * 60_000;
  await untilComplete(otlp);
  await eventuallyIs(
    async () => (await verify(otlp.lines)).repeated,
    (repeated) => repeated > 0,
  );
});

test('loses nothing if the sending process is killed, and what it repeats can be recognized', async () => {
  const killed = (await startReceivers()) as typeof receivers;
  const { https, ca } = killed;
  const targets = JSON.stringify([{ name: 'killed', url: https.url, ca }]);
  for (const place of ['received', 'kept', 'received', 'kept'] as const) {
    await append(600);
    const { databaseUrl = '', redisUrl = '', rootKey = '' } = server.stores;
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', fileURLToPath(new URL('./streaming-process.ts', import.meta.url))],
      {
        env: {
          ...childEnvironment(),
          DATABASE_URL: databaseUrl,
          REDIS_URL: redisUrl,
          KEYTURN_ROOT_KEY: rootKey,
          KEYTURN_AUDIT_STREAMS: targets,
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    children.add(child);
    const dead = Promise.withResolvers<void>();
    https.at = async (now) => {
      if (now !== place) return;
      https.at = async () => undefined;
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
      dead.resolve();
    };
    await once(createInterface({ input: child.stdout }), 'line');
    await dead.promise;
    children.delete(child);
    // The lease of a killed process ends by itself, by the clock of the database.
    await server.core.database.query(`UPDATE audit_streams SET leased_until = '-infinity' WHERE name = 'killed'`);
  }
  const { createAuditStreams } = await import('../../src/audit/stream-audit-log.ts');
  const { auditStreams } = readConfig({ KEYTURN_AUDIT_STREAMS: targets });
  const streams = createAuditStreams({ ...server.core, database: server.core.unlimitedDatabase, auditStreams });
  await streams.turn();
  await streams.close();
  const end = await endOfLog();
  const verified = await verify(https.lines);
  expect(verified).toMatchObject({ from: 1, to: end, events: end, head: end, finding: null });
  expect(verified.repeated).toBeGreaterThan(0);
  for (const receiver of [killed.https, killed.otlp, killed.syslog]) await receiver.close();
});

test('a wrong setting is reported without its value', () => {
  const problemOf = (text: string) => {
    try {
      readConfig({ KEYTURN_AUDIT_STREAMS: text });
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };
  const headers = { Authorization: 'Bearer hidden-1' };
  for (const target of [
    { name: 'a', url: 'http://logs.example.com', headers },
    { name: 'a', url: 'https://user:hidden-1@logs.example.com', headers },
    { name: 'a', url: 'ftp://logs.example.com', headers },
    { name: 'A B', url: 'https://logs.example.com', headers },
    { name: 'a', url: 'https://logs.example.com', header: headers },
    { name: 'a', url: 'syslog+tls://logs.example.com', cert: '/nowhere' },
  ]) {
    const problem = problemOf(JSON.stringify([target]));
    expect(problem).toContain('KEYTURN_AUDIT_STREAMS');
    expect(problem).not.toContain('hidden-1');
  }
  expect(problemOf('[{"name":"a","url":"https://hidden-1"')).not.toContain('hidden-1');
  expect(problemOf(JSON.stringify([{ name: 'a', url: 'otlp+http://127.0.0.1:4318' }]))).toBeUndefined();
});
