import { createHmac } from 'node:crypto';
import { auditKeys, macOfAnchor, macOfEvent, textOfEvent } from '../../src/audit/audit-chain.ts';
import { currentCheckpoint } from '../../src/audit/audit-checkpoint.ts';
import { type Actor, appendAuditEvent, auditedTransaction } from '../../src/audit/audit-log.ts';
import { findErasedParts } from '../../src/audit/personal-values.ts';
import { type VerifyOptions, verifyAuditLog } from '../../src/audit/verify-audit-log.ts';
import { createKeyRing, type KeyRing } from '../../src/credentials/key-ring.ts';
import { createLog } from '../../src/observability/log.ts';
import type { Database, Transaction } from '../../src/storage/database.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { askPostgres, createTestDatabase } from '../services.ts';

const actor: Actor = { id: 'op', name: 'An operator', address: '192.0.2.1' };

describe('the audit log', () => {
  let url: string;
  let database: Database;
  let ring: KeyRing;
  const rootKey = generateRootKey('v1');

  beforeEach(async () => {
    url = await createTestDatabase();
    database = connectPostgres({ connectionString: url, log: createLog('silent') });
    ring = createKeyRing(rootKey);
  });
  afterEach(async () => {
    await database.close();
  });

  const event = (transaction: Transaction, target: string) =>
    appendAuditEvent(transaction, {
      at: new Date(),
      actor,
      action: 'client.update',
      targetType: 'client',
      target,
      before: { z: 1, a: [1.5, { y: null, b: 'é' }], n: 1e21 },
      after: { at: new Date(), missing: undefined },
    });
  const append = (target: string, keys = ring) =>
    auditedTransaction(database, keys, (transaction) => event(transaction, target));
  const verify = async (keys = ring, options: VerifyOptions = {}) =>
    (await verifyAuditLog(database, keys, options)).finding;

  async function appendTen(): Promise<void> {
    for (let index = 1; index <= 10; index++) await append(`target ${index}`);
    expect(await verify()).toBeNull();
  }

  /** Runs SQL without triggers, as the owner of the database can. */
  const tamper = (sql: string) => askPostgres(url, `SET session_replication_role = replica; ${sql}`);

  it('is verified if it is unmodified or empty', async () => {
    expect(await verify()).toBeNull();
    await appendTen();
  });

  const findings: [string, string, { seq: number; problem: string }][] = [
    ['another actor', `UPDATE audit_events SET actor = 'x' WHERE seq = 4`, { seq: 4, problem: 'changed' }],
    ['another address', `UPDATE audit_events SET address = NULL WHERE seq = 4`, { seq: 4, problem: 'changed' }],
    ['another time', `UPDATE audit_events SET at = at - interval '1 ms' WHERE seq = 4`, { seq: 4, problem: 'changed' }],
    ['an infinite time', `UPDATE audit_events SET at = 'infinity' WHERE seq = 4`, { seq: 4, problem: 'changed' }],
    [
      'another state',
      `UPDATE audit_events SET before = before || '{"z":2}' WHERE seq = 4`,
      { seq: 4, problem: 'changed' },
    ],
    ['another HMAC', `UPDATE audit_events SET mac = sha256(mac) WHERE seq = 4`, { seq: 4, problem: 'changed' }],
    ['a row less', 'DELETE FROM audit_events WHERE seq = 4', { seq: 4, problem: 'missing' }],
    ['the first rows less', 'DELETE FROM audit_events WHERE seq < 4', { seq: 1, problem: 'missing' }],
    [
      'a row less, the rest moved up',
      `DELETE FROM audit_events WHERE seq = 4; UPDATE audit_events SET seq = seq + 100 WHERE seq > 4;
       UPDATE audit_events SET seq = seq - 101 WHERE seq > 100; UPDATE audit_anchor SET seq = 9`,
      { seq: 4, problem: 'changed' },
    ],
    [
      'two rows in each other’s place',
      `UPDATE audit_events SET seq = 100 WHERE seq = 4; UPDATE audit_events SET seq = 4 WHERE seq = 5;
       UPDATE audit_events SET seq = 5 WHERE seq = 100`,
      { seq: 4, problem: 'changed' },
    ],
    [
      'a row more, the rest moved down',
      `UPDATE audit_events SET seq = seq + 100 WHERE seq > 4; UPDATE audit_events SET seq = seq - 99 WHERE seq > 100;
       INSERT INTO audit_events SELECT (jsonb_populate_record(e, '{"seq": 5}')).* FROM audit_events e WHERE seq = 4;
       UPDATE audit_anchor SET seq = 11`,
      { seq: 5, problem: 'changed' },
    ],
    ['its end cut off', 'DELETE FROM audit_events WHERE seq > 7', { seq: 8, problem: 'cut_off' }],
    ['its last row cut off', 'DELETE FROM audit_events WHERE seq = 10', { seq: 10, problem: 'cut_off' }],
    ['all of it cut off', 'TRUNCATE audit_events', { seq: 1, problem: 'cut_off' }],
    [
      'its end cut off, and the anchor put back',
      `DELETE FROM audit_events WHERE seq > 7;
       UPDATE audit_anchor SET seq = 7, mac = (SELECT mac FROM audit_events WHERE seq = 7)`,
      { seq: 8, problem: 'anchor_changed' },
    ],
    [
      'a row after its end',
      `INSERT INTO audit_events SELECT (jsonb_populate_record(e, '{"seq": 11}')).* FROM audit_events e WHERE seq = 10`,
      { seq: 11, problem: 'beyond_end' },
    ],
    ['an anchor that is gone', 'DELETE FROM audit_anchor', { seq: 1, problem: 'anchor_changed' }],
  ];

  it.each(findings)('with %s is reported with the first wrong row', async (_what, sql, finding) => {
    await appendTen();
    await tamper(sql);
    expect(await verify()).toEqual(finding);
  });

  it('with a row of another history is reported, even if the row was written at that position before a restore', async () => {
    await appendTen();
    await tamper(`CREATE TABLE kept AS SELECT * FROM audit_events WHERE seq = 8;
      DELETE FROM audit_events WHERE seq > 7; DELETE FROM audit_checkpoints`);
    await tamper(await anchorAt(7));
    for (let index = 8; index <= 10; index++) await append(`another ${index}`);
    expect(await verify()).toBeNull();
    await tamper('DELETE FROM audit_events WHERE seq = 8; INSERT INTO audit_events SELECT * FROM kept');
    expect(await verify()).toEqual({ seq: 9, problem: 'changed' });
  });

  it('is append-only, even for the owner of the database', async () => {
    await appendTen();
    for (const sql of [
      `UPDATE audit_events SET actor = 'x'`,
      'DELETE FROM audit_events WHERE seq = 10',
      'TRUNCATE audit_events',
      'DELETE FROM audit_anchor',
      'TRUNCATE audit_anchor',
    ]) {
      await expect(askPostgres(url, sql)).rejects.toThrow('append-only');
    }
    expect(await verify()).toBeNull();
  });

  it('does not fork when ten transactions append several events at once', async () => {
    await Promise.all(
      Array.from({ length: 10 }, async (_, writer) => {
        for (let index = 0; index < 10; index++) {
          await auditedTransaction(database, ring, async (transaction) => {
            await event(transaction, `${writer} ${index}`);
            await transaction.query('SELECT pg_sleep(random() * 0.005)');
            await event(transaction, `${writer} ${index} again`);
          });
        }
      }),
    );
    expect(await verifyAuditLog(database, ring)).toMatchObject({ events: 200, finding: null });
    const rows = await database.query<{ target: string }>('SELECT target FROM audit_events ORDER BY seq');
    for (let index = 0; index < rows.length; index += 2) {
      expect(rows[index + 1]?.target).toBe(`${rows[index]?.target} again`);
    }
  });

  it('verifies events that earlier versions have written, before and after new ones', async () => {
    const fixed = createKeyRing('v1:pgDCplUmx3dK1xzpkbd5PK5a/4mGZHVSbYZaZlLu/TI=');
    const mac = '4e0d19328ff75d0df4b30787c9a9c5943edca44d2a5a91b8d4b4b80f94c0cdd3';
    const seal = macOfAnchor(fixed, 'v1', { seq: 1, mac: Buffer.from(mac, 'hex') })?.toString('hex');
    const before = '{"z":1, "10":1, "9":[1.5, {"y":null, "b":"é😀"}], "n":1e21, "__proto__":{"b":1, "a":2}}';
    await tamper(`INSERT INTO audit_events (seq, at, actor, actor_name, action, target_type, target, before, key_version, mac)
        VALUES (1, '2026-01-02T03:04:05.678Z', 'op', 'Zoë', 'client.update', 'client', 'a', '${before}', 'v1', '\\x${mac}');
      UPDATE audit_anchor SET seq = 1, mac = '\\x${mac}', key_version = 'v1', seal = '\\x${seal}'`);
    await append('after', fixed);
    expect(await verifyAuditLog(database, fixed)).toMatchObject({ events: 2, finding: null });
    await tamper(`UPDATE audit_events SET actor_name = 'erased' WHERE seq = 1`);
    expect(await verify(fixed)).toEqual({ seq: 1, problem: 'changed' });
  });

  it('gives an event the HMAC that later versions expect', () => {
    const keys = auditKeys(createKeyRing('v1:pgDCplUmx3dK1xzpkbd5PK5a/4mGZHVSbYZaZlLu/TI='));
    const values = { actor_name: 'Zoë', address: null, action: 'contact.update', target_type: 'contact', target: 'a' };
    const states = { before: { name: 'Zoë', z: 1 }, after: { name: 'Zoé', email: 'z@example.com', a: { c: 1, b: 2 } } };
    const personal = {
      actor: createHmac('sha256', 'salt-1').update('["actor","Zoë",null]').digest('base64url'),
      subject: createHmac('sha256', 'salt-2').update('["subject","z@example.com","Zoë","Zoé"]').digest('base64url'),
      subject_paths: ['after.email', 'before.name', 'after.name'],
    };
    const row = {
      ...{ seq: 1, at: new Date('2026-01-02T03:04:05.678Z'), actor: 'op', organization: null },
      ...{ ...values, ...states, personal, actor_salt: 'salt-1', subject_salt: 'salt-2' },
    };
    expect(findErasedParts(row)).toEqual([]);
    const mac = macOfEvent(keys.get('v1') as Uint8Array, textOfEvent(new Uint8Array(0), row));
    expect(mac.toString('hex')).toBe('bccf4d9a3b9c9fa2e6acb855a5d22000daa8f10b36971c2843d8054ba644dc94');
  });

  it('contains no event of a change that was rolled back', async () => {
    await append('before');
    await expect(
      auditedTransaction(database, ring, async (transaction) => {
        await event(transaction, 'never');
        throw new Error('refused');
      }),
    ).rejects.toThrow('refused');
    await append('after');
    expect(await verifyAuditLog(database, ring)).toMatchObject({ events: 2, finding: null });
  });

  it('rejects an event outside an audited transaction', async () => {
    await expect(database.transaction((transaction) => event(transaction, 'lost'))).rejects.toThrow('audited');
  });

  it('fails verification if it was wiped together with its anchor, even after further events', async () => {
    await appendTen();
    await addContact('v1');
    await tamper(`DELETE FROM audit_events; DELETE FROM audit_checkpoints;
      UPDATE audit_anchor SET seq = 0, mac = '', key_version = '', seal = ''`);
    expect(await verify()).toEqual({ seq: 1, problem: 'cut_off' });
    await append('after');
    expect(await verify()).toEqual({ seq: 2, problem: 'anchor_changed' });
  });

  it('fails verification with an outside checkpoint if its end was removed and an old anchor restored', async () => {
    await appendTen();
    await tamper('CREATE TABLE kept AS SELECT * FROM audit_anchor');
    await append('to be hidden');
    const checkpoint = (await currentCheckpoint(database, ring)) ?? '';
    expect(await verify(ring, { checkpoint })).toBeNull();
    await tamper(`DELETE FROM audit_events WHERE seq > 10; DELETE FROM audit_checkpoints WHERE seq > 10;
      UPDATE audit_anchor a SET (seq, mac, key_version, seal) = (SELECT seq, mac, key_version, seal FROM kept)`);
    expect(await verify(ring, { checkpoint })).toEqual({ seq: 11, problem: 'cut_off' });
    await append('another history');
    expect(await verify(ring, { checkpoint })).toEqual({ seq: 11, problem: 'not_the_checkpoint' });
    await expect(verify(ring, { checkpoint: 'five' })).rejects.toThrow('The checkpoint must be');
  });

  it('fails verification without an outside checkpoint if its end was removed after a complete verification', async () => {
    await append('first');
    await tamper('CREATE TABLE kept AS SELECT * FROM audit_anchor');
    await append('to be hidden');
    expect(await verify()).toBeNull();
    await tamper(`DELETE FROM audit_events WHERE seq > 1;
      UPDATE audit_anchor a SET (seq, mac, key_version, seal) = (SELECT seq, mac, key_version, seal FROM kept)`);
    expect(await verify()).toEqual({ seq: 2, problem: 'cut_off' });
  });

  it('can be verified from the last complete verification on', async () => {
    await appendTen();
    await append('new');
    expect(await verifyAuditLog(database, ring, { recent: true })).toMatchObject({
      from: 11,
      events: 11,
      finding: null,
    });
    await tamper(`UPDATE audit_events SET actor = 'x' WHERE seq = 11`);
    expect(await verify(ring, { recent: true })).toEqual({ seq: 11, problem: 'changed' });
  });

  describe('after the root key was replaced', () => {
    const second = generateRootKey('v2');
    const rotated = createKeyRing(`${second},${rootKey}`);

    it('is verified with both keys, and afterwards without the old one', async () => {
      await append('under the first');
      await append('under the second', rotated);
      expect(await verify(createKeyRing(second))).toEqual({ seq: 1, problem: 'unknown_key' });
      const other = createKeyRing(`${second},${generateRootKey('v1')}`);
      expect(await verify(other)).toEqual({ seq: 1, problem: 'changed' });
      expect(await verify(rotated)).toBeNull();
      await append('without the first', createKeyRing(second));
      expect(await verify(createKeyRing(second))).toBeNull();
      await tamper(`UPDATE audit_events SET actor = 'x' WHERE seq = 1`);
      expect(await verify(createKeyRing(second))).toEqual({ seq: 1, problem: 'changed' });
    });

    it('is verified over many pages, with and without the old key, as a short log is', async () => {
      const appendMany = (keys: KeyRing) =>
        auditedTransaction(database, keys, async (transaction) => {
          for (let index = 0; index < 1_100; index++) await event(transaction, `target ${index}`);
        });
      await appendMany(ring);
      await appendMany(rotated);
      const progress: number[][] = [];
      const onProgress = (...step: number[]) => void progress.push(step);
      const whole = await verifyAuditLog(database, rotated, { onProgress });
      expect(whole).toMatchObject({ events: 2_200, from: 1, finding: null });
      expect(progress).toEqual([
        [1_000, 2_200],
        [2_000, 2_200],
        [2_200, 2_200],
      ]);
      expect(await verifyAuditLog(database, createKeyRing(second))).toEqual(whole);
      await tamper(`UPDATE audit_events SET actor = 'x' WHERE seq = 1050`);
      expect(await verify(rotated)).toEqual({ seq: 1_050, problem: 'changed' });
      expect(await verify(createKeyRing(second))).toEqual({ seq: 1, problem: 'changed' });
      await tamper('DELETE FROM audit_events WHERE seq = 1001');
      expect(await verify(rotated)).toEqual({ seq: 1_001, problem: 'missing' });
    });

    it('appends only under the new key, even from a server that still has the old one first', async () => {
      await append('under the first');
      await append('under the second', rotated);
      const behind = createKeyRing(`${rootKey},${second}`);
      await append('from a server that was not restarted yet', behind);
      const versions = await database.query('SELECT key_version FROM audit_events ORDER BY seq');
      expect(versions.map((row) => row['key_version'])).toEqual(['v1', 'v2', 'v2']);
      expect([await verify(rotated), await verify(behind)]).toEqual([null, null]);
      await expect(append('without the new key')).rejects.toThrow('version v2');
    });

    it.each([
      ['its rotation', 2, { seq: 5, problem: 'old_key' }],
      ['a later event', 4, { seq: 5, problem: 'old_key' }],
    ])('fails verification if the leaked old key has forged the history since %s', async (_what, kept, finding) => {
      for (const target of ['first', 'second']) await append(target);
      for (const target of ['third', 'fourth', 'fifth']) await append(target, rotated);
      await addContact('v2');
      expect(await verify(rotated)).toBeNull();
      const anchor = await anchorAt(kept);
      await tamper(`DELETE FROM audit_events WHERE seq > ${kept}; DELETE FROM audit_checkpoints; ${anchor}`);
      for (let seq = kept + 1; seq <= 5; seq++) await append(`forged ${seq}`);
      expect(await verify(rotated)).toEqual(finding);
      // Verification keeps failing after further events.
      await append('after', rotated);
      expect(await verify(rotated)).toMatchObject({ problem: 'old_key' });
    });
  });

  /**
   * Returns SQL that restores the anchor of this event, sealed under the first key as when the event was the last one.
   */
  async function anchorAt(seq: number): Promise<string> {
    const [row] = await database.query<{ mac: Uint8Array }>('SELECT mac FROM audit_events WHERE seq = $1', [seq]);
    const mac = Buffer.from(row?.mac ?? []);
    const seal = macOfAnchor(ring, 'v1', { seq, mac })?.toString('hex');
    return `UPDATE audit_anchor SET seq = ${seq}, mac = '\\x${mac.toString('hex')}', key_version = 'v1', seal = '\\x${seal}'`;
  }

  /**
   * Creates a contact with an operator token under this version of the root key. Without tampering, its creation leaves
   * an event.
   */
  async function addContact(version: string): Promise<void> {
    await askPostgres(
      url,
      `WITH contact AS (
         INSERT INTO contacts (id, name, email, created_at, updated_at) VALUES (gen_random_uuid(), 'Ann', 'a@example.com', now(), now())
         RETURNING id
       ) INSERT INTO operator_tokens (contact, verifier, key_version, hint, created_at)
         SELECT id, 'x', '${version}', 'abcd', now() FROM contact`,
    );
  }
});
