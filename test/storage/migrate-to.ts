import { fileURLToPath } from 'node:url';
import Postgrator from 'postgrator';
import type { Database } from '../../src/storage/database.ts';

/** The folder of the migrations. */
export const migrations = fileURLToPath(new URL('../../sql/', import.meta.url));

/** Migrates as the version does whose last migration this is. */
export async function migrateTo(database: Database, level: number, from = migrations): Promise<void> {
  await database.transaction(async (transaction) => {
    const postgrator = new Postgrator({
      migrationPattern: `${from}/*.sql`,
      driver: 'pg',
      schemaTable: 'migrations',
      execQuery: async (query) => ({ rows: await transaction.query(query) }),
      execSqlScript: (script) => transaction.run(script),
    });
    await postgrator.migrate(String(level));
  });
}
