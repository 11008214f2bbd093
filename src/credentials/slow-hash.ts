import { argon2, pbkdf2, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { compare } from 'bcrypt';

/**
 * Slow hashes in which other servers store client secrets: bcrypt, PBKDF2, scrypt and argon2id. They are verified once,
 * at the first use of an imported secret. All functions that compute a hash do so in Node's thread pool.
 */

type Pbkdf2 = { kind: 'pbkdf2'; digest: string; iterations: number; salt: Buffer; key: Buffer };
type Scrypt = { kind: 'scrypt'; logN: number; r: number; p: number; salt: Buffer; key: Buffer };
type Argon2 = { kind: 'argon2id'; memory: number; passes: number; parallelism: number; salt: Buffer; key: Buffer };
type SlowHash = { kind: 'bcrypt'; cost: number; text: string } | Pbkdf2 | Scrypt | Argon2;

/** The formats that can be verified, for messages. */
export const slowHashFormats = 'bcrypt, PBKDF2, scrypt or argon2id';

const bcryptPattern = /^\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{53})$/;
/** The forms of Hydra (`i=…,l=…`), of PHC strings (`i=…`) and of passlib and Authelia (a bare number). */
const pbkdf2Pattern =
  /^\$pbkdf2(?:-(sha1|sha224|sha256|sha384|sha512))?\$(?:i=(\d{1,9})(?:,l=(\d{1,4}))?|(\d{1,9}))\$([^$]+)\$([^$]+)$/;
const scryptPattern = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,4}),p=(\d{1,4})\$([^$]+)\$([^$]+)$/;
const argon2Pattern = /^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,3})\$([^$]+)\$([^$]+)$/;

/** Sizes of the digests in bytes. PBKDF2 repeats its iterations for each block of this size. */
const digestBytes: Readonly<Record<string, number>> = { sha1: 20, sha224: 28, sha256: 32, sha384: 48, sha512: 64 };

/** Limits of the cost of one verification: about a second or two, and 128 MiB, on a current processor. */
const maxBcryptCost = 14;
const maxPbkdf2Rounds = 2_000_000;
const maxMemoryKib = 128 * 1024;
/** Limit of the memory that argon2id writes in all passes together. */
const maxArgon2Kib = 512 * 1024;
/** Limit of N × r × p, in units of 128 bytes: as much memory as argon2id may write. */
const maxScryptBlocks = 4 * 1024 * 1024;
const minKeyBytes = 16;
const maxKeyBytes = 128;

/**
 * Reads a hash of a secret in one of the known formats.
 * @param given a PHC string, the text of bcrypt, or the credential of Keycloak as an object or JSON text.
 * @returns the hash in the form in which it is stored; why it cannot be verified; or undefined if the value has none of
 * the known formats. No message contains a part of the value.
 */
export function readSlowHash(given: unknown): { hash: string } | { problem: string } | undefined {
  const text = typeof given === 'string' ? given.trim() : undefined;
  const credential = text === undefined ? given : text.startsWith('{') ? parseJson(text) : undefined;
  const phc = credential === undefined ? text : phcOfKeycloak(credential);
  const hash = phc === undefined ? undefined : parse(phc);
  if (!hash) return undefined;
  const problem = problemOf(hash);
  return problem === undefined ? { hash: format(hash) } : { problem };
}

/** Returns the format of a stored hash, such as `bcrypt`. */
export function formatOf(hash: string): string {
  return parse(hash)?.kind ?? 'unknown';
}

/** Returns whether a secret has this stored hash. Takes up to about a second of a thread of Node's thread pool. */
export async function verifySlowHash(hash: string, secret: string): Promise<boolean> {
  const read = parse(hash);
  if (!read || problemOf(read) !== undefined) return false;
  if (read.kind === 'bcrypt') return await compare(secret, read.text);
  return timingSafeEqual(await derive(read, secret), read.key);
}

/**
 * SQL expression for the shape of a stored hash: everything that its cost depends on, without salt and key.
 * @param column of the hash.
 */
export function shapeSql(column: string): string {
  return `CASE WHEN ${column} LIKE '$2%' THEN left(${column}, 7) ELSE regexp_replace(${column}, '[^$]*\\$[^$]*$', '') END`;
}

/** Returns a hash of this shape that no secret has, so that a verification that cannot succeed costs the same time. */
export function unmatchableHash(shape: string): string {
  if (shape.startsWith('$2')) return `${shape}${'.'.repeat(53)}`;
  const bytes = Number(/,l=(\d+)\$$/.exec(shape)?.[1] ?? 32);
  return `${shape}${encode(Buffer.alloc(16))}$${encode(Buffer.alloc(bytes))}`;
}

function parse(text: string): SlowHash | undefined {
  const bcrypt = bcryptPattern.exec(text);
  // The variants a, b and y are equal for secrets of ASCII characters; x is a broken one.
  if (bcrypt) return { kind: 'bcrypt', cost: Number(bcrypt[1]), text: `$2b$${bcrypt[1]}$${bcrypt[2]}` };
  const pbkdf2Parts = pbkdf2Pattern.exec(text);
  if (pbkdf2Parts) {
    const [, digest = 'sha1', iterations, length, bareIterations, salt = '', key = ''] = pbkdf2Parts;
    const read = decodeBoth(salt, key);
    if (!read || (length !== undefined && Number(length) !== read.key.length)) return undefined;
    return { kind: 'pbkdf2', digest, iterations: Number(iterations ?? bareIterations), ...read };
  }
  const scryptParts = scryptPattern.exec(text);
  if (scryptParts) {
    const [, logN, r, p, salt = '', key = ''] = scryptParts;
    const read = decodeBoth(salt, key);
    return read && { kind: 'scrypt', logN: Number(logN), r: Number(r), p: Number(p), ...read };
  }
  const argon2Parts = argon2Pattern.exec(text);
  if (!argon2Parts) return undefined;
  const [, memory, passes, parallelism, salt = '', key = ''] = argon2Parts;
  const costs = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
  const read = decodeBoth(salt, key);
  return read && { kind: 'argon2id', ...costs, ...read };
}

/** Writes a hash in one form for each format, with base64 without padding (PHC string format). */
function format(hash: SlowHash): string {
  if (hash.kind === 'bcrypt') return hash.text;
  const parameters = {
    pbkdf2: (of: Pbkdf2) => `pbkdf2-${of.digest}$i=${of.iterations},l=${of.key.length}`,
    scrypt: (of: Scrypt) => `scrypt$ln=${of.logN},r=${of.r},p=${of.p}`,
    argon2id: (of: Argon2) => `argon2id$v=19$m=${of.memory},t=${of.passes},p=${of.parallelism}`,
  }[hash.kind] as (of: typeof hash) => string;
  return `$${parameters(hash)}$${encode(hash.salt)}$${encode(hash.key)}`;
}

/** Returns why a hash is not verified, or undefined if it is. */
function problemOf(hash: SlowHash): string | undefined {
  if (hash.kind === 'bcrypt') {
    return hash.cost >= 4 && hash.cost <= maxBcryptCost ? undefined : costs('bcrypt', `cost 4 to ${maxBcryptCost}`);
  }
  const { key, salt } = hash;
  if (key.length < minKeyBytes || key.length > maxKeyBytes || salt.length > maxKeyBytes) {
    return `the hash of the secret must have ${minKeyBytes} to ${maxKeyBytes} bytes, and a salt of at most ${maxKeyBytes}`;
  }
  if (hash.kind === 'pbkdf2') {
    const rounds = hash.iterations * Math.ceil(key.length / (digestBytes[hash.digest] ?? 1));
    return hash.iterations > 0 && rounds <= maxPbkdf2Rounds
      ? undefined
      : costs('PBKDF2', `${maxPbkdf2Rounds} iterations for all blocks together`);
  }
  if (hash.kind === 'scrypt') {
    const blocks = 2 ** hash.logN * hash.r * hash.p;
    const isBounded = (2 ** hash.logN * hash.r) / 8 <= maxMemoryKib && blocks <= maxScryptBlocks;
    return hash.logN > 0 && blocks > 1 && isBounded ? undefined : costs('scrypt', '128 MiB and N × r × p = 4,194,304');
  }
  const { memory, passes, parallelism } = hash;
  if (salt.length < 8) return 'the salt of the argon2id hash is shorter than 8 bytes';
  const isPossible = passes > 0 && parallelism > 0 && memory >= 8 * parallelism;
  const isBounded = memory <= maxMemoryKib && memory * passes <= maxArgon2Kib;
  return isPossible && isBounded
    ? undefined
    : costs('argon2id', '128 MiB of memory, and 512 MiB for all passes together');
}

function costs(name: string, limit: string): string {
  return `the ${name} hash of the secret has a cost that is not accepted; the limit is ${limit}`;
}

const deriveArgon2 = promisify(argon2);
const derivePbkdf2 = promisify(pbkdf2);
const deriveScrypt = promisify(scrypt) as (
  ...of: [password: string, salt: Buffer, bytes: number, options: { N: number; r: number; p: number; maxmem: number }]
) => Promise<Buffer>;

async function derive(hash: Pbkdf2 | Scrypt | Argon2, secret: string): Promise<Buffer> {
  const { salt, key } = hash;
  if (hash.kind === 'pbkdf2') return await derivePbkdf2(secret, salt, hash.iterations, key.length, hash.digest);
  if (hash.kind === 'scrypt') {
    const { r, p } = hash;
    return await deriveScrypt(secret, salt, key.length, { N: 2 ** hash.logN, r, p, maxmem: maxMemoryKib * 2 * 1024 });
  }
  const { memory, passes, parallelism } = hash;
  const given = { message: secret, nonce: salt, tagLength: key.length };
  return await deriveArgon2('argon2id', { ...given, memory, passes, parallelism });
}

/** Decodes base64 with or without padding, also with `.` in place of `+`, as passlib writes it. */
function decodeBoth(salt: string, key: string): { salt: Buffer; key: Buffer } | undefined {
  const [readSalt, readKey] = [decode(salt), decode(key)];
  return readSalt && readKey && { salt: readSalt, key: readKey };
}

function decode(text: string): Buffer | undefined {
  const standard = text.replaceAll('.', '+').replace(/=+$/, '');
  const bytes = Buffer.from(standard, 'base64');
  // Encode again to detect characters that the decoder skipped, such as those of base64url.
  return encode(bytes) === standard ? bytes : undefined;
}

function encode(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Returns a credential of Keycloak as a PHC string. Its numbers and texts are in `credentialData` and `secretData`, each
 * an object or JSON text, or beside each other.
 */
function phcOfKeycloak(given: unknown): string | undefined {
  const credential = objectOf(given);
  const all = { ...credential, ...objectOf(credential['credentialData']), ...objectOf(credential['secretData']) };
  const { hashIterations, algorithm, salt, value = all['hashedSaltedValue'] } = all;
  if (typeof algorithm !== 'string' || typeof salt !== 'string' || typeof value !== 'string') return undefined;
  const digest = /^pbkdf2(?:-(sha256|sha512))?$/.exec(algorithm);
  if (digest) return `$pbkdf2-${digest[1] ?? 'sha1'}$i=${hashIterations}$${salt}$${value}`;
  const parameters = objectOf(all['additionalParameters']);
  const parameter = (name: string) => [parameters[name]].flat()[0];
  if (algorithm !== 'argon2' || parameter('type') !== 'id' || parameter('version') !== '1.3') return undefined;
  const costsOf = `m=${parameter('memory')},t=${hashIterations},p=${parameter('parallelism')}`;
  return `$argon2id$v=19$${costsOf}$${salt}$${value}`;
}

function objectOf(given: unknown): Readonly<Record<string, unknown>> {
  const value = typeof given === 'string' ? parseJson(given) : given;
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
