import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { endpointsOf, registerAll, type TestClient } from '../oauth/fixture.ts';
import { debianPython, hasPrograms, type ProgramName } from '../programs.ts';

const run = promisify(execFile);
const page = await readFile(new URL('../../docs/integrations.md', import.meta.url), 'utf8');
const rustManifest = `[package]
name = "token"
version = "0.1.0"
edition = "2024"

[dependencies]
serde_json = "1"
ureq = { version = "3", features = ["json"] }
`;

type Language = {
  /** Of the fence around the program. */
  fence: string;
  file: string;
  /** Undefined for Node.js. */
  needs?: ProgramName;
  /** Setup commands of the page. */
  prepare?: readonly string[];
  command: readonly string[];
  others?: Record<string, string>;
};

/** Cargo's libraries are built once and kept for later runs, as Go keeps its own. */
const buildCache = { CARGO_TARGET_DIR: join(tmpdir(), 'keyturn-test-cargo') };

const languages: Record<string, Language> = {
  Shell: { fence: 'sh', file: 'token.sh', needs: 'curl', command: ['sh', 'token.sh'] },
  JavaScript: { fence: 'js', file: 'token.mjs', command: ['node', 'token.mjs'] },
  Python: {
    fence: 'python',
    file: 'token_.py',
    needs: 'Python requests-oauthlib',
    command: [debianPython, 'token_.py'],
  },
  Go: {
    fence: 'go',
    file: 'main.go',
    needs: 'Go',
    prepare: ['sh', '-c', 'go mod init token && go get golang.org/x/oauth2'],
    command: ['go', 'run', '.'],
  },
  Java: { fence: 'java', file: 'Token.java', needs: 'Java compiler', command: ['java', 'Token.java'] },
  Rust: {
    fence: 'rust',
    file: 'src/main.rs',
    needs: 'Rust',
    prepare: ['cargo', 'build', '--quiet'],
    command: ['cargo', 'run', '--quiet'],
    others: { 'Cargo.toml': rustManifest },
  },
  PHP: { fence: 'php', file: 'token.php', needs: 'PHP', command: ['php', 'token.php'] },
  Ruby: { fence: 'ruby', file: 'token.rb', needs: 'Ruby', command: ['ruby', 'token.rb'] },
};

let server: AdminServer;
let shop: TestClient;
let orders: TestClient;
let accessKey: string;

beforeAll(async () => {
  server = await startAdminServer();
  ({ shop, orders } = await registerAll(server.core));
  const contact = await server.adminFetch('/contacts', {
    method: 'POST',
    body: { name: 'Partner', email: 'partner@example.com', permissions: [] },
  });
  const key = await server.adminFetch(`/contacts/${contact.json.id}/access-keys`, {
    method: 'POST',
    body: { name: 'Warehouse', permissions: { orders: ['read'] } },
  });
  accessKey = key.json.access_key;
});

afterAll(() => server?.close());

describe.each(Object.entries(languages))('the %s program of docs/integrations.md', (name, language) => {
  const { needs, prepare, command, file, others = {} } = language;
  const isThere = !needs || hasPrograms(needs);
  let directory: string;

  beforeAll(async () => {
    if (!isThere) return;
    directory = await mkdtemp(join(tmpdir(), 'keyturn-docs-'));
    for (const [path, text] of Object.entries({ ...others, [file]: programOf(name, language) })) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), text);
    }
    const [first, ...rest] = prepare ?? [];
    if (first) await run(first, rest, { cwd: directory, env: { ...process.env, ...buildCache } });
  }, 240_000);

  afterAll(() => directory && rm(directory, { recursive: true, force: true }));

  (isThere ? it : it.skip)(
    'gets a token for the client, and with an access key one for the contact, and names its instance',
    async () => {
      const ask = async (env: Record<string, string>) => {
        const [first = '', ...rest] = command;
        const { stdout } = await run(first, rest, {
          cwd: directory,
          env: { ...environment(), ...env },
        });
        return (await endpointsOf(server.publicUrl).introspect(orders, stdout.trim())).json;
      };
      expect(await ask({})).toMatchObject({
        active: true,
        client_id: shop.id,
        scope: 'orders:read orders:create products:read',
      });
      const instance = `${name} & co.`;
      expect(await ask({ ACCESS_KEY: accessKey, CLIENT_INSTANCE: instance })).toMatchObject({
        active: true,
        client_id: shop.id,
        scope: 'orders:read',
      });
      const { json } = await server.adminFetch(`/clients/${shop.id}/usage`);
      const { sources } = json.secrets[0] as { sources: { instance: string | null }[] };
      expect(sources.filter((source) => source.instance === instance)).toHaveLength(1);
    },
    60_000,
  );

  (isThere ? it : it.skip)(
    'fails, and does not print a token, where the secret is wrong',
    async () => {
      const [first = '', ...rest] = command;
      const env = { ...environment(), CLIENT_SECRET: orders.secret };
      const outcome = await run(first, rest, { cwd: directory, env }).catch((error) => error);
      expect(outcome.stdout).not.toMatch(/kta_/);
      if (name !== 'Shell') expect(outcome.code).not.toBe(0);
    },
    60_000,
  );
});

function environment(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    ...buildCache,
    TOKEN_URL: `${server.publicUrl}/oauth2/token`,
    CLIENT_ID: shop.id,
    CLIENT_SECRET: shop.secret,
    // oauthlib wants TLS, or to be told.
    OAUTHLIB_INSECURE_TRANSPORT: '1',
  };
}

function programOf(name: string, { fence }: Language): string {
  const section = page.slice(page.indexOf(`\n## ${name}\n`));
  const text = new RegExp(`^\`\`\`${fence}\n(.*?)^\`\`\``, 'ms').exec(section)?.[1];
  if (text === undefined) throw new Error(`the page has no program for ${name}`);
  return text;
}
