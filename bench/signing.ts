/**
 * `node bench/signing.ts`: cost of a signature on the event loop, in the thread pool and by Web Crypto. Pin it to one
 * core (`taskset -c 0`) to measure what a process on a shared machine gets, as the bench's servers do.
 */
import { constants, generateKeyPairSync, type KeyObject, sign, type webcrypto } from 'node:crypto';

/** The size of an access token's signing input. */
const data = Buffer.alloc(420, 'a');
const inFlight = 32;
const signatures = 2_000;

type Sign = () => Promise<unknown> | unknown;

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const ed = generateKeyPairSync('ed25519').privateKey;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
const algorithms = [
  {
    name: 'ES256',
    key: ec,
    digest: 'sha256',
    options: { dsaEncoding: 'ieee-p1363' },
    web: { name: 'ECDSA', namedCurve: 'P-256' },
  },
  { name: 'EdDSA', key: ed, digest: null, options: {}, web: { name: 'Ed25519' } },
  { name: 'RS256', key: rsa, digest: 'sha256', options: {}, web: { name: 'RSASSA-PKCS1-v1_5' } },
  { name: 'PS256', key: rsa, digest: 'sha256', options: pss, web: { name: 'RSA-PSS', saltLength: 32 } },
] as const;

console.log(
  `${'µs a signature, CPU / elapsed'.padEnd(32)}${'inline'.padStart(16)}${'thread pool'.padStart(16)}${'Web Crypto'.padStart(16)}`,
);
for (const { name, key, digest, options, web } of algorithms) {
  const whole = { key, ...options } as { key: KeyObject };
  const algorithm = { ...web, hash: 'SHA-256' } as webcrypto.RsaHashedImportParams;
  const webKey = key.toCryptoKey(algorithm, false, ['sign']) as CryptoKey;
  const ways: Sign[] = [
    () => sign(digest, data, whole),
    () =>
      new Promise((resolve, reject) =>
        sign(digest, data, whole, (error, made) => (error ? reject(error) : resolve(made))),
      ),
    () => crypto.subtle.sign(algorithm, webKey, data),
  ];
  const figures: string[] = [];
  for (const way of ways) figures.push(await measure(way));
  console.log(name.padEnd(32) + figures.map((figure) => figure.padStart(16)).join(''));
}

/** Takes the best of five windows, because other load only adds time. */
async function measure(way: Sign): Promise<string> {
  let processor = Number.POSITIVE_INFINITY;
  let elapsed = Number.POSITIVE_INFINITY;
  for (let window = 0; window < 5; window++) {
    const before = process.cpuUsage();
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: inFlight }, () => signAgainAndAgain(way)));
    const { user, system } = process.cpuUsage(before);
    processor = Math.min(processor, (user + system) / signatures);
    elapsed = Math.min(elapsed, ((performance.now() - startedAt) * 1_000) / signatures);
  }
  return `${processor.toFixed(0)} / ${elapsed.toFixed(0)}`;
}

async function signAgainAndAgain(way: Sign): Promise<void> {
  for (let count = 0; count < signatures / inFlight; count++) await way();
}
