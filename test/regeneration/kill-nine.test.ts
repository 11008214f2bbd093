import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { verifyAuditLog } from '../../src/audit/verify-audit-log.ts';
import { createWorld, type World } from './world.ts';

const kills = 200;
/** Started ahead, so that a kill does not wait for the next process. */
const ahead = 3;
const program = fileURLToPath(new URL('./regenerating-process.ts', import.meta.url));

describe('a process that dies by kill -9 while it regenerates', () => {
  let world: World;
  const children = new Set<ChildProcess>();

  beforeAll(async () => {
    world = await createWorld();
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await world.close();
  });

  /** A process that is ready to regenerate. */
  async function start(): Promise<{ child: ChildProcess; told: string[] }> {
    const { databaseUrl, redisUrl, rootKey } = world.stores;
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, world.shop.id], {
      env: { PATH: process.env['PATH'], DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, KEYTURN_ROOT_KEY: rootKey },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.add(child);
    const told: string[] = [];
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    await once(lines, 'line');
    lines.on('line', (line) => told.push(line));
    return { child, told };
  }

  it('leaves the old or the new secret working, and secret, end and audit row together or absent, 200 times', async () => {
    const { core, shop } = world;
    const waiting = Array.from({ length: ahead }, start);
    let known = shop.secret;
    let regenerated = 0;
    for (let kill = 0; kill < kills; kill++) {
      const { child, told } = await (waiting.shift() as ReturnType<typeof start>);
      child.stdin?.write('go\n');
      await delay(Math.random() * 80);
      child.kill('SIGKILL');
      await once(child, 'close');
      children.delete(child);
      if (kill + ahead < kills) waiting.push(start());
      // A last line may have been cut.
      known = told.findLast((line) => line.length === shop.secret.length) ?? known;
      regenerated += told.length;

      // What an integrator was handed last works, whether or not one more came after it.
      const credentials = { id: shop.id, secret: known };
      let answer = await world.askToken(credentials);
      // A store that is slow for a moment says nothing about any secret.
      while (answer.status === 503) answer = await world.askToken(credentials);
      expect([kill, answer.status]).toEqual([kill, 200]);
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
    expect(regenerated).toBeGreaterThan(kills / 4);
    expect(await verifyAuditLog(core.database, core.keyRing)).toMatchObject({ finding: null });
  }, 400_000);
});
