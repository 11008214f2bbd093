import fc from 'fast-check';
import { createKeyRing } from '../../src/credentials/key-ring.ts';
import { readSignedValue, signValue } from '../../src/credentials/signed-value.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';

const first = generateRootKey('v1');
const second = generateRootKey('v2');
const ring = createKeyRing(first);

test('reads the payload of a signed value, also after a rotation of the root key', () => {
  const value = signValue(ring, 'cursor', 'clients', 'payload');
  expect(value).toMatch(/^v1\.payload\.[\w-]{43}$/);
  expect(readSignedValue(ring, 'cursor', 'clients', value)).toBe('payload');
  expect(readSignedValue(createKeyRing(`${second},${first}`), 'cursor', 'clients', value)).toBe('payload');
});

test('rejects a signed value for another purpose or context, and after its root key was removed', () => {
  const value = signValue(ring, 'cursor', 'clients', 'payload');
  expect(readSignedValue(ring, 'confirmation', 'clients', value)).toBeUndefined();
  expect(readSignedValue(ring, 'cursor', 'contacts', value)).toBeUndefined();
  expect(readSignedValue(createKeyRing(second), 'cursor', 'clients', value)).toBeUndefined();
  expect(readSignedValue(createKeyRing(generateRootKey('v1')), 'cursor', 'clients', value)).toBeUndefined();
});

test('rejects a signed value of which one character was changed, removed or added', () => {
  const value = signValue(ring, 'cursor', 'clients', 'payload');
  const alphabet = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.'];
  const place = fc.integer({ min: 0, max: value.length });
  fc.assert(
    fc.property(place, fc.constantFrom(...alphabet), fc.constantFrom(0, 1), (at, character, removed) => {
      const changed = value.slice(0, at) + character + value.slice(at + removed);
      fc.pre(changed !== value);
      expect(readSignedValue(ring, 'cursor', 'clients', changed)).toBeUndefined();
    }),
  );
  for (let at = 0; at < value.length; at += 1) {
    expect(readSignedValue(ring, 'cursor', 'clients', value.slice(0, at) + value.slice(at + 1))).toBeUndefined();
  }
});
