import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { verifyAuditLog } from '../../src/audit/verify-audit-log.ts';
import { revealClientSecret } from '../../src/clients/manage-clients.ts';
import { childEnvironment } from '../child-environment.ts';
import { createWorld, type World } from './world.ts';

const kills = 200;
const actor = { id: 'test', name: 'test', address: null };
/** Number of processes started in advance, so that a kill does not wait for the next process. */
const ahead = 3;
const program = fileURLToPath(new URL('./regenerating-process.ts', import.meta.url));

describe('a process that is killed with SIGKILL while it regenerates a secret', () => {
  let world: World;
  const children = new Set<ChildProcess>();

  beforeAll(async () => {
    world = await createWorld();
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await world.close();
  });

  /** Starts a process that is ready to regenerate. */
  async function start(): Promise<{ child: ChildProcess; told: string[]; lines: Interface }> {
    const { databaseUrl, redisUrl, rootKey } = world.stores;
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, world.shop.id], {
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
      // Half of the kills hit any moment from the first statement on, half a later regeneration, however busy the
      // machine is.
      if (kill % 2 === 0) await Promise.race([once(lines, 'line'), ended(child)]);
      await delay(Math.random() * (kill % 2 === 0 ? 25 : 80));
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
