import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { verifyAuditLog } from '../../src/audit/verify-audit-log.ts';
import { revealClientSecret } from '../../src/clients/manage-clients.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { childEnvironment } from '../child-environment.ts';
import { askWith, makeKey, makeSelfSigned, type Proof, proofEnv, registrationOf } from './proof.ts';

/** Number of changes of secrets that are interrupted; of keys and certificates it is a part of that. */
const interruptions = Number(process.env['KILL_NINE_RUNS'] ?? 200);
/** Number of clients that one process changes at the same time, so that one kill interrupts several changes. */
const clientsAtOnce = 5;
/** Number of processes started in advance, so that a kill does not wait for the next process. */
const ahead = 2;
const actor = { id: 'test', name: 'test', address: null };
const program = fileURLToPath(new URL('./regenerating-process.ts', import.meta.url));

const children = new Set<ChildProcess>();
let server: AdminServer;

beforeAll(async () => {
  server = await startAdminServer({ env: proofEnv });
});
afterAll(async () => {
  const closed = [...children].map((child) => once(child, 'close'));
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(closed);
  await server.close();
});

type Killed = {
  /** What each client was told by the process: its new secrets, or `done`. */
  told: Map<string, string[]>;
  /** Clients of which a change had begun and was not reported as committed. */
  interrupted: Set<string>;
};

let firstTookMs = 100;

/** Starts processes, and kills each one after the other. */
function createKiller(kind: Proof['kind'], clientIds: readonly string[]) {
  const waiting: ReturnType<typeof start>[] = Array.from({ length: ahead }, start);
  let kills = 0;

  async function start() {
    const { databaseUrl, redisUrl, rootKey } = server.stores;
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, kind, ...clientIds], {
      env: { ...childEnvironment(), DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, KEYTURN_ROOT_KEY: rootKey },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.add(child);
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    await once(lines, 'line');
    return { child, lines };
  }

  /**
   * Kills the next process: half of the times at any moment until it has probably made its first change, half at any
   * moment of the next ones. How long a change takes is measured, so that the kills hit it however busy the machine is.
   * @param input what the process reads from standard input.
   */
  async function kill(input: string): Promise<Killed> {
    const { child, lines } = await (waiting.shift() ?? start());
    const killed: Killed = { told: new Map(clientIds.map((id) => [id, []])), interrupted: new Set() };
    const { promise: committed, resolve: onCommit } = Promise.withResolvers<void>();
    lines.on('line', (line) => {
      // The last line may be incomplete.
      const [, id = '', text] = /^(\w+) (begins|done|kts_\w{49})$/.exec(line) ?? [];
      if (text === 'begins') killed.interrupted.add(id);
      else if (text) {
        killed.interrupted.delete(id);
        killed.told.get(id)?.push(text);
        onCommit();
      }
    });
    const ended = once(child, 'exit').then(() => {
      throw new Error('the process ended by itself');
    });
    child.stdin?.write(input);
    await Promise.race([waitToKill(committed), ended]);
    ended.catch(() => undefined);
    child.kill('SIGKILL');
    await once(child, 'close');
    children.delete(child);
    waiting.push(start());
    return killed;
  }

  async function waitToKill(committed: Promise<void>): Promise<void> {
    kills += 1;
    if (kills % 2 === 0) {
      const startedAt = performance.now();
      await committed;
      firstTookMs = performance.now() - startedAt;
    }
    await delay(Math.random() * firstTookMs);
  }

  return kill;
}

/**
 * Checks that secrets, end dates and audit events of a client were committed together or not at all.
 * @param before the number of stored secrets before the first change: the first key or certificate is stored only when
 *   it is replaced.
 */
async function requireWhole(clientId: string, made: number, before: 0 | 1): Promise<void> {
  const [state] = await server.core.database.query(
    `WITH owner AS (SELECT client FROM client_ids WHERE client_id = $1)
     SELECT count(*) FILTER (WHERE retires_at IS NULL AND ended_as IS NULL) AS current,
       count(*) FILTER (WHERE retires_at > now() AND ended_as IS NULL) AS retiring,
       (SELECT count(*) FROM regenerations JOIN owner USING (client)) AS regenerations,
       (SELECT count(*) FROM audit_events WHERE action = 'client.regenerate' AND target = $1) AS audited,
       (SELECT count(*) FROM regenerations r JOIN owner USING (client) JOIN secrets o ON o.id = r.old_secret WHERE o.retires_at IS NULL) AS undated
     FROM secrets JOIN owner USING (client)`,
    [clientId],
  );
  const retiring = made === 0 ? 0 : 1;
  expect({ clientId, ...state }).toEqual({
    ...{ clientId, current: made === 0 ? before : 1, retiring, regenerations: made, audited: made, undated: 0 },
  });
}

async function works(id: string, proof: Proof): Promise<boolean> {
  for (;;) {
    const { status } = await askWith(`${server.publicUrl}/oauth2/token`, id, proof, { now: Date.now() });
    // Retry after 503, because it does not show whether the credential works.
    if (status !== 503) return status === 200;
  }
}

async function createClients(make: () => Promise<object>) {
  return await Promise.all(
    Array.from({ length: clientsAtOnce }, async () => {
      const given = await make();
      const body = { name: 'Shop', kind: 'integration', ...given };
      const { json } = await server.adminFetch('/clients', { method: 'POST', body });
      return { id: json.client_id as string, secret: json.client_secret as string };
    }),
  );
}

it(`a process that is killed with SIGKILL while it regenerates secrets always leaves a working secret, and commits secret, end and audit event together or not at all, in ${interruptions} interrupted changes`, async () => {
  const { core } = server;
  const clients = (await createClients(async () => ({}))).map((client) => ({
    ...client,
    known: client.secret,
    made: 0,
  }));
  const kill = createKiller(
    'secret',
    clients.map(({ id }) => id),
  );
  let [interrupted, unreported, reported] = [0, 0, 0];
  while (interrupted < interruptions) {
    const killed = await kill('go\n');
    await core.feed.sync();
    for (const client of clients) {
      const { id } = client;
      const told = killed.told.get(id) ?? [];
      const isInterrupted = killed.interrupted.has(id);
      if (isInterrupted) interrupted += 1;
      reported += told.length;
      // The last secret that was returned works on other processes, even if another one was committed after it.
      const last = told.at(-1) ?? client.known;
      expect([interrupted, await works(id, { kind: 'secret', secret: last })]).toEqual([interrupted, true]);
      // The current secret works too, even if it was never returned.
      const current = await core.change((transaction) => revealClientSecret(transaction, core, actor, id));
      client.known = current.clientSecret;
      expect([interrupted, await works(id, { kind: 'secret', secret: client.known })]).toEqual([interrupted, true]);
      const isUnreported = client.known !== last;
      expect(isUnreported && !isInterrupted).toBe(false);
      if (isUnreported) unreported += 1;
      client.made += told.length + (isUnreported ? 1 : 0);
      await requireWhole(id, client.made, 1);
    }
  }
  // Kills hit changes before and after their commit.
  expect(reported).toBeGreaterThanOrEqual(interruptions / 2);
  expect(unreported).toBeLessThan(interrupted);
  expect(await verifyAuditLog(core.database, core.keyRing)).toMatchObject({ finding: null });
}, 600_000);

type Replacing = Exclude<Proof, { kind: 'secret' }>;

describe.each(['key', 'certificate'] as const)(
  'a process that is killed with SIGKILL while it replaces a %s',
  (kind) => {
    const replacements = Math.ceil(interruptions * 0.15);
    const make = async (): Promise<Replacing> => (kind === 'key' ? await makeKey() : makeSelfSigned());

    it(`leaves old and new credential valid or only the old one, and commits end date and audit event together or not at all, in ${replacements} interrupted changes`, async () => {
      const { core } = server;
      const firsts: Replacing[] = [];
      const created = await createClients(async () => {
        const first = await make();
        firsts.push(first);
        return registrationOf(first);
      });
      // The order of answers may differ from that of requests.
      const clients = await Promise.all(
        created.map(async ({ id }) => {
          for (const first of firsts) if (await works(id, first)) return { id, registered: [first] };
          throw new Error('no credential works');
        }),
      );
      const kill = createKiller(
        kind,
        clients.map(({ id }) => id),
      );
      let [interrupted, reported] = [0, 0];
      while (interrupted < replacements) {
        const next = new Map<string, Replacing[]>();
        for (const { id } of clients) next.set(id, await Promise.all(Array.from({ length: 8 }, make)));
        const line = (id: string, proof: Replacing) => {
          const { auth_method: authMethod, jwks } = registrationOf(proof);
          return `${JSON.stringify({ client_id: id, authMethod, jwks })}\n`;
        };
        const lines = [...next].flatMap(([id, proofs]) => proofs.map((proof) => line(id, proof)));
        const killed = await kill(lines.join(''));
        await core.feed.sync();
        for (const client of clients) {
          const { id } = client;
          const given = next.get(id) ?? [];
          // What was reported as committed is registered. One more may have been committed without a report.
          const told = killed.told.get(id)?.length ?? 0;
          const isInterrupted = killed.interrupted.has(id);
          if (isInterrupted) interrupted += 1;
          reported += told;
          const maybe = given[told];
          const isMaybe = maybe !== undefined && (await works(id, maybe));
          expect(isMaybe && !isInterrupted).toBe(false);
          client.registered.push(...given.slice(0, told), ...(isMaybe ? [maybe] : []));
          const [ended, old, current] = [-3, -2, -1].map((index) => client.registered.at(index));
          expect([interrupted, current && (await works(id, current)), old && (await works(id, old))]).toEqual([
            ...[interrupted, true, old && true],
          ]);
          if (ended) expect([interrupted, await works(id, ended)]).toEqual([interrupted, false]);
          const never = given[told + 1];
          if (never) expect(await works(id, never)).toBe(false);
          await requireWhole(id, client.registered.length - 1, 0);
        }
      }
      expect(reported).toBeGreaterThanOrEqual(replacements / 2);
      expect(await verifyAuditLog(core.database, core.keyRing)).toMatchObject({ finding: null });
    });
  },
);
