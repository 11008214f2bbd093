import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { createKeyRing, type KeyRing } from '../credentials/key-ring.ts';
import { seal, unseal } from '../credentials/sealed-copy.ts';
import { KeyturnError, StoreUnavailable, UsageError } from '../errors.ts';
import { createLog } from '../observability/log.ts';
import type { Database } from '../storage/database.ts';
import { DataDirInUse } from '../storage/lock-data-dir.ts';
import { requireMigrated } from '../storage/migrations.ts';
import { connectDatabase, readRootKey } from '../storage/open-database.ts';
import { connectRedis } from '../storage/redis.ts';
import { type Check, fail, ok, warn } from './examine-configuration.ts';

const quiet = createLog('silent');

/** Checks the root key, the database, Redis and the mail server. */
export async function examineStores(config: Config): Promise<Check[]> {
  const { ring, check } = await examineRootKey(config);
  return [
    check,
    ...(await examineDatabase(config, ring)),
    ...(await examineRedis(config)),
    ...(await examineMail(config)),
  ];
}

async function examineRootKey(config: Config): Promise<{ ring: KeyRing | undefined; check: Check }> {
  const file = join(config.dataDir, 'root-key');
  if (!config.rootKey && !existsSync(file)) {
    return { ring: undefined, check: ok('root key', `will be generated at the first start, in ${file}`) };
  }
  try {
    const ring = createKeyRing(await readRootKey(config));
    const place = { table: 'doctor', id: 'none' };
    if (unseal(ring, place, seal(ring, place, 'a value')) !== 'a value')
      throw new Error('cannot decrypt what it encrypted');
    const earlier = ring.versions.slice(1).join(', ');
    const versions = `version ${ring.current} encrypts${earlier ? `; ${earlier} can still decrypt` : ''}`;
    if (!config.rootKey && (statSync(file).mode & 0o077) !== 0) {
      return { ring, check: warn('root key', `${file} can be read by other users`, `Run chmod 600 ${file}`) };
    }
    return { ring, check: ok('root key', config.rootKey ? versions : `${versions}; in ${file}`) };
  } catch (error) {
    const advice =
      'Generate one with `keyturn root-key generate`. If there is data already, use the root key of that data.';
    return { ring: undefined, check: fail('root key', explain(error), advice) };
  }
}

async function examineDatabase(config: Config, ring: KeyRing | undefined): Promise<Check[]> {
  if (!config.databaseUrl && !existsSync(join(config.dataDir, 'postgres'))) {
    return [ok('database', 'embedded; will be created at the first start')];
  }
  let database: Database | undefined;
  try {
    database = await connectDatabase(config, quiet);
    const checks = [await examineServer(config, database), await examineClock(database)];
    if (!(await isMigrated(database))) return [...checks, unmigrated(config)];
    return [...checks, ok('schema', 'up to date'), ...(ring ? [await examineSecrets(database, ring)] : [])];
  } catch (error) {
    if (error instanceof DataDirInUse) {
      const advice = 'GET /readyz of that process returns its state. To check the database from here, stop it first.';
      return [warn('database', error.message.replace(/, and only.*/s, '.'), advice)];
    }
    return [fail('database', explain(error), adviceFor(error))];
  } finally {
    await database?.close();
  }
}

async function examineServer(config: Config, database: Database): Promise<Check> {
  const [row] = await database.query<{ version: string; number: number; standby: boolean }>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
       pg_is_in_recovery() AS standby`,
  );
  const where = config.databaseUrl ? `PostgreSQL ${row?.version} at ${withoutPassword(config.databaseUrl)}` : undefined;
  if (!where) return ok('database', `PostgreSQL ${row?.version}, embedded: for one process, to try Keyturn`);
  if (row?.standby) return fail('database', `${where} is a standby`, 'Set DATABASE_URL to the primary.');
  const oldest = 13;
  if (row && row.number < oldest * 10_000) {
    return fail('database', where, `Keyturn needs PostgreSQL ${oldest} or later, because it uses the type xid8.`);
  }
  return ok('database', where);
}

async function examineClock(database: Database): Promise<Check> {
  const before = Date.now();
  const [row] = await database.query<{ now: Date }>('SELECT clock_timestamp() AS now');
  const after = Date.now();
  const tripMs = after - before;
  const differenceMs = Math.abs((row?.now.getTime() ?? 0) - (before + after) / 2);
  const message = `differs from the clock of the database by ${Math.round(differenceMs)} ms`;
  if (differenceMs <= 1_000 + tripMs / 2) return ok('clock', message);
  const advice = 'Synchronize both machines with NTP: the clock decides when tokens and grace periods end.';
  if (differenceMs <= 5_000 + tripMs / 2) return warn('clock', message, advice);
  return fail('clock', `${message}, so no tokens are issued`, advice);
}

async function isMigrated(database: Database): Promise<boolean> {
  try {
    await requireMigrated(database);
    return true;
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}

function unmigrated({ databaseUrl }: Config): Check {
  if (!databaseUrl) return ok('schema', 'not up to date; the embedded database is migrated at the next start');
  return fail('schema', 'the database is not migrated', 'Run `keyturn migrate`.');
}

/**
 * Checks that the ring has every version in use, and that it is the ring that the data was created with. Registered
 * keys and certificates are in `secrets` too, with an empty version, because no root key protects them.
 */
async function examineSecrets(database: Database, ring: KeyRing): Promise<Check> {
  const inUse = await database.query<{ version: string }>(
    `SELECT key_version AS version FROM secrets WHERE key_version <> '' AND ${live} UNION
     SELECT key_version FROM operator_tokens UNION
     SELECT key_version FROM bounded_tokens UNION
     SELECT key_version FROM audit_anchor WHERE seq > 0 UNION
     SELECT split_part(sealed, '.', 1) FROM secrets WHERE sealed IS NOT NULL AND ${live} UNION
     SELECT split_part(sealed, '.', 1) FROM identity_providers WHERE sealed IS NOT NULL UNION
     SELECT split_part(sealed, '.', 1) FROM signing_keys WHERE expires_at > now() ORDER BY version`,
  );
  const missing = inUse.filter(({ version }) => !ring.versions.includes(version)).map(({ version }) => version);
  if (missing.length > 0) {
    const advice = `Add ${missing.join(', ')} after the current version: KEYTURN_ROOT_KEY=${ring.current}:…,${missing[0]}:…`;
    return fail(
      'secrets',
      `the database contains secrets of root key version ${missing.join(', ')}, which is not in KEYTURN_ROOT_KEY`,
      advice,
    );
  }
  const samples = await database.query<Sample>(
    `SELECT DISTINCT ON (version) split_part(sealed, '.', 1) AS version, place, id, sealed FROM (
       SELECT 'secrets' AS place, id::text, sealed, created_at FROM secrets WHERE sealed IS NOT NULL AND ${live} UNION ALL
       SELECT 'signing_keys', kid, sealed, created_at FROM signing_keys WHERE expires_at > now()
     ) AS sealed ORDER BY version, created_at DESC`,
  );
  const closed = samples.filter((sample) => !opens(ring, sample)).map(({ version }) => version);
  if (closed.length > 0) {
    const advice = 'Set KEYTURN_ROOT_KEY to the root key of this database. With another one, no secret matches.';
    return fail('secrets', `root key version ${closed.join(', ')} is not the key that protects the secrets`, advice);
  }
  const opened = samples.length > 0 ? ', and decrypts a sample' : '';
  return ok('secrets', inUse.length > 0 ? `every root key version in use is configured${opened}` : 'none yet');
}

/** Excludes ended secrets, for which no root key is needed. */
const live = 'ended_as IS NULL AND (retires_at IS NULL OR retires_at > now())';

type Sample = { version: string; place: string; id: string; sealed: string };

function opens(ring: KeyRing, { place, id, sealed }: Sample): boolean {
  try {
    return unseal(ring, { table: place, id }, sealed).length > 0;
  } catch {
    return false;
  }
}

async function examineRedis({ redisUrl, databaseUrl }: Config): Promise<Check[]> {
  if (!redisUrl) {
    return [ok('redis', `not configured: access tokens are stored in the ${databaseUrl ? '' : 'embedded '}database`)];
  }
  try {
    const redis = await connectRedis(redisUrl, quiet);
    try {
      const info = await redis.info();
      const value = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1];
      const where = `Redis ${value('redis_version') ?? '(unknown version)'} at ${withoutPassword(redisUrl)}`;
      const policy = value('maxmemory_policy');
      return [
        policy === 'noeviction'
          ? ok('redis', `${where}, maxmemory-policy noeviction`)
          : warn('redis', `${where} does not report its maxmemory-policy`, 'Make sure that it is noeviction.'),
        value('aof_enabled') === '1'
          ? ok('redis', 'the append-only file is on: tokens survive a restart of Redis')
          : warn(
              'redis',
              'the append-only file is off: a restart of Redis loses the tokens issued since its last snapshot',
              'Run CONFIG SET appendonly yes and set it in redis.conf, or accept that clients then request new tokens.',
            ),
      ];
    } finally {
      redis.disconnect();
    }
  } catch (error) {
    return [fail('redis', explain(error), adviceFor(error))];
  }
}

/**
 * Returns the message for the person who runs the machine, which may contain more detail than a response to a caller.
 */
function explain(error: unknown): string {
  if (error instanceof KeyturnError) return error.detail ?? error.message;
  return error instanceof Error ? error.message || String((error as NodeJS.ErrnoException).code) : String(error);
}

function adviceFor(error: unknown): string | undefined {
  if (error instanceof UsageError) return undefined;
  const code = (error as { code?: unknown }).code;
  if (code === '28P01' || code === '28000') return 'Check the user and the password in DATABASE_URL.';
  if (code === '3D000') return 'Create the database, or correct its name in DATABASE_URL.';
  if (/NOAUTH|WRONGPASS|invalid username-password/.test(explain(error)))
    return 'Check the user and the password in REDIS_URL.';
  if (error instanceof StoreUnavailable)
    return 'Check that it runs, that its URL is correct, and that no firewall blocks it.';
  return undefined;
}

/** Returns a store's URL without credentials and query. */
function withoutPassword(url: string): string {
  return url.replace(/^([a-z+]+:\/\/)[^/]*@/i, '$1').replace(/\?.*$/s, '');
}

/** Connects to the mail server and signs in, without sending anything. */
async function examineMail({ mail }: Config): Promise<Check[]> {
  if (!mail) return [];
  const { createMailer } = await import('../mail/send-mail.ts');
  const server = `${mail.host}:${mail.port}`;
  try {
    await createMailer(mail).check();
    const tls = mail.isTls || mail.startTls === 'required' ? 'over TLS' : 'TLS if the server offers it';
    return [ok('mail', `${server} accepts the connection${mail.credentials ? ' and the login' : ''}, ${tls}`)];
  } catch (error) {
    const advice = 'Correct KEYTURN_SMTP_URL. Until then, mails are tried again for three days.';
    return [fail('mail', `${server}: ${(error as Error).message}`, advice)];
  }
}
