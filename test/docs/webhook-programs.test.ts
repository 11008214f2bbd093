import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { freePort } from '../free-port.ts';
import { hasPrograms } from '../programs.ts';
import { createWorld, type World } from '../regeneration/world.ts';
import { type Received, startReceiver } from '../webhooks/webhook-receiver.ts';

/** The programs of docs/webhooks.md that verify a signature, with events that a server has delivered. */

const page = await readFile(new URL('../../docs/webhooks.md', import.meta.url), 'utf8');

function programOf(fence: string): string {
  const text = new RegExp(`^\`\`\`${fence}\n(.*?)^\`\`\``, 'ms').exec(page)?.[1];
  if (text === undefined) throw new Error(`the page has no program in ${fence}`);
  return text;
}

/** Programs around the functions of the page. They read the secret, the headers and the body, and print the answer. */
const pythonMain = `import json, sys
from hooks import is_from_keyturn
given = json.load(sys.stdin)
print(is_from_keyturn(given["secret"], given["headers"], given["body"].encode()))
`;
const goMain = `package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"example/hooks"
)

func main() {
	var given struct {
		Secret, Body string
		Headers      map[string]string
	}
	json.NewDecoder(os.Stdin).Decode(&given)
	header := http.Header{}
	for name, value := range given.Headers {
		header.Set(name, value)
	}
	fmt.Println(hooks.IsFromKeyturn(given.Secret, header, []byte(given.Body)))
}
`;

const functions = [
  {
    language: 'Python',
    needs: 'Python 3.9',
    files: { 'hooks.py': programOf('python'), 'main.py': pythonMain },
    command: ['python3', 'main.py'],
    build: undefined,
  },
  {
    language: 'Go',
    needs: 'Go',
    files: { 'go.mod': 'module example\n', 'hooks/hooks.go': programOf('go'), 'main.go': goMain },
    command: ['./main'],
    build: ['go', 'build', '-o', 'main', '.'],
  },
] as const;

let world: World;
let receiver: Awaited<ReturnType<typeof startReceiver>>;
const directories: string[] = [];

beforeAll(async () => {
  receiver = await startReceiver();
  world = await createWorld({ env: { KEYTURN_WEBHOOK_NETWORKS: '127.0.0.0/8' } });
});
afterAll(async () => {
  await world.close();
  await receiver.close();
  await Promise.all(directories.map((each) => rm(each, { recursive: true, force: true })));
});

async function write(files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-webhooks-'));
  directories.push(directory);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text);
  }
  return directory;
}

async function createWebhook(url: string): Promise<{ secret: string; test: () => Promise<AnswerOfTest> }> {
  const post = async (path: string, body: object) => (await world.adminFetch(path, { method: 'POST', body })).json;
  const { id, signing_secret: secret } = await post('/webhooks', { name: 'Docs', url });
  return { secret, test: () => post(`/webhooks/${id}/test`, {}) };
}

type AnswerOfTest = { delivered: boolean; status: number };

describe.each(functions)('the $language function of docs/webhooks.md', ({ needs, files, command, build }) => {
  (hasPrograms(needs) ? it : it.skip)(
    'accepts what was delivered, and nothing that was changed, is old, or has another secret',
    async () => {
      const { secret, test } = await createWebhook(receiver.url);
      await test();
      const { headers, body } = receiver.received.at(-1) as Received;
      const cwd = await write(files);
      if (build) await promisify(execFile)(build[0], build.slice(1), { cwd });
      const accepts = async (more: object): Promise<boolean> => {
        const [first, ...rest] = command;
        const child = execFile(first, rest, { cwd });
        child.stdin?.end(JSON.stringify({ secret, headers, body, ...more }));
        let text = '';
        child.stdout?.on('data', (chunk: string) => {
          text += chunk;
        });
        const [code] = await once(child, 'close');
        expect(code).toBe(0);
        return /^true$/i.test(text.trim());
      };
      const [old, other] = [String(Math.floor(Date.now() / 1_000) - 301), await createWebhook(receiver.url)];
      expect(await accepts({})).toBe(true);
      expect(await accepts({ body: `${body} ` })).toBe(false);
      expect(await accepts({ secret: other.secret })).toBe(false);
      expect(await accepts({ headers: { ...headers, 'webhook-timestamp': old } })).toBe(false);
      expect(await accepts({ headers: { ...headers, 'webhook-id': 'msg_other' } })).toBe(false);
    },
  );
});

test('the TypeScript receiver of docs/webhooks.md accepts an event of its webhook, and rejects one of another', async () => {
  const port = await freePort();
  const text = programOf('ts').replace('.listen(8080)', `.listen(${port}, '127.0.0.1', () => console.log('ready'))`);
  const cwd = await write({ 'package.json': '{"type":"module"}', 'receiver.ts': text });
  await symlink(resolve('node_modules'), join(cwd, 'node_modules'));
  const [own, other] = [
    await createWebhook(`http://127.0.0.1:${port}/`),
    await createWebhook(`http://127.0.0.1:${port}/other`),
  ];
  const env = { PATH: process.env['PATH'] ?? '', SIGNING_SECRET: own.secret };
  const program: ChildProcess = spawn(process.execPath, ['receiver.ts'], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: program.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  try {
    expect((await lines.next()).value).toBe('ready');
    expect(await own.test()).toMatchObject({ delivered: true, status: 204 });
    expect((await lines.next()).value).toMatch(/^\S+ dev\.keyturn\.test$/);
    expect(await other.test()).toMatchObject({ delivered: false, status: 401 });
  } finally {
    program.kill();
  }
});
