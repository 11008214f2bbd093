import { readSlowHash, unmatchableHash, verifySlowHash } from '../../src/credentials/slow-hash.ts';

const stored = (given: unknown): string => {
  const read = readSlowHash(given);
  if (!read || 'problem' in read) throw new Error(read?.problem ?? 'unknown format');
  return read.hash;
};

/** Published test vectors of the formats, and outputs of the servers that write them. */
const vectors: Record<string, [secret: string, hash: unknown]> = {
  'bcrypt of jBCrypt': ['abcdefghijklmnopqrstuvwxyz', '$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC'],
  'bcrypt of PHP': ['abcdefghijklmnopqrstuvwxyz', '$2y$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC'],
  'PBKDF2 of passlib': [
    'password',
    '$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44',
  ],
  // Python: hashlib.pbkdf2_hmac('sha256', b'S3cret-of-Hydra_2026', b'0123456789abcdef', 25000, 32)
  'PBKDF2 of Hydra': [
    'S3cret-of-Hydra_2026',
    '$pbkdf2-sha256$i=25000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$10PxxIyexEkNted0AEbyWYIRj7NzIwm07oKKVC3TxuY',
  ],
  'PBKDF2 of Keycloak': [
    'S3cret-of-Keycloak_2026',
    {
      type: 'password',
      secretData:
        '{"value":"agVqW8GLGlKFvuEYbVomFK5SCzvff8s83g1oPy1ZsxHAFp1RhEKVdTh89h6YnDiy6aXzs/EK7PO28rd7vy7mwQ==","salt":"MDEyMzQ1Njc4OWFiY2RlZg==","additionalParameters":{}}',
      credentialData: '{"hashIterations":27500,"algorithm":"pbkdf2-sha256","additionalParameters":{}}',
    },
  ],
  'argon2id of the reference implementation': [
    'password',
    '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
  ],
  'argon2id of Keycloak': [
    'password',
    JSON.stringify({
      secretData: { value: 'CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc=', salt: 'c29tZXNhbHQ=' },
      credentialData: {
        hashIterations: 2,
        algorithm: 'argon2',
        additionalParameters: {
          hashLength: ['32'],
          memory: ['65536'],
          type: ['id'],
          version: ['1.3'],
          parallelism: ['1'],
        },
      },
    }),
  ],
  'scrypt of RFC 7914': [
    'pleaseletmein',
    `$scrypt$ln=14,r=8,p=1$${Buffer.from('SodiumChloride').toString('base64').replace(/=+$/, '')}$${Buffer.from(
      '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
      'hex',
    )
      .toString('base64')
      .replace(/=+$/, '')}`,
  ],
};

test.each(Object.entries(vectors))(
  'verifies the hash in the form %s, and rejects another secret',
  async (_, [secret, given]) => {
    expect(await verifySlowHash(stored(given), secret)).toBe(true);
    expect(await verifySlowHash(stored(given), `${secret}x`)).toBe(false);
  },
);

test('refuses hashes whose verification would cost too much, and says why without the hash', () => {
  const salt = 'MDEyMzQ1Njc4OWFiY2RlZg';
  const costly: Record<string, string> = {
    bcrypt: `$2b$15$${'a'.repeat(53)}`,
    PBKDF2: `$pbkdf2-sha256$i=2000001,l=32$${salt}$${'A'.repeat(43)}`,
    'PBKDF2 of many blocks': `$pbkdf2-sha256$i=1000000,l=128$${salt}$${'A'.repeat(171)}`,
    scrypt: `$scrypt$ln=30,r=8,p=1$${salt}$${'A'.repeat(43)}`,
    'scrypt in parallel': `$scrypt$ln=14,r=8,p=1000$${salt}$${'A'.repeat(43)}`,
    argon2id: `$argon2id$v=19$m=4194304,t=1,p=1$${salt}$${'A'.repeat(43)}`,
    'argon2id in many passes': `$argon2id$v=19$m=65536,t=1000,p=1$${salt}$${'A'.repeat(43)}`,
  };
  for (const [name, hash] of Object.entries(costly)) {
    const read = readSlowHash(hash);
    expect([name, read]).toEqual([name, { problem: expect.stringMatching(/has a cost that is not accepted/) }]);
    expect(JSON.stringify(read)).not.toContain('MDEy');
  }
});

test('does not take other texts for a hash that it can verify', () => {
  for (const text of [
    '$2x$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy',
    '$6$rounds=5000$salt$hash',
    '$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG',
    '$argon2id$v=16$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
    '$pbkdf2-sha256$i=25000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
    '{"algorithm":"pbkdf2-sha256"}',
    '{not json',
    'kts_secret',
    '',
    undefined,
  ]) {
    expect([text, readSlowHash(text)]).toEqual([text, undefined]);
  }
});

test('an unmatchable hash has the cost of its shape, and no secret matches it', async () => {
  for (const shape of [
    '$2b$05$',
    '$pbkdf2-sha512$i=1000,l=64$',
    '$scrypt$ln=4,r=8,p=1$',
    '$argon2id$v=19$m=64,t=1,p=1$',
  ]) {
    const hash = unmatchableHash(shape);
    expect(stored(hash)).toBe(hash);
    expect(await verifySlowHash(hash, 'S3cret-of-nobody_2026')).toBe(false);
  }
});
