import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Conflict } from '../errors.ts';

/** The error for an embedded database that another process has open. */
export class DataDirInUse extends Conflict {
  constructor(dataDir: string, pid: string | undefined) {
    const holder = pid ? `process ${pid}` : 'another process';
    super(
      'data_dir_in_use',
      `The embedded database in ${dataDir} is open in ${holder}, and only one process may have it open. ` +
        'Stop that process first, or do this through its admin API. With DATABASE_URL there is no such limit.',
    );
  }
}

/**
 * Makes this process the only one that may open the embedded database: PGlite does not notice a second process, and
 * both would write the same files.
 *
 * The lock belongs to the operating system (SQLite takes it on a file that stays empty). It ends with its process in
 * every case, so it is never stale, it works between containers that share a volume, and two processes cannot both get
 * it. The process id beside it only helps to find the holder.
 * @returns a function that releases the lock.
 * @throws {DataDirInUse}
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  const pidFile = join(dataDir, 'postgres.pid');
  const lock = new DatabaseSync(join(dataDir, 'postgres.lock'));
  try {
    lock.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    const sqliteBusy = 5;
    if ((error as { errcode?: number }).errcode === sqliteBusy) throw new DataDirInUse(dataDir, readPid(pidFile));
    throw error;
  }
  await writeFile(pidFile, `${process.pid}\n`, { mode: 0o600 });
  return async () => {
    await rm(pidFile, { force: true });
    lock.close();
  };
}

function readPid(file: string): string | undefined {
  try {
    return /^\d+$/m.exec(readFileSync(file, 'utf8'))?.[0];
  } catch {
    return undefined;
  }
}
