import { randomBytes } from 'node:crypto';
import { createKeyRing, deriveKey, type KeyPurpose } from '../../src/credentials/key-ring.ts';
import { UsageError } from '../../src/errors.ts';

const key = () => randomBytes(32).toString('base64');
const purposes: KeyPurpose[] = [
  'client-secret-pepper',
  'access-key-pepper',
  'operator-token-pepper',
  'sealing',
  'cursor',
];

test('keys are derived with HKDF-SHA-256, checked with RFC 5869, test case 3', () => {
  const inputKey = Buffer.alloc(22, 0x0b);
  expect(deriveKey(inputKey, '').toString('hex')).toBe(
    '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d',
  );
});

test('the first version seals new values, and all versions unseal', () => {
  const ring = createKeyRing(`v2:${key()}, v1:${key()}`);
  expect(ring.current).toBe('v2');
  expect(ring.versions).toEqual(['v2', 'v1']);
  expect(ring.key('sealing', 'v1')).toHaveLength(32);
  expect(ring.key('sealing', 'v3')).toBeUndefined();
});

test('each purpose and each version has its own key, the same in every process', () => {
  const text = `v2:${key()},v1:${key()}`;
  const [one, other] = [createKeyRing(text), createKeyRing(text)];
  const keys = ['v1', 'v2'].flatMap((version) =>
    purposes.map((purpose) => {
      const derived = one.key(purpose, version)?.toString('hex');
      expect(other.key(purpose, version)?.toString('hex')).toBe(derived);
      expect(one.key(purpose, version)?.toString('hex')).toBe(derived);
      return derived;
    }),
  );
  expect(new Set(keys).size).toBe(purposes.length * 2);
});

test('a root key may be written in base64 and in base64url', () => {
  const bytes = Buffer.concat([Buffer.from('fbff', 'hex'), randomBytes(30)]);
  const [padded, url] = (['base64', 'base64url'] as const).map((encoding) =>
    createKeyRing(`v1:${bytes.toString(encoding)}`).key('sealing', 'v1'),
  );
  expect(padded).toEqual(url);
});

test.each([
  ['nothing', ''],
  ['no version', key()],
  ['no key', 'v1:'],
  ['a key that is too short', `v1:${randomBytes(31).toString('base64')}`],
  ['a key that is not base64', `v1:${'*'.repeat(44)}`],
  ['a version twice', `v1:${key()},v1:${key()}`],
  ['an additional comma', `v1:${key()},`],
  ['a version with a dot, which separates the parts of a sealed copy', `v.1:${key()}`],
])('KEYTURN_ROOT_KEY with %s is rejected, and the error does not contain it', (_, text) => {
  expect(() => createKeyRing(text)).toThrow(UsageError);
  expect(() => createKeyRing(text)).toThrow('KEYTURN_ROOT_KEY');
  const secret = text.split(':')[1]?.split(',')[0];
  if (secret) expect(() => createKeyRing(text)).not.toThrow(secret);
});

const weak = [
  Buffer.alloc(32),
  Buffer.alloc(48, 0x41),
  Buffer.from('changeme'.repeat(4)),
  Buffer.from('correct-horse'.repeat(3)),
  Buffer.from(Array.from({ length: 32 }, (_, index) => index)),
  Buffer.from(Array.from({ length: 32 }, (_, index) => 255 - index)),
];

test.each(weak.map((bytes) => [bytes.toString('base64'), `v2:${bytes.toString('base64')}`]))(
  'rejects a placeholder as a root key: %s',
  (_, text) => {
    expect(() => createKeyRing(text)).toThrow('KEYTURN_ROOT_KEY v2 is not random');
    expect(() => createKeyRing(text)).toThrow('keyturn root-key generate');
  },
);

test('accepts a root key of sixteen bytes written twice, as in existing deployments', () => {
  const twice = Buffer.from('0123456789abcdef'.repeat(2)).toString('base64');
  expect(createKeyRing(`v1:${twice}`).current).toBe('v1');
});

test('opens values of a weak root key, so that it can be rotated', () => {
  const ring = createKeyRing(`v2:${key()},v1:${Buffer.alloc(32).toString('base64')}`);
  expect(ring.key('sealing', 'v1')).toHaveLength(32);
});
