/**
 * `npm run bench:library`: what `keyturn/resource-server` costs per request without a network. Compares an unknown JWT
 * with jose's `jwtVerify` for the same key and tokens in the same run, and measures cached tokens.
 */
import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { calculateJwkThumbprint, type JWK, jwtVerify } from 'jose';
import { type AccessTokenVerifier, createAccessTokenVerifier } from '../src/resource-server/resource-server.ts';

const issuer = 'https://auth.example.com';
const resource = 'https://api.example.com';
const rounds = 100;
const tokensARound = 20;
const hitsARound = 2_000;
const boundToken = `kta_${'1'.repeat(49)}`;

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = publicKey.export({ format: 'jwk' }) as JWK;
const now = Math.floor(Date.now() / 1_000);
const subject = { sub: 'kti_0000000000000000000000', client_id: 'kti_0000000000000000000000', scope: 'orders:read' };
const dated = { iss: issuer, aud: resource, iat: now, exp: now + 3_600 };

const verifier = createVerifier();
const plain = { issuer, audience: resource, typ: 'at+jwt', algorithms: ['ES256'] };
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const needs = { scope: 'orders:read' };

const byJose = (tokens: readonly string[]) => timeEach(tokens, (token) => jwtVerify(token, publicKey, plain));
const byLibrary = (tokens: readonly string[]) => timeEach(tokens, (token) => verifier.verify(bearer(token), needs));
// Warms up both, so that compiled code is compared with compiled code.
for (let round = 0; round < rounds; round++) {
  await byJose(newJwts());
  await byLibrary(newJwts());
}
const jose: number[] = [];
const library: number[] = [];
for (let round = 0; round < rounds; round++) {
  // Both get the same tokens and alternate in going first, so that other load on the machine affects both.
  const tokens = newJwts();
  const joseIsFirst = round % 2 === 0;
  if (joseIsFirst) jose.push(await byJose(tokens));
  library.push(await byLibrary(tokens));
  if (!joseIsFirst) jose.push(await byJose(tokens));
}

const opaque = bearer(`kta_${'0'.repeat(49)}`);
const known = bearer(newJwt());
const hits = async (request: ReturnType<typeof bearer>) => {
  const times: number[] = [];
  const same = Array.from({ length: hitsARound }, () => request);
  for (let round = 0; round < rounds; round++) times.push(await timeEach(same, (each) => verifier.verify(each, needs)));
  return median(times);
};

const ratio = median(jose.map((time, round) => time / (library[round] ?? Number.NaN)));
console.log(`Node ${process.version}, medians of ${rounds} rounds`);
print("a JWT, by jose's jwtVerify", median(jose));
print(
  'a JWT that is new, by the library',
  median(library),
  `${ratio.toFixed(2)} of jose's rate, by the median of the rounds`,
);
print('a JWT that is known', await hits(known));
print('an opaque token that is known', await hits(opaque));
print('a DPoP proof with a known token', await proofs());
verifier.close();

/** Answers in place of the server, so that only the library is measured. */
function createVerifier(): AccessTokenVerifier {
  const answers: Record<string, (body: string) => Promise<object>> = {
    '/.well-known/jwks.json': async () => ({ keys: [{ ...jwk, kid: 'key', alg: 'ES256', use: 'sig' }] }),
    '/oauth2/introspect': async (body) => {
      const isBound = new URLSearchParams(body).get('token') === boundToken;
      const cnf = isBound ? { jkt: await calculateJwkThumbprint(jwk) } : undefined;
      return { active: true, ...subject, ...dated, jti: 'x', cnf };
    },
  };
  return createAccessTokenVerifier({
    issuer,
    resource,
    clientId: 'kti_1111111111111111111111',
    clientSecret: 'secret',
    events: false,
    maxCachedTokens: 1_000,
    fetch: async (input, init) => Response.json(await answers[new URL(String(input)).pathname]?.(String(init?.body))),
  });
}

async function proofs(): Promise<number> {
  const ath = createHash('sha256').update(boundToken).digest('base64url');
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const requests = Array.from({ length: tokensARound }, () => {
      const claims = { htm: 'GET', htu: `${resource}/orders`, iat: now, jti: randomUUID(), ath };
      const dpop = signed({ typ: 'dpop+jwt', jwk }, claims);
      return { method: 'GET', url: '/orders', headers: { authorization: `DPoP ${boundToken}`, dpop } };
    });
    times.push(await timeEach(requests, (request) => verifier.verify(request, needs)));
  }
  return median(times);
}

function newJwt(): string {
  return signed({ typ: 'at+jwt', kid: 'key' }, { ...subject, ...dated, jti: randomUUID() });
}

function newJwts(): string[] {
  return Array.from({ length: tokensARound }, newJwt);
}

function signed(header: object, claims: object): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${encode({ alg: 'ES256', ...header })}.${encode(claims)}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** Measures microseconds per call, sequentially. */
async function timeEach<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  for (const item of items) await work(item);
  return ((performance.now() - startedAt) / items.length) * 1_000;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function print(what: string, microseconds: number, remark = ''): void {
  console.log(`${what.padEnd(40)} ${microseconds.toFixed(2).padStart(8)} µs  ${remark}`.trimEnd());
}
