import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { childEnvironment } from '../child-environment.ts';
import { eventually } from '../eventually.ts';
import { type MailServer, mailEnvironment, startMailServer } from './mail-server.ts';

/** `NOTICE_KILLS=100` runs the long form. */
const kills = Number(process.env['NOTICE_KILLS'] ?? 15);
/** Number of processes started in advance, so that a kill does not wait for the next process. */
const ahead = 2;
const program = fileURLToPath(new URL('./delivering-process.ts', import.meta.url));
const hourMs = 3_600_000;

const children = new Set<ChildProcess>();
let mail: MailServer;
let server: AdminServer;

beforeAll(async () => {
  mail = await startMailServer();
  // Its clock stands still, so nothing is ever due for it, and only the other processes deliver.
  const now = Date.now();
  server = await startAdminServer({ clock: () => now, env: mailEnvironment(mail.port) });
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await server.close();
  await mail.close();
});

async function startProcess(): Promise<ChildProcess> {
  const { databaseUrl, redisUrl, rootKey } = server.stores;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
    env: {
      ...childEnvironment(),
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      KEYTURN_ROOT_KEY: rootKey,
      ...mailEnvironment(mail.port),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.add(child);
  await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line');
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
  children.delete(child);
}

/** Where a process is killed: while the server has not yet accepted a mail, or when it has and nobody knows. */
const places = ['recipient', 'content', 'accepted'] as const;

test(`loses no notice if the delivering process is killed ${kills} times, keeps the order, and repeats with the same ids`, async () => {
  const contacts: string[] = [];
  for (const name of ['Ann', 'Bo', 'Cy']) {
    const body = { name, email: `${name.toLowerCase()}@example.com` };
    contacts.push((await server.adminFetch('/contacts', { method: 'POST', body })).json.id);
  }
  const waiting = Array.from({ length: ahead }, startProcess);
  for (let killed = 0; killed < kills; killed++) {
    // Each issues a token, of which its contact is told.
    for (const id of contacts) await server.adminFetch(`/contacts/${id}/operator-token`, { method: 'POST', body: {} });
    const child = await (waiting.shift() as Promise<ChildProcess>);
    if (killed + ahead < kills) waiting.push(startProcess());
    const place = places[killed % places.length];
    const { promise: isDead, resolve: setDead } = Promise.withResolvers<void>();
    mail.answer = async (what) => {
      if (what !== (place === 'accepted' ? 'content' : place)) return undefined;
      mail.answer = () => undefined;
      await kill(child);
      setDead();
      return place === 'accepted' ? undefined : new Error('the client is gone');
    };
    child.stdin?.write(`${(killed + 1) * 2 * hourMs}\n`);
    await isDead;
    // As if the lease of the killed process had ended.
    await server.core.database.query(
      `UPDATE notice_receivers SET leased_until = clock_timestamp() - interval '1 second' WHERE lease IS NOT NULL`,
    );
  }
  mail.answer = () => undefined;
  const last = await startProcess();
  last.stdin?.write(`${(kills + 1) * 2 * hourMs}\n`);
  const pending = async () => (await server.adminFetch('/notices?state=pending&limit=1')).json.data.length;
  const unaddressed = () => server.core.database.query('SELECT 1 FROM notices WHERE NOT addressed');
  await eventually(async () => (await pending()) === 0 && (await unaddressed()).length === 0);
  await kill(last);

  const told = await server.core.database.query<{ notice: string; email: string; state: string; place: number }>(
    `SELECT d.notice, c.email, d.state, d.position AS place FROM notice_deliveries d JOIN contacts c ON c.id::text = d.receiver
     WHERE d.receiver = ANY ($1::text[]) ORDER BY d.position`,
    [contacts],
  );
  expect(told.length).toBeGreaterThanOrEqual(3 * kills);
  expect(told.filter(({ state }) => state !== 'delivered')).toEqual([]);
  for (const email of new Set(told.map((each) => each.email))) {
    const expected = told.filter((each) => each.email === email).map(({ notice }) => notice);
    const mails = mail.mails.filter(({ recipients }) => recipients.includes(email));
    const received = mails.map((each) => ({
      id: each.messageId,
      notices: String(each.headers.get('x-keyturn-notice')).split(' '),
    }));
    // Nothing is lost, and everything comes in its order, apart from repeats.
    expect([...new Set(received.flatMap(({ notices }) => notices))]).toEqual(expected);
    // A repeated mail has the same Message-ID and the same notices.
    for (const each of received) {
      for (const other of received) {
        const isRepeat = other.notices.some((notice) => each.notices.includes(notice));
        expect([isRepeat, other.id === each.id]).toEqual([isRepeat, isRepeat]);
      }
    }
  }
  // A mail that was accepted before its process was killed is repeated.
  expect(mail.mails.length).toBeGreaterThan(new Set(mail.mails.map(({ messageId }) => messageId)).size);
}, 1_200_000);
