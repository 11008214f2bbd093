import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../src/config.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { ended, printed, runCommand, startCommand } from '../cli/run-command.ts';
import { kubernetesValidate, testWith } from '../programs.ts';
import { createEmptyTestDatabase, createTestRedis } from '../services.ts';

const directory = fileURLToPath(new URL('../../deploy/kubernetes/', import.meta.url));
const portal = `${directory}portal/`;
const manifestsIn = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
    .map((name) => `${folder}${name}`);
const manifests = [...manifestsIn(directory), ...manifestsIn(portal)];

describe('the Kubernetes manifests', () => {
  testWith('kubernetes-validate').each(['1.28', '1.33'])(
    'are what the schemas of Kubernetes %s allow, and nothing else',
    (version) => {
      const { status, stdout, stderr } = spawnSync(kubernetesValidate, ['--strict', '-k', version, ...manifests], {
        encoding: 'utf8',
      });
      expect([status, stdout + stderr]).toEqual([0, expect.not.stringContaining('ERROR')]);
    },
  );

  it.each([directory, portal])('are all in the kustomization in %s', (folder) => {
    const kustomization = readFileSync(`${folder}kustomization.yaml`, 'utf8');
    const listed = [...kustomization.matchAll(/^ {2}- (\S+\.yaml)$/gm)].map(([, name]) => folder + name);
    expect(listed.toSorted()).toEqual(manifestsIn(folder).toSorted());
  });

  it('open the portal to the ingress controller alone, on the port that the server listens on, and only on request', () => {
    const [component = '', service = '', policy = ''] = ['kustomization', 'service', 'network-policy'].map((name) =>
      readFileSync(`${portal}${name}.yaml`, 'utf8'),
    );
    const added = [...component.matchAll(/\{ op: add, path: \/data\/(\w+), value: "?([^" }]+)"? \}/g)];
    const config = readConfig(Object.fromEntries(added.map(([, name, value]) => [name, value])));
    expect(config).toMatchObject({ portalPort: 4002, portalUrl: 'https://portal.example.com' });
    const containerPort = /value: \{ name: (\w+), containerPort: (\d+) \}/.exec(component)?.slice(1);
    expect(containerPort).toEqual([/targetPort: (\w+)/.exec(service)?.[1], String(config.portalPort)]);
    expect(policy.slice(policy.indexOf('  ingress:'))).toBe(`  ingress:
    - from:
        - namespaceSelector:
            matchLabels: { kubernetes.io/metadata.name: ingress-nginx }
      ports:
        - { port: ${config.portalPort} }
`);
    for (const name of manifestsIn(directory)) expect(readFileSync(name, 'utf8')).not.toMatch(/PORTAL|4002/);
  });

  it('trust only single addresses as proxies, as do the examples in the documents', () => {
    const pages = [
      '../../docs/kubernetes.md',
      '../../docs/proxies.md',
      '../../docs/mutual-tls.md',
      '../../docker-compose.yml',
    ];
    const texts = [...manifests, ...pages.map((page) => fileURLToPath(new URL(page, import.meta.url)))].map((name) =>
      readFileSync(name, 'utf8'),
    );
    const examples = texts.flatMap((text) => [
      ...text.matchAll(/KEYTURN_(?:TRUST|CLIENT_CERT)_PROXY(?:=|: |, value: )"?([\d.,/]+)/g),
    ]);
    expect(examples.length).toBeGreaterThanOrEqual(4);
    for (const [, value = ''] of examples) expect(value.split(',').every((address) => isIP(address) !== 0)).toBe(true);
  });

  it('let only the ingress controller and labelled namespaces reach the public port', () => {
    const policy = readFileSync(`${directory}network-policy.yaml`, 'utf8');
    const ingress = policy.slice(policy.indexOf('  ingress:'), policy.indexOf('  egress:'));
    // A rule without `from` allows every source.
    expect(ingress.match(/^ {4}- \w+/gm)).toEqual(['    - from', '    - from']);
    expect(policy).toContain('keyturn.dev/access');
  });

  it('set only variables that the server knows and accepts', () => {
    const configuration = readFileSync(`${directory}configuration.yaml`, 'utf8');
    const settings = Object.fromEntries(
      [...configuration.matchAll(/^ {2}([A-Z][A-Z_]+): (.+)$/gm)].map(([, name, value]) => [name, value]),
    );
    expect(Object.keys(settings).length).toBeGreaterThan(5);
    const secrets = { KEYTURN_ROOT_KEY: generateRootKey(), DATABASE_URL: 'postgres://x/y', REDIS_URL: 'redis://x' };
    // The files come from a Kubernetes secret, so they exist in a cluster only.
    const given = Object.fromEntries(Object.entries(settings).filter(([name]) => !name.endsWith('_FILE')));
    expect(readConfig({ ...given, ...secrets })).toMatchObject({
      issuer: 'https://auth.example.com',
      adminHost: '0.0.0.0',
    });
    expect(() => readConfig(settings)).toThrow(/(_FILE names a file that cannot be read[\s\S]*){3}/);
  });
});

test('pods that serve do not get the URL of the role that owns the tables', () => {
  const [migrate, serve] = ['migrate.yaml', 'deployment.yaml'].map((name) => readFileSync(directory + name, 'utf8'));
  expect(migrate).toMatch(/name: keyturn-migrate\n +items:\n +- \{ key: database-url, path: database-url \}/);
  expect(migrate?.match(/key: database-url/g)).toHaveLength(1);
  expect(serve).not.toContain('keyturn-migrate');
});

/** Variables that Kubernetes adds to every container of a namespace that has a Service of this name. */
function serviceLinks(service: string, ip: string, port: number, portName = 'HTTP'): Record<string, string> {
  const name = service.toUpperCase().replaceAll('-', '_');
  const url = `tcp://${ip.includes(':') ? `[${ip}]` : ip}:${port}`;
  return {
    [`${name}_SERVICE_HOST`]: ip,
    [`${name}_SERVICE_PORT`]: `${port}`,
    [`${name}_SERVICE_PORT_${portName}`]: `${port}`,
    [`${name}_PORT`]: url,
    [`${name}_PORT_${port}_TCP`]: url,
    [`${name}_PORT_${port}_TCP_PROTO`]: 'tcp',
    [`${name}_PORT_${port}_TCP_PORT`]: `${port}`,
    [`${name}_PORT_${port}_TCP_ADDR`]: ip,
  };
}

const shippedServices = {
  ...serviceLinks('keyturn', '10.96.12.34', 80),
  ...serviceLinks('keyturn-admin', '10.96.12.35', 4001),
  ...serviceLinks('keyturn-portal', '10.96.12.36', 80),
};

describe('the variables that Kubernetes adds for Services', () => {
  it('do not prevent migrate, doctor or start from running', async () => {
    const environment = {
      ...shippedServices,
      DATABASE_URL: await createEmptyTestDatabase(),
      REDIS_URL: createTestRedis().url,
      KEYTURN_ROOT_KEY: generateRootKey(),
      KEYTURN_ISSUER: 'https://auth.example.com',
    };
    for (const command of ['migrate', 'doctor']) {
      expect(await runCommand([command], environment)).toMatchObject({ code: 0, stderr: '' });
    }
    const server = startCommand(['start'], environment);
    const end = ended(server);
    // The default ports may be in use on this machine. The message then names them, and not the port of the Service.
    await printed(server, '4000');
    server.kill('SIGTERM');
    const { stdout, stderr } = await end;
    expect(stdout + stderr).toMatch(/Keyturn is ready|Port 4000 of 0\.0\.0\.0 is taken/);
  });

  it.each([
    ['the shipped Services', shippedServices],
    ['another name', serviceLinks('keyturn-prod-admin', '10.0.0.9', 4001)],
    ['a name in front of ours', serviceLinks('my-keyturn', '10.0.0.9', 4001)],
    ['IPv6', serviceLinks('keyturn', 'fd00::1', 80)],
    ['a port with a name of several words', serviceLinks('keyturn', '10.0.0.9', 80, 'HTTP_ADMIN')],
    [
      'two ports, one of them UDP',
      {
        ...serviceLinks('keyturn', '10.0.0.9', 80),
        KEYTURN_PORT_53_UDP: 'udp://10.0.0.9:53',
        KEYTURN_PORT_53_UDP_PROTO: 'udp',
        KEYTURN_PORT_53_UDP_PORT: '53',
        KEYTURN_PORT_53_UDP_ADDR: '10.0.0.9',
      },
    ],
    [
      'a linked container of Docker',
      {
        KEYTURN_NAME: '/shop/keyturn',
        KEYTURN_PORT: 'tcp://172.17.0.5:4000',
        KEYTURN_PORT_4000_TCP: 'tcp://172.17.0.5:4000',
        KEYTURN_PORT_4000_TCP_PROTO: 'tcp',
        KEYTURN_PORT_4000_TCP_PORT: '4000',
        KEYTURN_PORT_4000_TCP_ADDR: '172.17.0.5',
        KEYTURN_PORT_4000_TCP_START: 'tcp://172.17.0.5:4000',
        KEYTURN_PORT_4000_TCP_PORT_START: '4000',
        KEYTURN_PORT_4001_TCP_END: 'tcp://172.17.0.5:4001',
        KEYTURN_PORT_4000_TCP_PORT_END: '4001',
        KEYTURN_ENV_NODE_ENV: 'production',
        KEYTURN_ENV_KEYTURN_ISSUER: 'https://auth.example.com',
      },
    ],
  ])('are passed over: %s', (_, links) => {
    expect(readConfig(links)).toEqual(readConfig({}));
  });

  it.each([
    { KEYTURN_SERVICE_PORT: '4000' },
    { KEYTURN_SERVICE_HOST: 'auth.example.com' },
    { KEYTURN_ADMN_PORT: '4001' },
    { KEYTURN_PORT_4000: 'tcp://10.0.0.9:4000' },
    { KEYTURN_PORT_4000_TCP_PORT: '4000' },
    { KEYTURN_ENV_ISSUER: 'https://auth.example.com' },
    { KEYTURN_NAME: 'keyturn' },
  ])('do not hide a variable of the same prefix that nobody but a person set: %p', (given) => {
    const [name] = Object.keys(given);
    expect(() => readConfig(given)).toThrow(`${name} is not a known variable`);
    expect(() => readConfig({ ...shippedServices, KEYTURN_ISUER: 'x' })).toThrow('did you mean KEYTURN_ISSUER?');
  });

  it('do not replace the ports of Keyturn if these are set', () => {
    const given = { ...shippedServices, KEYTURN_PORT: '4100', KEYTURN_ADMIN_PORT: '4101' };
    expect(readConfig(given)).toMatchObject({ port: 4100, adminPort: 4101 });
  });

  it('are switched off in every pod of the manifests', () => {
    const pods = manifests.filter((name) => / {4}spec:/.test(readFileSync(name, 'utf8')));
    expect(pods.length).toBeGreaterThan(1);
    for (const name of pods) expect(readFileSync(name, 'utf8')).toContain('      enableServiceLinks: false\n');
  });
});
