import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { readConfig } from '../src/config.ts';
import { UsageError } from '../src/errors.ts';
import { makeCertificate } from './certificates.ts';

const rootKey = `v1:${Buffer.alloc(32, 7).toString('base64')}`;
const stores = { DATABASE_URL: 'postgres://keyturn@db/keyturn', REDIS_URL: 'redis://redis', KEYTURN_ROOT_KEY: rootKey };

function refusal(environment: Record<string, string>): string {
  try {
    readConfig(environment);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  throw new Error('the configuration was taken');
}

test('an empty environment gives the documented defaults', () => {
  expect(readConfig({})).toMatchObject({
    issuer: 'http://localhost:4000',
    databaseUrl: undefined,
    redisUrl: undefined,
    rootKey: undefined,
    dataDir: resolve('data'),
    host: '0.0.0.0',
    port: 4000,
    adminHost: '127.0.0.1',
    adminPort: 4001,
    workers: 1,
    accessTokenTtlSeconds: 3600,
    staleSeconds: 60,
    reveal: true,
    allowedHosts: [],
    trustProxy: [],
    logLevel: 'info',
  });
});

test('every variable is taken as it was given', () => {
  const config = readConfig({
    ...stores,
    KEYTURN_ISSUER: 'https://auth.example.com/',
    KEYTURN_DATA_DIR: '/var/lib/keyturn',
    KEYTURN_PORT: '0',
    KEYTURN_HOST: '::',
    KEYTURN_ADMIN_PORT: '65535',
    KEYTURN_ADMIN_HOST: '10.0.0.1',
    KEYTURN_WORKERS: '4',
    KEYTURN_ACCESS_TOKEN_TTL: '60',
    KEYTURN_STALE_SECONDS: '0',
    KEYTURN_REVEAL: 'off',
    KEYTURN_TOKENS_PER_MINUTE: '600',
    KEYTURN_ALLOWED_HOSTS: 'Auth.internal, auth.example.org:8443',
    KEYTURN_TRUST_PROXY: '10.0.0.0/8, ::1/128,192.0.2.1',
    KEYTURN_LOG_LEVEL: 'warn',
  });
  expect(config).toMatchObject({
    issuer: 'https://auth.example.com',
    databaseUrl: stores.DATABASE_URL,
    redisUrl: stores.REDIS_URL,
    rootKey,
    dataDir: '/var/lib/keyturn',
    host: '::',
    port: 0,
    adminHost: '10.0.0.1',
    adminPort: 65_535,
    workers: 4,
    accessTokenTtlSeconds: 60,
    staleSeconds: 0,
    reveal: false,
    tokensPerMinute: 600,
    allowedHosts: ['auth.internal', 'auth.example.org:8443'],
    trustProxy: ['10.0.0.0/8', '::1/128', '192.0.2.1'],
    logLevel: 'warn',
  });
});

test('all wrong values are reported together, each by its name', () => {
  const wrong = {
    KEYTURN_ISSUER: 'ftp://auth.example.com',
    DATABASE_URL: 'mysql://db',
    REDIS_URL: 'memcached://cache',
    KEYTURN_PORT: '65536',
    KEYTURN_ADMIN_PORT: 'http',
    KEYTURN_WORKERS: '0',
    KEYTURN_ACCESS_TOKEN_TTL: '1h',
    KEYTURN_STALE_SECONDS: '-1',
    KEYTURN_REVEAL: 'maybe',
    KEYTURN_TOKENS_PER_MINUTE: 'many',
    KEYTURN_TRUST_PROXY: '10.0.0.0/33',
    KEYTURN_LOG_LEVEL: 'loud',
    KEYTURN_COLOUR: 'blue',
  };
  const message = refusal(wrong);
  for (const name of [...Object.keys(wrong), 'KEYTURN_ROOT_KEY']) expect(message).toContain(`  - ${name} `);
});

test('TLS files are looked at with all else, and each problem has its name', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyturn-config-'));
  const file = (name: string, content: string) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const own = makeCertificate();
  const KEYTURN_TLS_CERT = file('tls.crt', own.cert);
  const KEYTURN_TLS_KEY = file('tls.key', own.key);
  const otherKey = file('other.key', makeCertificate().key);
  const complete = { KEYTURN_TLS_CERT, KEYTURN_TLS_KEY };
  expect(readConfig({ ...complete, KEYTURN_TLS_CLIENT_CA: KEYTURN_TLS_CERT })).toMatchObject({
    issuer: 'https://localhost:4000',
    tlsFiles: { cert: KEYTURN_TLS_CERT, key: KEYTURN_TLS_KEY, clientCa: KEYTURN_TLS_CERT },
  });
  expect(refusal({ KEYTURN_TLS_CERT })).toContain('KEYTURN_TLS_CERT and KEYTURN_TLS_KEY go together');
  expect(refusal({ KEYTURN_TLS_CLIENT_CA: KEYTURN_TLS_CERT })).toContain('KEYTURN_TLS_CLIENT_CA needs');
  expect(refusal({ KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert' })).toContain('KEYTURN_CLIENT_CERT_HEADER needs');
  const proxied = { KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert', KEYTURN_TRUST_PROXY: '10.0.0.1' };
  expect(refusal({ ...proxied, KEYTURN_CLIENT_CERT_HEADER: 'a b' })).toContain('must be the name of a header');
  expect(readConfig({ ...proxied, KEYTURN_TLS_CLIENT_CA: KEYTURN_TLS_CERT }).clientCertHeader).toBe('client-cert');
  expect(refusal({ ...complete, KEYTURN_TLS_KEY: otherKey })).toContain('KEYTURN_TLS_KEY is not the key of');
  expect(refusal({ ...complete, KEYTURN_TLS_CERT: otherKey })).toContain('KEYTURN_TLS_CERT has no certificate');
  expect(refusal({ ...complete, KEYTURN_TLS_CLIENT_CA: otherKey })).toContain(
    'KEYTURN_TLS_CLIENT_CA has no certificate',
  );
  const plainIssuer = refusal({ ...complete, KEYTURN_TLS_CERT: '/nowhere', KEYTURN_ISSUER: 'http://auth.example' });
  expect(plainIssuer).toContain('KEYTURN_TLS_CERT cannot be read');
  expect(plainIssuer).toContain('KEYTURN_ISSUER must be an https URL where');
  rmSync(directory, { recursive: true });
});

test.each([
  ['KEYTURN_ISUER', 'KEYTURN_ISSUER'],
  ['KEYTURN_ROOTKEY', 'KEYTURN_ROOT_KEY'],
  ['KEYTURN_PROT', 'KEYTURN_PORT'],
  ['KEYTURN_ACCESS_TOKEN_TTL_', 'KEYTURN_ACCESS_TOKEN_TTL'],
])('%s stops the start and suggests %s', (misspelt, meant) => {
  expect(refusal({ [misspelt]: '1' })).toContain(`${misspelt} is not a variable of Keyturn; did you mean ${meant}?`);
});

test('a variable like none of ours stops the start without a guess', () => {
  expect(refusal({ KEYTURN_UNHEARD_OF_THING: '1' })).not.toContain('did you mean');
});

test('variables of others are left alone', () => {
  readConfig({ PATH: '/bin', KEYTURNS: '1', keyturn_port: 'x' });
});

test.each([
  'https://auth.example.com/path',
  'https://auth.example.com?x=1',
  'https://a#b',
  'https://user@a',
  'auth.example.com',
])('an issuer like %s is refused', (issuer) => {
  expect(refusal({ KEYTURN_ISSUER: issuer })).toContain('KEYTURN_ISSUER');
});

test.each([
  'redis://localhost:6379/1',
  'rediss://user:password@redis',
  'redis+sentinel://one:26379,two:26379/keyturn',
  'redis+cluster://one:6379,two:6379',
])('%s is a Redis', (redisUrl) => {
  expect(readConfig({ REDIS_URL: redisUrl }).redisUrl).toBe(redisUrl);
});

test('a database over the network needs a root key, and the message says how to make one', () => {
  expect(refusal({ DATABASE_URL: stores.DATABASE_URL })).toContain('keyturn root-key generate');
});

test('the root key and the URLs of the stores may come in files; one that cannot be read is reported', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyturn-config-'));
  const file = join(directory, 'root-key');
  writeFileSync(file, `${rootKey}\n`);
  expect(readConfig({ DATABASE_URL: stores.DATABASE_URL, KEYTURN_ROOT_KEY_FILE: file }).rootKey).toBe(rootKey);
  expect(refusal({ KEYTURN_ROOT_KEY_FILE: `${file}.missing` })).toContain('KEYTURN_ROOT_KEY_FILE');
  writeFileSync(file, `${stores.DATABASE_URL}\n`);
  expect(readConfig({ DATABASE_URL_FILE: file, KEYTURN_ROOT_KEY: rootKey }).databaseUrl).toBe(stores.DATABASE_URL);
  expect(refusal({ REDIS_URL_FILE: `${file}.missing` })).toContain('REDIS_URL_FILE');
  rmSync(directory, { recursive: true });
});

test('several workers need both real stores', () => {
  expect(readConfig({ ...stores, KEYTURN_WORKERS: 'auto' }).workers).toBe(availableParallelism());
  expect(refusal({ KEYTURN_WORKERS: '2' })).toContain('KEYTURN_WORKERS');
  expect(refusal({ ...stores, REDIS_URL: '', KEYTURN_WORKERS: '2' })).toContain('KEYTURN_WORKERS');
});

test('no secret is repeated in what is reported', () => {
  const message = refusal({ KEYTURN_ROOT_KEY: rootKey, DATABASE_URL: 'mysql://u:p4ssw0rd@db', KEYTURN_PORT: 'x' });
  expect(message).not.toContain('p4ssw0rd');
  expect(message).not.toContain(rootKey);
});
