import { randomBytes } from 'node:crypto';
import { createKeyRing } from '../../src/credentials/key-ring.ts';
import { decrypt, seal, unseal } from '../../src/credentials/sealed-copy.ts';

const first = `v1:${randomBytes(32).toString('base64')}`;
const second = `v2:${randomBytes(32).toString('base64')}`;
const ring = createKeyRing(first);
const place = { table: 'secrets', id: '019a0000-0000-7000-8000-000000000001' };
const secret = 'kts_0123456789';

test('AES-256-GCM matches the published test case 16 of McGrew and Viega, with additional data', () => {
  const hex = (text: string) => Buffer.from(text, 'hex');
  const key = hex('feffe9928665731c6d6a8f9467308308'.repeat(2));
  const nonce = hex('cafebabefacedbaddecaf888');
  const additional = hex('feedfacedeadbeeffeedfacedeadbeefabaddad2');
  const plaintext =
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39';
  const ciphertext =
    '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662';
  const tag = '76fc6ece0f4e1768cddf8853bb2d551b';
  const sealed = Buffer.concat([nonce, hex(ciphertext), hex(tag)]);
  expect(decrypt(key, sealed, additional).toString('hex')).toBe(plaintext);
  expect(() => decrypt(key, sealed, additional.subarray(1))).toThrow();
});

test('a sealed copy opens in its place, and does not contain its value in plaintext', () => {
  const sealed = seal(ring, place, secret);
  expect(unseal(ring, place, sealed)).toBe(secret);
  expect(sealed).toMatch(/^v1\.[\w-]+\.[\w-]+$/);
  expect(Buffer.from(sealed.split('.')[2] ?? '', 'base64url').includes('kts_')).toBe(false);
});

test('sealing the same value twice gives two different copies with two data keys', () => {
  const [one, other] = [seal(ring, place, secret).split('.'), seal(ring, place, secret).split('.')];
  expect(one[1]).not.toBe(other[1]);
  expect(one[2]).not.toBe(other[2]);
  expect(() => unseal(ring, place, [one[0], one[1], other[2]].join('.'))).toThrow();
});

test('a copy that was moved to another row or table does not open', () => {
  const sealed = seal(ring, place, secret);
  expect(() => unseal(ring, { ...place, id: '019a0000-0000-7000-8000-000000000002' }, sealed)).toThrow();
  expect(() => unseal(ring, { ...place, table: 'idempotency_keys' }, sealed)).toThrow();
});

test('a table and an ID with the same concatenation are a different place', () => {
  const sealed = seal(ring, { table: 'a', id: 'bc' }, secret);
  expect(() => unseal(ring, { table: 'ab', id: 'c' }, sealed)).toThrow();
});

test('a copy with a changed byte, a shorter or a longer copy does not open', () => {
  const parts = seal(ring, place, secret).split('.');
  for (const part of [1, 2]) {
    const bytes = Buffer.from(parts[part] ?? '', 'base64url');
    const withPart = (changed: Buffer) => parts.with(part, changed.toString('base64url')).join('.');
    expect(unseal(ring, place, withPart(bytes))).toBe(secret);
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes);
      changed[index] = (changed[index] ?? 0) ^ 1;
      expect(() => unseal(ring, place, withPart(changed))).toThrow();
      expect(() => unseal(ring, place, withPart(bytes.subarray(0, index)))).toThrow();
    }
    expect(() => unseal(ring, place, withPart(Buffer.concat([bytes, Buffer.alloc(1)])))).toThrow();
  }
  for (const damaged of ['', 'v1', 'v1.', 'v1..', parts[1] ?? '', parts.slice(0, 2).join('.')]) {
    expect(() => unseal(ring, place, damaged)).toThrow();
  }
});

test('after a rotation of the root key, old copies open, and the old key alone does not open new copies', () => {
  const old = seal(ring, place, secret);
  const both = createKeyRing(`${second},${first}`);
  expect(unseal(both, place, old)).toBe(secret);
  const renewed = seal(both, place, secret);
  expect(renewed).toMatch(/^v2\./);
  expect(unseal(createKeyRing(second), place, renewed)).toBe(secret);
  expect(() => unseal(ring, place, renewed)).toThrow('v2');
  expect(() => unseal(createKeyRing(second), place, old)).toThrow('v1');
});

test('a copy with a changed version does not open, even if that version has the same key', () => {
  const sealed = seal(ring, place, secret);
  const twice = createKeyRing(`${first},${first.replace('v1', 'v9')}`);
  expect(() => unseal(twice, place, sealed.replace(/^v1/, 'v9'))).toThrow();
});
