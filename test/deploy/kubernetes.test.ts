import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../src/config.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';

const directory = fileURLToPath(new URL('../../deploy/kubernetes/', import.meta.url));
const files = readdirSync(directory).map((name) => `${directory}${name}`);
const manifests = files.filter((name) => !name.endsWith('kustomization.yaml'));
/** Of PyPI; it brings the schemas of every version of Kubernetes. */
const validator = process.env['KUBERNETES_VALIDATE'] ?? 'kubernetes-validate';
const hasValidator = spawnSync(validator, ['--help']).status === 0;

describe('the Kubernetes manifests', () => {
  (hasValidator ? it : it.skip).each(['1.28', '1.33'])(
    'are what the schemas of Kubernetes %s allow, and nothing else',
    (version) => {
      const { status, stdout, stderr } = spawnSync(validator, ['--strict', '-k', version, ...manifests], {
        encoding: 'utf8',
      });
      expect([status, stdout + stderr]).toEqual([0, expect.not.stringContaining('ERROR')]);
    },
    60_000,
  );

  it('are all in the kustomization', () => {
    const kustomization = readFileSync(`${directory}kustomization.yaml`, 'utf8');
    const listed = [...kustomization.matchAll(/^ {2}- (\S+\.yaml)$/gm)].map(([, name]) => directory + name);
    expect(listed.toSorted()).toEqual(manifests.toSorted());
  });

  it('set what the server knows, and reads', () => {
    const configuration = readFileSync(`${directory}configuration.yaml`, 'utf8');
    const settings = Object.fromEntries(
      [...configuration.matchAll(/^ {2}([A-Z][A-Z_]+): (.+)$/gm)].map(([, name, value]) => [name, value]),
    );
    expect(Object.keys(settings).length).toBeGreaterThan(5);
    const secrets = { KEYTURN_ROOT_KEY: generateRootKey(), DATABASE_URL: 'postgres://x/y', REDIS_URL: 'redis://x' };
    // The files are the secret's, which only a cluster has.
    const given = Object.fromEntries(Object.entries(settings).filter(([name]) => !name.endsWith('_FILE')));
    expect(readConfig({ ...given, ...secrets })).toMatchObject({
      issuer: 'https://auth.example.com',
      adminHost: '0.0.0.0',
    });
    expect(() => readConfig(settings)).toThrow(/(_FILE cannot be read[\s\S]*){3}/);
  });
});
