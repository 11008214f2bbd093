import type { Stores } from '../harness.ts';
import { askPostgres } from '../services.ts';

/** Brings the database of these stores back to its state before the latest changes, as after a promotion with loss or a restored backup. */
export async function restore(stores: Stores, backup: string): Promise<void> {
  const { pathname } = new URL(stores.databaseUrl);
  const maintenance = new URL('/postgres', stores.databaseUrl).href;
  await askPostgres(maintenance, `DROP DATABASE "${pathname.slice(1)}" WITH (FORCE)`);
  await askPostgres(maintenance, `ALTER DATABASE "${backup}" RENAME TO "${pathname.slice(1)}"`);
}

export async function backUp(stores: Stores): Promise<string> {
  const name = new URL(stores.databaseUrl).pathname.slice(1);
  const backup = `${name}_backup`;
  await askPostgres(new URL('/postgres', stores.databaseUrl).href, `CREATE DATABASE "${backup}" TEMPLATE "${name}"`);
  return backup;
}
