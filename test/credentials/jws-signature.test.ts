import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { CompactSign, compactVerify } from 'jose';
import { isSignedWith, type JwsAlgorithm, signJws } from '../../src/credentials/jws-signature.ts';

const pairs = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
  Ed25519: generateKeyPairSync('ed25519'),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2_048 }),
  PS256: generateKeyPairSync('rsa', { modulusLength: 2_048 }),
} satisfies Record<JwsAlgorithm, { privateKey: KeyObject; publicKey: KeyObject }>;
const algorithms = Object.keys(pairs) as JwsAlgorithm[];

function encode(text: string): string {
  return Buffer.from(text).toString('base64url');
}

function inputOf(alg: JwsAlgorithm, payload: string): string {
  return `${encode(JSON.stringify({ alg }))}.${encode(payload)}`;
}

/** Enough signatures for several with leading zeros: one in 128 of ES256 has them in an integer, one in 256 of RSA. */
function runsOf(alg: JwsAlgorithm): number {
  return alg === 'EdDSA' || alg === 'Ed25519' ? 20 : 1_000;
}

describe.each(algorithms)('a signature with %s', (alg) => {
  const { privateKey, publicKey } = pairs[alg];

  test('is one that jose verifies', async () => {
    const property = fc.asyncProperty(fc.string(), async (payload) => {
      const jws = signJws(alg, privateKey, inputOf(alg, payload));
      expect(Buffer.from((await compactVerify(jws, publicKey)).payload).toString()).toBe(
        Buffer.from(payload).toString(),
      );
    });
    await fc.assert(property, { numRuns: runsOf(alg) });
  });

  test('is accepted if jose made it, and rejected after any change of a byte or of its length', async () => {
    const property = fc.asyncProperty(
      fc.string(),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (text, at, flip) => {
        const jws = await new CompactSign(Buffer.from(text)).setProtectedHeader({ alg }).sign(privateKey);
        expect(isSignedWith(alg, publicKey, jws)).toBe(true);
        const end = jws.lastIndexOf('.');
        const input = jws.slice(0, end);
        const signature = Buffer.from(jws.slice(end + 1), 'base64url');
        const withSignature = (bytes: Uint8Array) => `${input}.${Buffer.from(bytes).toString('base64url')}`;
        const changed = signature.map((byte, index) => (index === at % signature.length ? byte ^ flip : byte));
        for (const bytes of [
          changed,
          signature.subarray(1),
          Buffer.concat([signature, Buffer.of(flip)]),
          Buffer.alloc(0),
        ])
          expect(isSignedWith(alg, publicKey, withSignature(bytes))).toBe(false);
        expect(isSignedWith(alg, publicKey, `x${jws}`)).toBe(false);
      },
    );
    await fc.assert(property, { numRuns: runsOf(alg) });
  });

  test('is rejected if both of its integers are zero or the largest, or if it is missing', () => {
    const input = inputOf(alg, '{}');
    for (const byte of [0, 255]) {
      const signature = Buffer.alloc(64, byte).toString('base64url');
      expect(isSignedWith(alg, publicKey, `${input}.${signature}`)).toBe(false);
    }
    for (const jws of [input, `${input}.`, '', '.', '..']) expect(isSignedWith(alg, publicKey, jws)).toBe(false);
  });
});
