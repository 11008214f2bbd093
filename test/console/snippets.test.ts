import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runCommand } from '../cli/run-command.ts';
import { testWith } from '../programs.ts';
import { type ConsoleServer, startConsole } from './console-server.ts';

const run = promisify(execFile);
/**
 * Secrets with characters that are special in a shell or a program, or that HTTP Basic and forms encode differently.
 */
const secrets = [
  `x';>hacked;echo'k2Vd9QmXwZ`,
  `"$(>hacked)\`>hacked\`\\'%41+&=:#!k2Vd9QmXwZ`,
  `%2525+q\\n\\"'\\''$HOME<>|;*?[]{}~k2Vd9QmXwZ`,
];

let server: ConsoleServer;
let cookie: string;
let directory: string;

beforeAll(async () => {
  server = await startConsole();
  cookie = await server.signIn(await server.operatorToken());
  directory = await mkdtemp(join(tmpdir(), 'keyturn-snippets-'));
  const environment = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
  const rows = secrets.map((client_secret, index) => ({
    client_id: `imported@partner.${index}`,
    client_secret,
    client_name: `Imported ${index}`,
    grant_types: ['client_credentials'],
  }));
  const imported = await runCommand(['clients', 'import', '-', '--json'], environment, JSON.stringify(rows));
  expect(JSON.parse(imported.stdout)).toMatchObject({ imported: secrets.length, refused: [] });
});
afterAll(async () => {
  await server?.close();
  if (directory) await rm(directory, { recursive: true, force: true });
});

/** Returns the examples on the page that shows a secret, by language. */
async function readSnippets(index: number): Promise<Map<string, string>> {
  const { text } = await server.send(`/console/clients/imported@partner.${index}/reveal`, {}, cookie);
  const found = text.matchAll(/aria-label="([^"]+?) (?:example|command)"><code[^>]*>([^<]*)<\/code>/g);
  const plain = (escaped: string) =>
    escaped
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&#39;', "'")
      .replaceAll('&amp;', '&');
  return new Map([...found].map(([, name = '', code = '']) => [name, plain(code)]));
}

const languages = [
  { name: 'curl', needs: 'curl', command: ['sh'], file: 'line.sh', print: '' },
  {
    name: 'Node.js',
    needs: undefined,
    command: ['node'],
    file: 'program.mjs',
    print: '\nconsole.log(access_token);',
  },
  {
    name: 'Python',
    needs: 'Python requests',
    command: ['python3'],
    file: 'program.py',
    print: '\nprint(access_token)',
  },
  {
    name: 'PHP',
    needs: 'PHP',
    command: ['php'],
    file: 'program.php',
    print: '\necho $accessToken;',
  },
] as const;

describe.each(languages)(
  'the $name example on the page that shows a secret',
  ({ name, needs, command, file, print }) => {
    (needs ? testWith(needs) : it).each(secrets.map((secret, index) => [secret, index] as const))(
      'gets a token with the imported secret %s and executes no part of it',
      async (secret, index) => {
        const code = (await readSnippets(index)).get(name) ?? '';
        // The test server listens on another port than its issuer names.
        const at = code.replace('http://localhost:4000', server.publicUrl);
        await writeFile(join(directory, file), `${name === 'PHP' ? '<?php\n' : ''}${at}${print}`);
        const env = { ...process.env, CLIENT_ID: `imported@partner.${index}`, CLIENT_SECRET: secret };
        const { stdout } = await run(command[0], [file], { cwd: directory, env });
        expect(stdout).toMatch(/kta_\w{40}/);
        expect(existsSync(join(directory, 'hacked'))).toBe(false);
      },
    );
  },
);
