import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { verifyAuditLog } from '../../src/audit/verify-audit-log.ts';
import { revealClientSecret } from '../../src/clients/manage-clients.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { childEnvironment } from '../child-environment.ts';
import type { Stores } from '../harness.ts';
import { askWith, makeKey, makeSelfSigned, type Proof, proofEnv, registrationOf } from './proof.ts';
import { createWorld, type World } from './world.ts';

const kills = 200;
const actor = { id: 'test', name: 'test', address: null };
/** Number of processes started in advance, so that a kill does not wait for the next process. */
const ahead = 3;
const program = fileURLToPath(new URL('./regenerating-process.ts', import.meta.url));

const children = new Set<ChildProcess>();

/** Starts a process that is ready to regenerate. @param args the Client ID, and what is replaced unless a secret. */
async function startProcess(
  { databaseUrl, redisUrl, rootKey }: Stores,
  args: readonly string[],
): Promise<{ child: ChildProcess; told: string[]; lines: Interface }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args], {
    env: { ...childEnvironment(), DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, KEYTURN_ROOT_KEY: rootKey },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.add(child);
  const told: string[] = [];
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  await once(lines, 'line');
  lines.on('line', (line) => told.push(line));
  return { child, told, lines };
}

let firstTookMs = 100;

/**
 * Waits until a process is to be killed: half of the times at any moment until it has probably made its first change, half
 * at any moment of the next ones. How long a change takes is measured, so that the kills hit it however busy the machine is.
 */
async function waitToKill(kill: number, lines: Interface): Promise<void> {
  if (kill % 2 === 0) {
    const startedAt = performance.now();
    await once(lines, 'line');
    firstTookMs = performance.now() - startedAt;
  }
  await delay(Math.random() * firstTookMs);
}

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

describe('a process that is killed with SIGKILL while it regenerates a secret', () => {
  let world: World;

  beforeAll(async () => {
    world = await createWorld();
  });
  afterAll(() => world.close());

  const start = () => startProcess(world.stores, [world.shop.id]);

  async function requireGood(kill: number, secret: string): Promise<void> {
    const credentials = { id: world.shop.id, secret };
    let answer = await world.askToken(credentials);
    // Retry after 503, because it does not show whether the secret works.
    while (answer.status === 503) answer = await world.askToken(credentials);
    expect([kill, answer.status]).toEqual([kill, 200]);
  }

  /** Rejects when the process exits, because it must not exit before it is killed. */
  async function ended(child: ChildProcess): Promise<never> {
    await once(child, 'exit');
    throw new Error('the process ended by itself');
  }

  it('always leaves a working secret, and commits secret, end and audit event together or not at all, 200 times', async () => {
    const { core, shop } = world;
    const waiting = Array.from({ length: ahead }, start);
    let known = shop.secret;
    let regenerated = 0;
    for (let kill = 0; kill < kills; kill++) {
      const { child, told, lines } = await (waiting.shift() as ReturnType<typeof start>);
      child.stdin?.write('go\n');
      await Promise.race([waitToKill(kill, lines), ended(child)]);
      child.kill('SIGKILL');
      await once(child, 'close');
      children.delete(child);
      if (kill + ahead < kills) waiting.push(start());
      // The last line may be incomplete.
      known = told.findLast((line) => line.length === shop.secret.length) ?? known;
      regenerated += told.length;

      // The last secret that was returned works on other processes within a second, even if another one was committed
      // after it.
      await core.feed.sync();
      await requireGood(kill, known);
      // The current secret works too, even if it was never returned.
      known = (await core.change((transaction) => revealClientSecret(transaction, core, actor, shop.id))).clientSecret;
      await requireGood(kill, known);
      const [state] = await core.database.query(
        `SELECT count(*) FILTER (WHERE retires_at IS NULL AND ended_as IS NULL) AS current,
           count(*) FILTER (WHERE retires_at > now() AND ended_as IS NULL) AS retiring,
           count(*) - 1 AS made,
           (SELECT count(*) FROM regenerations) AS regenerations,
           (SELECT count(*) FROM audit_events WHERE action = 'client.regenerate') AS audited,
           (SELECT count(*) FROM regenerations r JOIN secrets o ON o.id = r.old_secret WHERE o.retires_at IS NULL) AS undated
         FROM secrets WHERE client = (SELECT client FROM client_ids WHERE client_id = $1)`,
        [shop.id],
      );
      const { made } = state as { made: number };
      expect(state).toEqual({
        current: 1,
        retiring: made === 0 ? 0 : 1,
        made,
        regenerations: made,
        audited: made,
        undated: 0,
      });
    }
    expect(regenerated).toBeGreaterThanOrEqual(kills / 2);
    expect(await verifyAuditLog(core.database, core.keyRing)).toMatchObject({ finding: null });
  }, 600_000);
});

describe.each(['key', 'certificate'] as const)(
  'a process that is killed with SIGKILL while it replaces a %s',
  (kind) => {
    const replacements = 30;
    type Replacing = Exclude<Proof, { kind: 'secret' }>;
    const make = async (): Promise<Replacing> => (kind === 'key' ? await makeKey() : makeSelfSigned());
    let server: AdminServer;

    beforeAll(async () => {
      server = await startAdminServer({ env: proofEnv });
    });
    afterAll(() => server.close());

    it(`leaves old and new credential valid or only the old one, and commits end date and audit event together or not at all, ${replacements} times`, async () => {
      const { core } = server;
      const first = await make();
      const created = await server.adminFetch('/clients', {
        method: 'POST',
        body: { name: 'Shop', kind: 'integration', ...registrationOf(first) },
      });
      const id = created.json.client_id as string;
      const works = async (proof: Replacing) => {
        const ask = () => askWith(`${server.publicUrl}/oauth2/token`, id, proof, { now: Date.now() });
        let { status } = await ask();
        // Retry after 503, because it does not show whether the credential works.
        while (status === 503) ({ status } = await ask());
        return status === 200;
      };
      const start = () => startProcess(server.stores, [id, kind]);
      const waiting = Array.from({ length: ahead }, start);
      /** All that were ever registered, oldest first. */
      let registered = [first];
      let committed = 0;
      for (let kill = 0; kill < replacements; kill++) {
        const { child, told, lines } = await (waiting.shift() as ReturnType<typeof start>);
        const next = await Promise.all(Array.from({ length: 20 }, make));
        const line = (proof: Replacing) => {
          const { auth_method: authMethod, jwks } = registrationOf(proof);
          return `${JSON.stringify({ authMethod, jwks })}\n`;
        };
        child.stdin?.write(next.map(line).join(''));
        await waitToKill(kill, lines);
        child.kill('SIGKILL');
        await once(child, 'close');
        children.delete(child);
        if (kill + ahead < replacements) waiting.push(start());
        await core.feed.sync();

        // Everything that was reported as committed is registered. One more may have been committed without a report.
        const reported = told.length;
        const [maybe] = next.slice(reported, reported + 1);
        registered = [...registered, ...next.slice(0, reported)];
        const isMaybe = maybe !== undefined && (await works(maybe));
        if (maybe && isMaybe) registered.push(maybe);
        committed += reported;
        const [old, current] = [registered.at(-2), registered.at(-1) as Replacing];
        expect([kill, await works(current), old && (await works(old))]).toEqual([kill, true, old && true]);
        const ended = registered.at(-3);
        if (ended) expect([kill, await works(ended)]).toEqual([kill, false]);
        for (const never of next.slice(reported + 1, reported + 2)) expect(await works(never)).toBe(false);

        const made = registered.length - 1;
        const [state] = await core.database.query(
          `SELECT count(*) FILTER (WHERE retires_at > now() AND ended_as IS NULL) AS retiring,
           (SELECT count(*) FROM regenerations) AS regenerations,
           (SELECT count(*) FROM audit_events WHERE action = 'client.regenerate') AS audited,
           (SELECT count(*) FROM regenerations r JOIN secrets o ON o.id = r.old_secret WHERE o.retires_at IS NULL) AS undated
         FROM secrets`,
        );
        expect({ kill, ...state }).toEqual({
          kill,
          retiring: made === 0 ? 0 : 1,
          regenerations: made,
          audited: made,
          undated: 0,
        });
      }
      expect(committed).toBeGreaterThanOrEqual(replacements / 2);
      expect(await verifyAuditLog(core.database, core.keyRing)).toMatchObject({ finding: null });
    }, 300_000);
  },
);
