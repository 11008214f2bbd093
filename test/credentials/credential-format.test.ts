import { crc32 } from 'node:zlib';
import {
  checksum,
  generateClientId,
  generateSecret,
  hintOf,
  isWellFormedClientId,
  isWellFormedSecret,
} from '../../src/credentials/credential-format.ts';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const prefixes = ['kts_', 'ktk_', 'kta_', 'kto_'] as const;

function base62(value: bigint): string {
  return value === 0n ? '' : base62(value / 62n) + alphabet.charAt(Number(value % 62n));
}

test('the checksum is CRC-32 (IEEE) in base62, checked with its published check value', () => {
  expect(crc32('123456789')).toBe(0xcbf43926);
  expect(checksum('123456789')).toBe(base62(0xcbf43926n).padStart(6, '0'));
});

test('a small checksum is padded with zeros to six characters', () => {
  expect(checksum('')).toBe('000000');
  for (let index = 0; index < 2_000; index++) {
    const text = `kts_${index}`;
    expect(checksum(text)).toBe(base62(BigInt(crc32(text))).padStart(6, '0'));
  }
});

test.each(prefixes)('a %s value is the prefix, 43 base62 characters and 6 of their CRC-32', (prefix) => {
  for (let index = 0; index < 1_000; index++) {
    const secret = generateSecret(prefix);
    expect(secret).toMatch(new RegExp(`^${prefix}[0-9A-Za-z]{49}$`));
    expect(secret.slice(-6)).toBe(base62(BigInt(crc32(secret.slice(0, 47)))).padStart(6, '0'));
    expect(isWellFormedSecret(secret, prefix)).toBe(true);
    expect(hintOf(secret)).toBe(secret.slice(49));
  }
});

test('a Client ID is kti_ and 22 base62 characters', () => {
  const id = generateClientId();
  expect(id).toMatch(/^kti_[0-9A-Za-z]{22}$/);
  expect(isWellFormedClientId(id)).toBe(true);
  for (const wrong of [
    '',
    id.slice(0, -1),
    `${id}0`,
    `${id.slice(0, -1)}-`,
    `${id.slice(0, -1)}\n`,
    id.toUpperCase(),
  ]) {
    expect(isWellFormedClientId(wrong)).toBe(false);
  }
});

test('form-encoding does not change any credential', () => {
  for (const credential of [generateClientId(), ...prefixes.map(generateSecret)]) {
    expect(new URLSearchParams({ credential }).toString()).toBe(`credential=${credential}`);
  }
});

test('a value with one changed character or two swapped neighbors is rejected', () => {
  const secret = generateSecret('kts_');
  for (let index = 4; index < secret.length; index++) {
    for (const character of alphabet) {
      if (character === secret[index]) continue;
      expect(isWellFormedSecret(secret.slice(0, index) + character + secret.slice(index + 1), 'kts_')).toBe(false);
    }
    const [first = '', second = ''] = secret.slice(index, index + 2);
    if (first === second || !second) continue;
    expect(isWellFormedSecret(secret.slice(0, index) + second + first + secret.slice(index + 2), 'kts_')).toBe(false);
  }
});

test('a value in any other format is rejected', () => {
  const secret = generateSecret('kts_');
  const wrong = [
    '',
    'kts_',
    secret.slice(0, -1),
    `${secret}0`,
    `${secret}\0`,
    `${secret}\n`,
    ` ${secret}`,
    secret.replace('kts_', 'KTS_'),
    `${secret.slice(0, -1)}\u0660`,
    'x'.repeat(100_000),
  ];
  for (const value of wrong) expect(isWellFormedSecret(value, 'kts_')).toBe(false);
});

test('a credential of one kind is rejected as another kind', () => {
  for (const prefix of prefixes) {
    const secret = generateSecret(prefix);
    for (const other of prefixes) expect(isWellFormedSecret(secret, other)).toBe(other === prefix);
    for (const other of prefixes.filter((each) => each !== prefix)) {
      expect(isWellFormedSecret(other + secret.slice(4), other)).toBe(false);
    }
  }
});

test('every character is equally likely in every position', () => {
  const values = Array.from({ length: 4_000 }, () => generateSecret('kts_').slice(4, 47));
  expect(new Set(values).size).toBe(values.length);
  // Chi-square, 61 degrees of freedom: mean 61, standard deviation 11; fair characters exceed 140 once in some 30 million.
  expect(chiSquare(values.join(''))).toBeLessThan(140);
  for (let position = 0; position < 43; position++) {
    expect(chiSquare(values.map((value) => value.charAt(position)).join(''))).toBeLessThan(140);
  }
});

function chiSquare(text: string): number {
  const counts = new Map<string, number>([...alphabet].map((character) => [character, 0]));
  for (const character of text) counts.set(character, (counts.get(character) ?? Number.NaN) + 1);
  const expected = text.length / alphabet.length;
  return [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}
