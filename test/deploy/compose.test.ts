import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKeyRing } from '../../src/credentials/key-ring.ts';

const compose = readFileSync('docker-compose.yml', 'utf8');
/** The lines of one service. */
const serviceOf = (name: string) => new RegExp(`^ {2}${name}:\\n((?: {4}.*\\n|\\n)*)`, 'm').exec(compose)?.[1] ?? '';

describe('docker-compose.yml', () => {
  test('connects the server with a role of least privilege, and only the migration as the owner of the tables', () => {
    expect(compose.match(/postgres:\/\/\w+:/g)).toEqual(['postgres://keyturn_serve:', 'postgres://keyturn_migrate:']);
    expect(serviceOf('migrate')).toContain('postgres://keyturn_migrate:');
    expect(serviceOf('migrate')).toMatch(/roles: \{ condition: service_completed_successfully \}/);
  });

  test('gives Redis a password, and the server uses it', () => {
    expect(serviceOf('redis')).toContain('"--requirepass", "${REDIS_PASSWORD:?');
    expect(serviceOf('redis')).not.toContain('protected-mode');
    expect(compose).toContain('REDIS_URL: redis://:${REDIS_PASSWORD:?');
  });

  test('allows every image to be pinned', () => {
    const images = [...compose.matchAll(/^ +image: (.*)$/gm)].map(([, image]) => image);
    expect(images.length).toBeGreaterThan(3);
    for (const image of images) expect(image).toMatch(/^\$\{[A-Z]+_IMAGE:-[\w.:-]+\}$/);
    expect(compose).toContain('NODE_IMAGE: ${NODE_IMAGE:-');
  });
});

test('make-secrets.sh writes every secret that docker-compose.yml needs, adds what is missing, and replaces nothing', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyturn-secrets-'));
  const file = join(directory, '.env');
  const needed = new Set([...compose.matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name));
  const read = () =>
    Object.fromEntries(
      readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split(/=(.*)/)),
    );
  execFileSync('sh', ['deploy/make-secrets.sh', file]);
  const made = read();
  expect(Object.keys(made).toSorted()).toEqual([...needed].toSorted());
  expect(statSync(file).mode & 0o077).toBe(0);
  expect(createKeyRing(made['KEYTURN_ROOT_KEY']).current).toBe('v1');
  expect(spawnSync('sh', ['deploy/make-secrets.sh', file]).status).toBe(1);
  // The file in the form of an earlier version.
  writeFileSync(file, `POSTGRES_PASSWORD=old\nKEYTURN_ROOT_KEY=${made['KEYTURN_ROOT_KEY']}\n`);
  execFileSync('sh', ['deploy/make-secrets.sh', file]);
  expect(read()).toMatchObject({ POSTGRES_PASSWORD: 'old', KEYTURN_ROOT_KEY: made['KEYTURN_ROOT_KEY'] });
  expect(Object.keys(read()).toSorted()).toEqual([...needed].toSorted());
  rmSync(directory, { recursive: true });
});
