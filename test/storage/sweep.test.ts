import { createLog } from '../../src/observability/log.ts';
import type { Database } from '../../src/storage/database.ts';
import { openEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';
import { migrate } from '../../src/storage/migrations.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { sweepBatch } from '../../src/storage/sweep.ts';
import { createTestDatabase } from '../services.ts';

const engines: [string, () => Promise<Database>][] = [
  [
    'PostgreSQL',
    async () => connectPostgres({ connectionString: await createTestDatabase(), log: createLog('silent') }),
  ],
  [
    'embedded PostgreSQL',
    async () => {
      const database = await openEmbeddedPostgres('memory');
      await migrate(database);
      return database;
    },
  ],
];

describe.each(engines)('the sweep of %s', (_name, open) => {
  test('deletes expired tokens in batches of a thousand and keeps live ones', async () => {
    const database = await open();
    await database.query(
      `INSERT INTO access_tokens (jti, record, expires_at)
       SELECT 'jti' || n, '[]', now() + CASE WHEN n <= 2500 THEN -1 ELSE 1 END * interval '1 minute' FROM generate_series(1, 2600) n`,
    );
    const removed = [];
    for (let batch = 0; batch < 4; batch++) removed.push(await sweepBatch(database, 'access_tokens'));
    expect(removed).toEqual([1_000, 1_000, 500, 0]);
    expect(await database.query('SELECT count(*) AS left FROM access_tokens')).toEqual([{ left: 100 }]);
    await database.close();
  });
});
