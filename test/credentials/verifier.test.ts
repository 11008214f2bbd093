import { createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { generateSecret, isWellFormedSecret } from '../../src/credentials/credential-format.ts';
import { createKeyRing } from '../../src/credentials/key-ring.ts';
import { unseal } from '../../src/credentials/sealed-copy.ts';
import { issueSecret } from '../../src/credentials/secret.ts';
import { createMatcher, createVerifier, verifiersOf } from '../../src/credentials/verifier.ts';

const roots = { v1: randomBytes(32), v2: randomBytes(32) };
const oldRing = createKeyRing(`v1:${roots.v1.toString('base64')}`);
const ring = createKeyRing(`v2:${roots.v2.toString('base64')},v1:${roots.v1.toString('base64')}`);
const purpose = 'client-secret-pepper';

test('the stored verifier is the HMAC-SHA-256 of the secret under a pepper derived from the current root key', () => {
  const secret = generateSecret('kts_');
  const pepper = Buffer.from(hkdfSync('sha256', roots.v2, '', 'keyturn/client-secret-pepper', 32));
  expect(createVerifier(ring, purpose, secret)).toEqual({
    verifier: createHmac('sha256', pepper).update(secret).digest(),
    keyVersion: 'v2',
  });
});

test('a secret matches its own candidate among several, also one of an earlier root key', () => {
  const [current, retiring, stranger] = [generateSecret('kts_'), generateSecret('kts_'), generateSecret('kts_')];
  const candidates = [
    { name: 'current', ...createVerifier(ring, purpose, current) },
    { name: 'retiring', ...createVerifier(oldRing, purpose, retiring) },
  ];
  expect(createMatcher(ring, purpose, current)(candidates)?.name).toBe('current');
  expect(createMatcher(ring, purpose, retiring)(candidates)?.name).toBe('retiring');
  expect(createMatcher(ring, purpose, stranger)(candidates)).toBeUndefined();
  expect(createMatcher(ring, purpose, current)([])).toBeUndefined();
});

test('a secret with additional characters does not match', () => {
  const secret = generateSecret('kts_');
  const candidates = [createVerifier(ring, purpose, secret)];
  for (const wrong of [`${secret}\0`, `${secret} `, `\0${secret}`, secret.slice(0, -1), secret.toLowerCase(), '']) {
    expect(createMatcher(ring, purpose, wrong)(candidates)).toBeUndefined();
  }
});

test('a verifier of one purpose does not match for another', () => {
  const secret = generateSecret('kts_');
  const candidates = [createVerifier(ring, 'access-key-pepper', secret)];
  expect(createMatcher(ring, purpose, secret)(candidates)).toBeUndefined();
  expect(createMatcher(ring, 'access-key-pepper', secret)(candidates)).toBe(candidates[0]);
});

test('a verifier that is damaged or whose root key is missing matches nothing', () => {
  const secret = generateSecret('kts_');
  const newRing = createKeyRing(`v2:${roots.v2.toString('base64')}`);
  expect(createMatcher(newRing, purpose, secret)([createVerifier(oldRing, purpose, secret)])).toBeUndefined();
  const { verifier, keyVersion } = createVerifier(ring, purpose, secret);
  const damaged = [
    { verifier: verifier.subarray(0, 31), keyVersion },
    { verifier: new Uint8Array(), keyVersion },
    { verifier, keyVersion: 'v1' },
    { verifier: new Uint8Array(32), keyVersion },
  ];
  expect(createMatcher(ring, purpose, secret)(damaged)).toBeUndefined();
});

test('a look-up by secret uses its verifier under every root key', () => {
  const secret = generateSecret('ktk_');
  const asked = verifiersOf(ring, 'access-key-pepper', secret);
  expect(asked).toEqual([
    createVerifier(ring, 'access-key-pepper', secret).verifier,
    createVerifier(oldRing, 'access-key-pepper', secret).verifier,
  ]);
});

test('an issued secret is well formed, matches its stored verifier, and opens from its sealed copy', () => {
  const place = { table: 'secrets', id: '1' };
  const issued = issueSecret(ring, 'kts_', purpose, place);
  expect(isWellFormedSecret(issued.plaintext, 'kts_')).toBe(true);
  expect(createMatcher(ring, purpose, issued.plaintext)([issued])).toBe(issued);
  expect(unseal(ring, place, issued.sealed ?? '')).toBe(issued.plaintext);
  expect(issued.plaintext.endsWith(issued.hint)).toBe(true);
  expect(issued.hint).toHaveLength(4);
});

test('a secret without a place for its sealed copy has none', () => {
  expect(issueSecret(ring, 'kts_', purpose, null).sealed).toBeNull();
});
