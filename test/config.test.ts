import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { readConfig } from '../src/config.ts';
import { configWarnings } from '../src/configuration/environment.ts';
import { variables } from '../src/configuration/variables.ts';
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

test('reads every variable as it was given', () => {
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
    KEYTURN_REVOCATIONS_PER_MINUTE: '300',
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
    revocationsPerMinute: 300,
    allowedHosts: ['auth.internal', 'auth.example.org:8443'],
    trustProxy: ['10.0.0.0/8', '::1/128', '192.0.2.1'],
    logLevel: 'warn',
  });
});

test('reports all wrong values together, each with the name of its variable', () => {
  const wrong = {
    KEYTURN_ISSUER: 'ftp://auth.example.com',
    DATABASE_URL: 'mysql://db',
    REDIS_URL: 'memcached://cache',
    KEYTURN_PORT: '65536',
    KEYTURN_ADMIN_PORT: 'http',
    KEYTURN_PORTAL_PORT: '70000',
    KEYTURN_PORTAL_HOST: 'a b',
    KEYTURN_PORTAL_URL: 'https://portal.example.com/portal',
    KEYTURN_WORKERS: '0',
    KEYTURN_ACCESS_TOKEN_TTL: '1h',
    KEYTURN_STALE_SECONDS: '-1',
    KEYTURN_REVEAL: 'maybe',
    KEYTURN_TOKENS_PER_MINUTE: 'many',
    KEYTURN_TRUST_PROXY: '10.0.0.0/33',
    KEYTURN_LOG_LEVEL: 'loud',
    KEYTURN_SMTP_URL: 'http://mail.example.com',
    KEYTURN_MAIL_FROM: 'nobody',
    KEYTURN_MAIL_REPLY_TO: 'a@b, c@d',
    KEYTURN_ADMIN_URL: 'https://example.com/console',
    KEYTURN_COLOUR: 'blue',
  };
  const message = refusal(wrong);
  for (const name of [...Object.keys(wrong), 'KEYTURN_ROOT_KEY']) expect(message).toContain(`  - ${name} `);
});

test('reads the mail server, and names no part of a wrong URL, which may be a password', () => {
  const mail = (url: string) => readConfig({ KEYTURN_SMTP_URL: url, KEYTURN_MAIL_FROM: 'Ops <ops@example.com>' }).mail;
  const sender = { from: { name: 'Ops', address: 'ops@example.com' }, replyTo: undefined };
  expect(mail('smtps://a%40b:p%2F%3Aq@mail.example.com')).toEqual({
    host: 'mail.example.com',
    port: 465,
    isTls: true,
    startTls: 'required',
    credentials: { user: 'a@b', pass: 'p/:q' },
    ...sender,
  });
  expect(mail('smtp://relay:25')).toMatchObject({
    port: 25,
    isTls: false,
    startTls: 'optional',
    credentials: undefined,
  });
  expect(mail('smtp://relay?starttls=off')).toMatchObject({ port: 587, startTls: 'off' });
  expect(readConfig({}).mail).toBeUndefined();
  for (const wrong of [
    'smtp://a:hidden/x@relay',
    'smtp://a:hidden#x@relay',
    'smtp://a:%hidden@relay',
    'smtp://hidden@relay',
  ]) {
    const message = refusal({ KEYTURN_SMTP_URL: wrong, KEYTURN_MAIL_FROM: 'a@example.com' });
    expect(message).toContain('KEYTURN_SMTP_URL');
    expect(message).not.toContain('hidden');
  }
  expect(refusal({ KEYTURN_SMTP_URL: 'smtp://relay' })).toContain('KEYTURN_SMTP_URL needs KEYTURN_MAIL_FROM');
  expect(refusal({ KEYTURN_MAIL_FROM: 'a@example.com' })).toContain('KEYTURN_MAIL_FROM needs KEYTURN_SMTP_URL');
  const injected = 'A <a@example.com>\r\nBcc: <b@example.com>';
  expect(refusal({ KEYTURN_SMTP_URL: 'smtp://relay', KEYTURN_MAIL_FROM: injected })).toContain(
    'KEYTURN_MAIL_FROM must',
  );
});

test('reports wrong TLS files together with other wrong values, each with the name of its variable', () => {
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
  expect(refusal({ KEYTURN_TLS_CERT })).toContain('KEYTURN_TLS_CERT and KEYTURN_TLS_KEY must be set together');
  expect(refusal({ KEYTURN_TLS_CLIENT_CA: KEYTURN_TLS_CERT })).toContain('KEYTURN_TLS_CLIENT_CA needs');
  expect(refusal({ KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert' })).toContain('KEYTURN_CLIENT_CERT_HEADER needs');
  expect(refusal({ KEYTURN_CLIENT_CERT_PROXY: '10.0.0.1' })).toContain('KEYTURN_CLIENT_CERT_PROXY needs');
  const proxied = { KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert', KEYTURN_CLIENT_CERT_PROXY: '10.0.0.1' };
  expect(refusal({ ...proxied, KEYTURN_CLIENT_CERT_HEADER: 'a b' })).toContain('must be the name of a header');
  expect(readConfig({ ...proxied, KEYTURN_TLS_CLIENT_CA: KEYTURN_TLS_CERT }).clientCertHeader).toBe('client-cert');
  expect(refusal({ ...complete, KEYTURN_TLS_KEY: otherKey })).toContain('KEYTURN_TLS_KEY does not match');
  expect(refusal({ ...complete, KEYTURN_TLS_CERT: otherKey })).toContain('KEYTURN_TLS_CERT contains no certificate');
  expect(refusal({ ...complete, KEYTURN_TLS_CLIENT_CA: otherKey })).toContain(
    'KEYTURN_TLS_CLIENT_CA contains no certificate',
  );
  const plainIssuer = refusal({ ...complete, KEYTURN_TLS_CERT: '/nowhere', KEYTURN_ISSUER: 'http://auth.example' });
  expect(plainIssuer).toContain('KEYTURN_TLS_CERT cannot be read');
  expect(plainIssuer).toContain('KEYTURN_ISSUER must be an https URL if');
  rmSync(directory, { recursive: true });
});

test.each([
  ['KEYTURN_ISUER', 'KEYTURN_ISSUER'],
  ['KEYTURN_ROOTKEY', 'KEYTURN_ROOT_KEY'],
  ['KEYTURN_PROT', 'KEYTURN_PORT'],
  ['KEYTURN_ACCESS_TOKEN_TTL_', 'KEYTURN_ACCESS_TOKEN_TTL'],
])('rejects the misspelt variable %s and suggests %s', (misspelt, meant) => {
  expect(refusal({ [misspelt]: '1' })).toContain(`${misspelt} is not a known variable; did you mean ${meant}?`);
});

test('rejects an unknown variable that resembles no known one, without a suggestion', () => {
  expect(refusal({ KEYTURN_UNHEARD_OF_THING: '1' })).not.toContain('did you mean');
});

test('ignores variables without the prefix KEYTURN_', () => {
  readConfig({ PATH: '/bin', KEYTURNS: '1', keyturn_port: 'x' });
});

test.each([
  'https://auth.example.com/path',
  'https://auth.example.com?x=1',
  'https://a#b',
  'https://user@a',
  'auth.example.com',
])('rejects the issuer %s', (issuer) => {
  expect(refusal({ KEYTURN_ISSUER: issuer })).toContain('KEYTURN_ISSUER');
});

test.each([
  'redis://localhost:6379/1',
  'rediss://user:password@redis',
  'redis+sentinel://one:26379,two:26379/keyturn',
  'redis+cluster://one:6379,two:6379',
])('accepts the REDIS_URL %s', (redisUrl) => {
  expect(readConfig({ REDIS_URL: redisUrl }).redisUrl).toBe(redisUrl);
});

test('requires a root key for a database over the network, and names the command that generates one', () => {
  expect(refusal({ DATABASE_URL: stores.DATABASE_URL })).toContain('keyturn root-key generate');
});

test('reads the root key and the URLs of the stores from files, and reports one that cannot be read', () => {
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

test('rejects several workers without PostgreSQL and Redis over the network', () => {
  expect(readConfig({ ...stores, KEYTURN_WORKERS: 'auto' }).workers).toBe(availableParallelism());
  expect(refusal({ KEYTURN_WORKERS: '2' })).toContain('KEYTURN_WORKERS');
  expect(refusal({ ...stores, REDIS_URL: '', KEYTURN_WORKERS: '2' })).toContain('KEYTURN_WORKERS');
});

test('repeats no secret in its messages', () => {
  const message = refusal({ KEYTURN_ROOT_KEY: rootKey, DATABASE_URL: 'mysql://u:p4ssw0rd@db', KEYTURN_PORT: 'x' });
  expect(message).not.toContain('p4ssw0rd');
  expect(message).not.toContain(rootKey);
});

test.each(variables.flatMap((name) => ['', '  '].map((value) => [name, value])))(
  'rejects %s=%j, because a variable that is set must have a value',
  (name, value) => {
    expect(refusal({ ...stores, [name]: value })).toContain(`${name} is set but empty`);
  },
);

test.each(['DATABASE_URL_FILE', 'REDIS_URL_FILE', 'KEYTURN_ROOT_KEY_FILE'])('rejects an empty file in %s', (name) => {
  const directory = mkdtempSync(join(tmpdir(), 'keyturn-config-'));
  const file = join(directory, 'empty');
  writeFileSync(file, '\n');
  expect(refusal({ [name]: file })).toContain(`${name} names a file that is empty`);
  rmSync(directory, { recursive: true });
});

test.each(['10.0.0.0/8', '10.0.0.0/26', '0.0.0.0/0', 'fd00::/64', '10.0.0.1,10.1.0.0/16', '10.0.0.0/33', 'proxy'])(
  'rejects %s as the proxies that may forward client certificates',
  (range) => {
    const header = { KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert' };
    expect(refusal({ ...header, KEYTURN_CLIENT_CERT_PROXY: range })).toContain('KEYTURN_CLIENT_CERT_PROXY must be');
    const exact = '10.0.0.1,fd00::1,10.0.0.32/27,fd00::20/123';
    const { clientCertProxy } = readConfig({ ...header, KEYTURN_CLIENT_CERT_PROXY: exact });
    expect(clientCertProxy).toEqual(exact.split(','));
  },
);

test.each(['KEYTURN_ALLOWED_HOSTS', 'KEYTURN_TRUST_PROXY'])('rejects an empty item in the list %s', (name) => {
  for (const list of [',', '10.0.0.1,', '10.0.0.1,,10.0.0.2']) expect(refusal({ [name]: list })).toContain(name);
});

test('warns about a root key or an https issuer without a database, with the names of the variables', () => {
  const warnings = configWarnings(readConfig({ KEYTURN_ROOT_KEY: rootKey, KEYTURN_ISSUER: 'https://id.example.com' }));
  expect(warnings).toEqual([
    expect.stringMatching(/^KEYTURN_ROOT_KEY .* DATABASE_URL/),
    expect.stringMatching(/^KEYTURN_ISSUER .* DATABASE_URL/),
  ]);
  expect(warnings.join()).not.toContain(rootKey);
  expect(configWarnings(readConfig({}))).toEqual([]);
  expect(configWarnings(readConfig({ ...stores, KEYTURN_ISSUER: 'https://id.example.com' }))).toEqual([]);
});

test.each([
  [{ KEYTURN_PORT: '4100' }, 'http://localhost:4100'],
  [{ KEYTURN_PORT: '80' }, 'http://localhost'],
  [{ KEYTURN_PORT: '4100', KEYTURN_ISSUER: 'http://id.example.com:4000' }, 'http://id.example.com:4000'],
])('the default issuer follows the port: %p', (given, issuer) => {
  expect(readConfig(given as Record<string, string>).issuer).toBe(issuer);
});

test.each(['KEYTURN_HOST', 'KEYTURN_ADMIN_HOST'])(
  'accepts only host names and IP addresses, also in brackets, as %s',
  (name) => {
    const member = name === 'KEYTURN_HOST' ? 'host' : 'adminHost';
    for (const [given, host] of [
      ['[::1]', '::1'],
      ['::', '::'],
      ['127.0.0.2', '127.0.0.2'],
      ['auth.internal', 'auth.internal'],
    ] as const) {
      expect(readConfig({ [name]: given })[member]).toBe(host);
    }
    for (const wrong of ['*', '[::1', '127.0.0.1:4000', '300.1.1.1', 'http://auth', '10.0.0.0/8']) {
      expect(refusal({ [name]: wrong })).toContain(`${name} must be an IP address or a host name`);
    }
  },
);

/** The words that the secrets of the next tests consist of, so that a message with a part of a secret is recognised. */
const halves = /tulip|orchid/i;

test.each([
  'redis://:tulip?orchid@redis:6379',
  'redis://user:12?orchid@redis:6379',
  'redis://:tulip/orchid@redis:6379/0',
  'redis://:tulip%orchid@redis:6379',
  'redis://:tulip%E0%A4@redis',
  'redis://:tulip orchid',
  'redis://user:tulip',
  'redis://redis/0/tulip',
  'redis://redis?tulip=orchid',
  'redis://redis:6379:tulip',
  'tulip://:orchid@redis',
  'orchid',
])('reports a wrong REDIS_URL without any part of it: %s', (redisUrl) => {
  const message = refusal({ REDIS_URL: redisUrl });
  expect(message).toMatch(/REDIS_URL.*(percent-encod|%3F|%2F|it must have the form scheme)/);
  expect(message).not.toMatch(halves);
});

test.each([
  'postgres://user:tulip?orchid@db/keyturn',
  'postgres://user:12?orchid@db/keyturn',
  'postgres://user:tulip/orchid@db/keyturn',
  'postgres://user:12#orchid@db/keyturn',
  'postgres://user:tulip%orchid@db/keyturn',
  'postgres://user:tulip%E0%A4@db/keyturn',
  'postgres://user:tulip[orchid@a:1:2,b/keyturn',
  'tulip://user:orchid@db',
])('reports a wrong DATABASE_URL without any part of it: %s', (databaseUrl) => {
  const message = refusal({ ...stores, DATABASE_URL: databaseUrl });
  expect(message).toMatch(/DATABASE_URL.*(percent-encod|%23)/);
  expect(message).not.toMatch(halves);
});

test.each([
  { KEYTURN_ROOT_KEY_FILE: `1:${'tulip'.repeat(10)}` },
  { DATABASE_URL_FILE: 'postgres://user:tulip@db/keyturn' },
  { REDIS_URL_FILE: 'redis://:tulip@redis' },
  { KEYTURN_SMTP_URL_FILE: 'smtp://user:tulip@mail' },
  { KEYTURN_TLS_KEY: '-----BEGIN PRIVATE KEY-----\ntulip', KEYTURN_TLS_CERT: '-----BEGIN CERTIFICATE-----\ntulip' },
  {
    KEYTURN_AUDIT_STREAMS: JSON.stringify([{ name: 'siem', url: 'syslog+tls://siem', cert: 'orchid', key: 'tulip' }]),
  },
])('repeats nothing of a secret that is written in place of the name of its file: %j', (given) => {
  const message = refusal(given as Record<string, string>);
  expect(message).toMatch(/(_FILE|KEYTURN_TLS_CERT|KEYTURN_AUDIT_STREAMS) .*file.*ENOENT/);
  expect(message).not.toMatch(halves);
});

test('reads a file that DATABASE_URL names at the start, and names its parameter if it cannot be read', () => {
  const message = refusal({ ...stores, DATABASE_URL: 'postgres://db/keyturn?sslrootcert=/nowhere/tulip' });
  expect(message).toContain('DATABASE_URL: sslrootcert cannot be read (ENOENT)');
});

test.each([
  'postgres://keyturn:p%3Fss%2Fw%25@db:5432/keyturn?sslmode=verify-full',
  'postgresql://keyturn@[::1]:5432,standby/keyturn',
  'postgres:///keyturn?host=/var/run/postgresql',
  'postgres://keyturn@%2Fvar%2Frun%2Fpostgresql/keyturn',
])('accepts a common DATABASE_URL: %s', (databaseUrl) => {
  expect(readConfig({ ...stores, DATABASE_URL: databaseUrl }).databaseUrl).toBe(databaseUrl);
});

test('accepts only known names in KEYTURN_DIALECTS, and suggests one for a misspelt name', () => {
  expect([...readConfig({}).dialects]).toEqual([]);
  expect([...readConfig({ KEYTURN_DIALECTS: 'audience, other_paths' }).dialects]).toEqual(['audience', 'other_paths']);
  const problem = refusal({ KEYTURN_DIALECTS: 'audience,other_path,all' });
  expect(problem).toContain('KEYTURN_DIALECTS: other_path is none of audience, json_body, token_endpoint_audience');
  expect(problem).toContain('; did you mean other_paths?');
  expect(problem).toMatch(/all is none of [^;]*$/m);
  expect(refusal({ KEYTURN_DIALECTS: 'audience,' })).toContain('KEYTURN_DIALECTS must be a list without empty items');
});
