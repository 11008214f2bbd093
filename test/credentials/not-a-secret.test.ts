import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { recognizeNotASecret } from '../../src/credentials/foreign-credential.ts';

const inBraces = (text: string) => `\${${text}}`;

test.each([
  ['mask', ['********', '••••••••', 'xxxxxxxxxxxxxxxx', '(sensitive value)', '<redacted>', '[REDACTED]']],
  [
    'placeholder',
    [
      inBraces('vault.order-sync-secret'),
      inBraces('ORDER_SYNC_SECRET'),
      inBraces('env:ORDER_SYNC_SECRET:-none'),
      `prefix-${inBraces('ORDER_SECRET')}-x`,
      inBraces('{ secrets.ORDER_SYNC }'),
      '$(env:ORDER_SYNC_SECRET)',
      '#{OrderSyncSecret}#',
      "%{lookup('order_sync::secret')}",
      '{{.Values.orderSync.secret}}',
      "{{ lookup('env', 'SECRET') }}",
      '{{resolve:secretsmanager:order-sync}}',
      '{% secret %}',
      '<%= ENV["ORDER_SYNC_SECRET"] %>',
      '[[ .Secret ]]',
      '<YOUR_SECRET>',
      '[secret]',
      '{env:ORDER_SYNC_SECRET}',
      '{$ORDER_SYNC_SECRET}',
      '%ORDER_SYNC_SECRET%',
      '$ORDER_SYNC_SECRET',
      '__ORDER_SYNC_SECRET__',
      '@ORDER_SYNC_SECRET@',
      'env:ORDER_SYNC_SECRET',
      'process.env.ORDER_SYNC_SECRET',
      'secrets.ORDER_SYNC_SECRET',
      'ENC[AES256_GCM,data:8Gd2sdf3==,type:str]',
      'ENC(H7N718UuyPE5bHyWKyuLQSm02auQPUtm)',
      '{cipher}BQBkD0xQqpD3nK5lq8wZr3hTz',
      '{noop}order-sync-secret',
      '!vault |',
      '$ANSIBLE_VAULT;1.1;AES256',
      '-----BEGIN PGP MESSAGE-----',
      'AQICAHh2vFjZ8sQ1m3N5pR7tUwXyZ',
      '@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)',
      'vault:secret/data/order-sync#secret',
      'vault:v1:9SDd3WHDOjf7mq69CyCqYjBXAiQQAVZRkFM13ok481zo',
      'ssm:/prod/order-sync/secret',
      'aws-ssm:/prod/order-sync',
      'arn:aws:secretsmanager:eu-central-1:123456789012:secret:order-sync',
      'projects/shop/secrets/order-sync/versions/1',
      'op://shop/order-sync/secret',
      '<path:secret/data/orders#client_secret>',
      'secretKeyRef:orders/client-secret',
      'AKV:orders-client-secret',
      'keepass:/orders/client-secret',
      'ref+vault://secret/order-sync#/secret',
      'https://v.vault.azure.net/secrets/order-sync',
      '/run/secrets/order-sync',
      'file:/run/secrets/order-sync',
      '"changeme"',
      'CHANGE_ME_PLEASE_0123456789',
      'replace-with-the-real-secret',
      'your-client-secret-goes-here',
      'TODO',
      'null',
    ],
  ],
  [
    'hash',
    [
      '$2b$10$M9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWz',
      '$pbkdf2-sha256$i=25000,l=32$c2FsdA$aGFzaA',
      'pbkdf2_sha256$600000$salt$aGFzaA==',
      'pbkdf2:sha256:600000$salt$00ff',
      '$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA',
      '$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaA',
      'scrypt:32768:8:1$salt$00ff',
      '{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=',
      '{bcrypt}$2a$10$M9qo8uLOickgx2ZMRZoMye',
      '$6$rounds=5000$salt$hash',
      '$apr1$salt$hash',
      'sha256:6e884898da28047151d0e56f8dc62927',
      'AQAAAAEAACcQAAAAEB3R7sQ1m3N5pR7tUwXyZ',
    ],
  ],
  [
    'hash_like',
    [
      randomBytes(20).toString('hex'),
      randomBytes(32).toString('hex').toUpperCase(),
      randomBytes(64).toString('hex'),
      randomBytes(16).toString('base64'),
      randomBytes(20).toString('base64'),
      randomBytes(32).toString('base64'),
      randomBytes(64).toString('base64'),
      `0x${randomBytes(32).toString('hex')}`,
      randomBytes(20)
        .toString('hex')
        .replace(/..(?!$)/g, '$&:'),
    ],
  ],
])('recognizes each %s that replaces a secret in other products', (kind, values) => {
  for (const value of values) expect({ value, kind: recognizeNotASecret(value) }).toEqual({ value, kind });
});

test('accepts random secrets as other servers and common tools generate them', () => {
  const alphanumeric = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const random = (length: number, alphabet: string) =>
    Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('');
  const makers: Record<string, () => string> = {
    Keycloak: () => random(32, alphanumeric),
    Hydra: () => random(26, `${alphanumeric}-.~_`),
    Auth0: () => randomBytes(48).toString('base64url'),
    Okta: () => random(64, `${alphanumeric}_-`),
    Entra: () => random(40, `${alphanumeric}~._-`),
    Cognito: () => random(51, 'abcdefghijklmnopqrstuvwxyz0123456789'),
    Google: () => `GOCSPX-${random(28, `${alphanumeric}_-`)}`,
    UUID: () => randomUUID(),
    'openssl rand -hex 16': () => randomBytes(16).toString('hex'),
    'openssl rand -hex 24': () => randomBytes(24).toString('hex'),
    'openssl rand -base64 24': () => randomBytes(24).toString('base64'),
    'openssl rand -base64 48': () => randomBytes(48).toString('base64'),
    'secrets.token_urlsafe()': () => randomBytes(32).toString('base64url'),
  };
  for (const [maker, make] of Object.entries(makers)) {
    for (let round = 0; round < 5_000; round++) {
      const secret = make();
      expect({ maker, secret, kind: recognizeNotASecret(secret) }).toEqual({ maker, secret, kind: undefined });
    }
  }
});
