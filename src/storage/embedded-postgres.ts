import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PGlite, types } from '@electric-sql/pglite';
import type { Database, Row, Transaction } from './database.ts';
import { lockDataDir } from './lock-data-dir.ts';

/**
 * Opens PostgreSQL inside this process (PGlite), stored in `dataDir`. It serves one process and is meant for evaluation
 * and small deployments.
 * @throws {DataDirInUse} if another process has it open.
 */
export async function openEmbeddedPostgres(dataDir: string | 'memory'): Promise<Database> {
  const directory = dataDir === 'memory' ? undefined : join(dataDir, 'postgres');
  if (directory) await mkdir(directory, { recursive: true, mode: 0o700 });
  const unlock = directory ? await lockDataDir(dataDir) : async () => undefined;
  const parsers = { [types.INT8]: Number };
  const engine = await PGlite.create(directory ? { dataDir: directory, parsers } : { parsers }).catch(
    async (error: unknown) => {
      await unlock();
      throw error;
    },
  );

  return {
    async query<R extends Row>(sql: string, parameters: readonly unknown[] = []) {
      return (await engine.query<R>(sql, [...parameters])).rows;
    },
    async run(script) {
      await engine.exec(script);
    },
    async transaction(work) {
      return await engine.transaction(async (inner) => {
        const transaction: Transaction = {
          inTransaction: true,
          query: async <R extends Row>(sql: string, parameters: readonly unknown[] = []) =>
            (await inner.query<R>(sql, [...parameters])).rows,
          run: async (script) => {
            await inner.exec(script);
          },
        };
        return await work(transaction);
      });
    },
    listen: (channel, onNotification) => engine.listen(channel, onNotification),
    close: async () => {
      await engine.close();
      await unlock();
    },
  };
}
