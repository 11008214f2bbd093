import { createLog } from '../../src/observability/log.ts';
import type { Database } from '../../src/storage/database.ts';
import { migrate, requireMigrated } from '../../src/storage/migrations.ts';
import { limitDatabase, withinOrganization } from '../../src/storage/organization-limit.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { eventually } from '../eventually.ts';
import { createEmptyTestDatabase } from '../services.ts';
import { migrateTo } from './migrate-to.ts';

const organization = '00000000-0000-4000-8000-00000000000a';
/** More access keys, secrets and sources than are filled in one transaction, half of them of an organization. */
const total = 2_500;
const seed = `
  INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('${organization}', 'Acme', now(), now());
  INSERT INTO contacts (id, name, email, organization, created_at, updated_at)
    SELECT md5('p' || n)::uuid, 'Person ' || n, 'p@example.com', CASE n % 2 WHEN 0 THEN '${organization}' ELSE '00000000-0000-8000-8000-000000000001' END::uuid,
      now(), now() FROM generate_series(0, 9) n;
  INSERT INTO access_keys (id, contact, name, scope, created_at, updated_at)
    SELECT md5('k' || n)::uuid, md5('p' || n % 10)::uuid, 'Key ' || n, '{}', now(), now() FROM generate_series(1, ${total}) n;
  INSERT INTO secrets (id, access_key, generation, verifier, key_version, hint, created_at, retires_at)
    SELECT gen_random_uuid(), id, 1, uuid_send(gen_random_uuid()), 'v1', 'abcd', now(), now() + interval '1 day' FROM access_keys;
  INSERT INTO usage_sources (owner, generation, address, user_agent, refused, refused_at, refused_as, expires_at)
    SELECT id, 1, '192.0.2.1', 'sync', 1, now(), 'retired_secret', now() + interval '1 day' FROM access_keys
    UNION ALL SELECT gen_random_uuid(), 1, '192.0.2.1', 'deleted', 1, now(), 'retired_secret', now() + interval '1 day' FROM generate_series(1, ${total})`;

/** Counts the rows without the organization of their contact. */
const wrong = `SELECT (SELECT count(*)::int FROM access_keys k JOIN contacts c ON c.id = k.contact WHERE k.organization IS DISTINCT FROM c.organization) AS keys,
  (SELECT count(*)::int FROM secrets s JOIN access_keys k ON k.id = s.access_key WHERE s.organization IS DISTINCT FROM k.organization) AS secrets,
  (SELECT count(*)::int FROM usage_sources s JOIN access_keys k ON k.id = s.owner WHERE s.organization IS DISTINCT FROM k.organization) AS sources`;
const none = [{ keys: 0, secrets: 0, sources: 0 }];
const seen = `SELECT (SELECT count(*)::int FROM access_keys) AS keys, (SELECT count(*)::int FROM secrets) AS secrets,
  (SELECT count(*)::int FROM usage_sources) AS sources`;
const half = [{ keys: total / 2, secrets: total / 2, sources: total / 2 }];

let database: Database;
beforeAll(async () => {
  database = connectPostgres({ connectionString: await createEmptyTestDatabase(), log: createLog('silent') });
  await migrateTo(database, 125);
  await database.run(seed);
});
afterAll(() => database.close());

const seenByOperator = () => withinOrganization(organization, () => limitDatabase(database).query(seen));

test('a migration that is interrupted while it fills a column shows operators the same rows, and is continued by the next one', async () => {
  let transactions = 0;
  const interrupted: Database = {
    ...database,
    transaction: async (work) => {
      transactions += 1;
      if (transactions === 3) throw new Error('killed');
      return await database.transaction(work);
    },
  };
  await expect(migrate(interrupted)).rejects.toThrow('killed');
  const [{ keys: left } = { keys: 0 }] = await database.query<{ keys: number }>(wrong);
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(total);
  await expect(requireMigrated(database)).rejects.toThrow('keyturn migrate');
  expect(await seenByOperator()).toEqual(half);

  // The version before still serves: it creates access keys and moves contacts.
  await database.query(`INSERT INTO access_keys (id, contact, name, scope, created_at, updated_at)
    VALUES (gen_random_uuid(), md5('p0')::uuid, 'New', '{}', now(), now())`);
  await database.query(`UPDATE contacts SET organization = '${organization}' WHERE id = md5('p1')::uuid`);
  await database.query(
    `UPDATE contacts SET organization = '00000000-0000-8000-8000-000000000001' WHERE id IN (md5('p0')::uuid, md5('p2')::uuid)`,
  );
  await database.query(`UPDATE contacts SET organization = '${organization}' WHERE id = md5('p2')::uuid`);
  await database.query(`DELETE FROM access_keys WHERE name = 'New'`);

  expect(await migrate(database)).not.toEqual([]);
  await requireMigrated(database);
  expect(await database.query(wrong)).toEqual(none);
  expect(await seenByOperator()).toEqual(half);
});

test('access keys, their secrets and their sources follow a contact to another organization', async () => {
  await database.query(`UPDATE contacts SET organization = '${organization}'`);
  expect(await database.query(wrong)).toEqual(none);
  const all = [{ keys: total, secrets: total, sources: total }];
  expect(await seenByOperator()).toEqual(all);
});

test('an access key is created in the organization of its contact alone, also in a transaction that overlaps with a move', async () => {
  const other = '00000000-0000-8000-8000-000000000001';
  const insert = `INSERT INTO access_keys (id, contact, name, scope, organization, created_at, updated_at)
    VALUES (md5('overlapping')::uuid, md5('p3')::uuid, 'Overlapping', '{}', '${organization}', now(), now())`;
  const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  let inserted: Promise<unknown> | undefined;
  await database.transaction(async (transaction) => {
    await transaction.query(`UPDATE contacts SET organization = '${other}' WHERE id = md5('p3')::uuid`);
    inserted = database.query(insert);
    await eventually(async () => (await database.query(waiting)).length > 0);
  });
  await inserted;
  expect(await database.query(wrong)).toEqual(none);
  const foreign = `INSERT INTO access_keys (id, contact, name, scope, created_at, updated_at)
    VALUES (gen_random_uuid(), md5('p3')::uuid, 'Foreign', '{}', now(), now())`;
  await expect(withinOrganization(organization, () => limitDatabase(database).query(foreign))).rejects.toThrow(
    'does not belong to your organization',
  );
});
