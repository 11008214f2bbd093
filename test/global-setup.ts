import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateRootKey } from '../src/storage/open-database.ts';
import { runCommand } from './cli/run-command.ts';
import { findMissingPrograms, testsThatNeed } from './programs.ts';
import { askPostgres, startServices, templateName, urlOfDatabase } from './services.ts';

/** Builds the program, starts the stores of a test run and creates the migrated template database that test files copy. */
export default async function globalSetup(): Promise<void> {
  const tell = (line: string) => process.stderr.write(`${line}\n`);
  execFileSync(process.execPath, ['deploy/build-program.ts'], { stdio: 'inherit' });
  const [missing, services] = await Promise.all([tellMissingPrograms(tell), startServices(tell)]);
  const run = `keyturn_test_${randomBytes(6).toString('hex')}`;
  Object.assign(process.env, {
    TEST_RUN: run,
    TEST_DATABASE_URL: services.databaseUrl,
    TEST_REDIS_URL: services.redisUrl,
    TEST_MISSING_PROGRAMS: missing.join(),
    // Tests start the program several hundred times. The cache saves half of the CPU time of a start.
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'keyturn-test-compile-cache'),
  });
  Object.assign(globalThis, { keyturnTestServices: services });
  await askPostgres(services.databaseUrl, `CREATE DATABASE ${templateName()}`);
  // A separate process, because it also fills the cache of compiled code for all others.
  const databaseUrl = urlOfDatabase(services.databaseUrl, templateName());
  const environment = { DATABASE_URL: databaseUrl, KEYTURN_ROOT_KEY: generateRootKey() };
  const { code, stderr } = await runCommand(['migrate'], environment);
  if (code !== 0) throw new Error(`keyturn migrate: ${stderr}`);
}

/** Says which tests will be skipped. Returns the missing programs. */
async function tellMissingPrograms(tell: (line: string) => void): Promise<string[]> {
  const missing = await findMissingPrograms();
  for (const name of missing) tell(`${name} is missing: tests are skipped in ${testsThatNeed(name).join(', ')}`);
  if (missing.length === 0) tell('No program is missing: all tests run.');
  return missing;
}
