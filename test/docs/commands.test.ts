import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { childEnvironment } from '../child-environment.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { program } from '../program.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const pages = [
  'README.md',
  ...(await readdir(`${root}docs`)).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
];

/** Commands that cannot run against a test server, by their first words, with the test that runs them instead. */
const elsewhere: Readonly<Record<string, string>> = {
  'npm ci && npm run quickstart': 'test/cli/quickstart.test.ts',
  'npm ci && npm test': '.ci/run',
  './deploy/make-secrets.sh': 'test/compose/run.ts',
  'npm install keyturn': 'test/interop/resource-servers.test.ts',
  'CONTACT=$(admin http://localhost:4001/admin/v1/me': 'test/cli/manage.test.ts',
  'DATABASE_URL=postgres://… ./deploy/backup/backup.sh': 'test/deploy/backup.test.ts',
  'DATABASE_URL=postgres://… ./deploy/backup/restore.sh': 'test/deploy/backup.test.ts',
  'curl -sS --fail-with-body': 'test/docs/integrations.test.ts',
  'kubectl create namespace': 'test/deploy/kubernetes.test.ts',
  'kubectl -n keyturn exec': 'test/deploy/kubernetes.test.ts',
  'KEYTURN_ISSUER=https://auth.example.com docker compose': 'test/compose/run.ts',
  'KEYTURN_ISSUER=https://auth.example.com': 'test/oauth/mutual-tls.test.ts',
  'KEYTURN_CLIENT_CERT_PROXY=10.0.0.5': 'test/oauth/mutual-tls.test.ts',
  'kubectl label namespace': 'test/deploy/kubernetes.test.ts',
  'keyturn explain <': 'test/admin/explain.test.ts',
  'keyturn approvals settings': 'test/admin/approvals.test.ts',
  'keyturn export -f exported': 'test/cli/configuration.test.ts',
  'keyturn clients handover': 'test/cli/every-endpoint.test.ts',
  'keyturn identity-providers create': 'test/cli/every-endpoint.test.ts',
  'keyturn login --url https://admin.example.com --browser': 'test/sign-in/browser-login.test.ts',
  'keyturn notices settings': 'test/cli/every-endpoint.test.ts',
  'keyturn operator-tokens create': 'test/cli/every-endpoint.test.ts',
  'keyturn webhooks create': 'test/cli/every-endpoint.test.ts',
  'keyturn webhooks enable': 'test/cli/every-endpoint.test.ts',
  'keyturn webhooks listen': 'test/cli/webhook-listen.test.ts',
  'keyturn webhooks rotate': 'test/cli/every-endpoint.test.ts',
  'curl -u "$API_ID:$API_SECRET" https://auth.example.com/oauth2/token': 'test/tokens/token-exchange.test.ts',
  'keyturn clients update order-sync --dialect': 'test/cli/details.test.ts',
};
const blocks = (await Promise.all(pages.map(blocksOf))).flat();
const runHere = blocks.filter(({ text }) => !Object.keys(elsewhere).some((start) => text.startsWith(start)));

type Block = { page: string; text: string };

async function blocksOf(page: string): Promise<Block[]> {
  const text = await readFile(root + page, 'utf8');
  return [...text.matchAll(/^( *)```sh\n(.*?)^ *```/gms)].map(([, indent = '', block = '']) => ({
    page,
    text: block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }));
}

let server: AdminServer;
let directory: string;
let environment: Record<string, string>;

beforeAll(async () => {
  server = await startAdminServer();
  directory = await mkdtemp(join(tmpdir(), 'keyturn-docs-'));
  const { databaseUrl, redisUrl, rootKey } = server.stores;
  const create = async (path: string, body: object) => (await server.adminFetch(path, { method: 'POST', body })).json;
  const api = await create('/clients', {
    name: 'API',
    kind: 'resource_server',
    resource: 'https://old.example.com',
    information: ['orders', 'products'],
  });
  const client = await create('/clients', {
    name: 'Order sync',
    kind: 'integration',
    scope: 'orders:read orders:update products:read',
  });
  const turned = await create('/clients', { name: 'Turned', kind: 'integration', scope: 'orders:read' });
  const contact = await create('/contacts', { name: 'Partner', email: 'partner@example.com', permissions: [] });
  const key = await create(`/contacts/${contact.id}/access-keys`, {
    name: 'Existing',
    permissions: { orders: ['read'] },
  });
  const token = await endpointsOf(server.publicUrl).accessToken({ id: client.client_id, secret: client.client_secret });
  environment = {
    ...childEnvironment(),
    HOME: directory,
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    KEYTURN_ROOT_KEY: rootKey,
    KEYTURN_ISSUER: 'http://localhost:4000',
    OPERATOR: await server.operatorToken(),
    CLIENT_ID: client.client_id,
    ROTATED_ID: turned.client_id,
    CLIENT_SECRET: client.client_secret,
    API_ID: api.client_id,
    API_SECRET: api.client_secret,
    ACCESS_TOKEN: token,
    ACCESS_KEY: key.access_key,
    CONTACT: contact.id,
  };
  const imported = [
    {
      client_id: 'order-sync',
      client_secret: 'pq8Zt1Vw6kR3yM0xLs9cBn4H',
      client_name: 'Imported',
      grant_types: ['client_credentials'],
      scope: 'orders.read',
    },
  ];
  await writeFile(join(directory, 'clients.json'), JSON.stringify(imported));
  const request = { client_id: 'order-sync', scope: 'orders:read' };
  await writeFile(join(directory, 'token-requests.jsonl'), JSON.stringify(request));
  await writeFile(join(directory, 'paste.txt'), `found: ${generateSecret('kts_')}`);
  const shell = 'git init -q . && git -c user.name=A -c user.email=a@example.com commit -q --allow-empty -m first && ';
  const certificate =
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout sync.key -out sync.crt -days 30 -subj '/C=DE/O=Example/CN=sync'";
  await run('bash', ['-c', shell + certificate], { cwd: directory, env: environment });
});

afterAll(async () => {
  await server?.close();
  if (directory) await rm(directory, { recursive: true, force: true });
});

test('every shell block of the README and docs/ is run here or in the test that is named for it', async () => {
  expect(blocks.length).toBeGreaterThan(20);
  const unused = Object.keys(elsewhere).filter((start) => !blocks.some(({ text }) => text.startsWith(start)));
  expect(unused).toEqual([]);
  for (const place of new Set(Object.values(elsewhere))) expect(await readFile(root + place, 'utf8')).not.toBe('');
});

test.each(runHere.map(({ page, text }) => [page, text.split('\n')[0] as string, text]))(
  '%s: %s',
  async (page, _first, text) => {
    const { stdout } = await run('bash', ['-c', `${preamble()}\n${forThisServer(page, functionsBefore(page, text))}`], {
      cwd: directory,
      env: environment,
    });
    // The admin API and the endpoints answer errors without failing curl.
    expect(stdout).not.toMatch(/"error"|"title":/);
  },
);

test('every variable in the README is set by the lines before it', () => {
  const known = new Set<string>();
  const unset: string[] = [];
  for (const { text } of blocks.filter(({ page }) => page === 'README.md')) {
    for (const line of text.split('\n')) {
      const code = line.replaceAll(/'[^']*'/g, '');
      for (const [, name = ''] of code.matchAll(/\$\{?([A-Z_]+)/g)) if (!known.has(name)) unset.push(line);
      for (const [, name = ''] of code.matchAll(/(?:^|\s)(?:export )?([A-Z_]+)=/g)) known.add(name);
    }
  }
  expect(unset).toEqual([]);
  expect([...known]).toEqual(expect.arrayContaining(['OPERATOR', 'CLIENT_ID', 'ACCESS_KEY']));
});

/** Returns a block with the functions that earlier blocks of its page define. */
function functionsBefore(page: string, text: string): string {
  const earlier = blocks.slice(
    0,
    blocks.findIndex((block) => block.text === text),
  );
  const functions = earlier
    .filter((block) => block.page === page)
    .flatMap((block) => block.text.match(/^(?:admin|field)\(\) .*$/gm) ?? []);
  return [...functions, text].join('\n');
}

function preamble(): string {
  return `set -euo pipefail
keyturn() { "${process.execPath}" "${program}" "$@"; }`;
}

/** Returns a block as it is written, except for the address of the server and the placeholders of the page. */
function forThisServer(page: string, text: string): string {
  return (
    text
      .replace(/^export OPERATOR=.*\n/, '')
      .replace(/^keyturn\(\) .*\n/m, '')
      .replaceAll('docker compose exec keyturn node dist/main.js', 'keyturn')
      .replaceAll('http://localhost:4001', server.adminUrl)
      .replaceAll(/http:\/\/localhost:4000|https:\/\/auth\.example\.com/g, server.publicUrl)
      .replaceAll(/--contact CONTACT\b/g, '--contact "$CONTACT"')
      .replaceAll('https://api.example.com', `https://api.example.com/${pages.indexOf(page)}`)
      // A reader chooses one of these, and the commands ask for confirmation.
      .replace(/^(keyturn clients undo )"\$CLIENT_ID"/m, '$1"$ROTATED_ID" --yes')
      .replace(
        /^(keyturn clients finish )"\$CLIENT_ID"/m,
        'keyturn clients regenerate "$ROTATED_ID" --yes; $1"$ROTATED_ID" --yes',
      )
      .replaceAll(/^(keyturn clients (?:regenerate|regenerations) )"\$CLIENT_ID"/gm, '$1"$ROTATED_ID"')
      .replace('--disable', '--disable --yes')
      // test/oauth/mutual-tls.test.ts runs it, because it needs TLS at Keyturn itself.
      .replaceAll(/^curl --cert .*\\\n.*$/gm, '')
  );
}
