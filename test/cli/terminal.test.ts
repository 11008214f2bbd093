import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestServer, type TestServer } from '../harness.ts';
import { program } from '../program.ts';
import { describeWith } from '../programs.ts';

/** Terminal of 80 columns that runs bash. */
class Terminal {
  readonly #directory = mkdtempSync(join(tmpdir(), 'keyturn-tmux-'));
  readonly #socket = join(this.#directory, 'socket');
  #asked = 0;

  constructor(environment: Record<string, string>) {
    const exports = Object.entries(environment).map(([name, value]) => `export ${name}='${value}'`);
    const keyturn = `keyturn() { '${process.execPath}' '${program}' "$@"; }`;
    writeFileSync(join(this.#directory, 'rc'), [...exports, keyturn, "PS1='$ '", `cd ${this.#directory}`].join('\n'));
    const shell = `exec bash --noprofile --rcfile ${join(this.#directory, 'rc')} -i`;
    this.#tmux('-f', '/dev/null', 'new-session', '-d', '-x', '80', '-y', '200', shell);
  }

  type(text: string): void {
    this.#tmux('send-keys', '-l', text);
    this.#tmux('send-keys', 'Enter');
  }

  /** Runs a command line to its end. Returns the screen and the exit code. */
  async run(line: string): Promise<{ text: string; colours: string; code: number }> {
    this.#tmux('send-keys', '-R');
    this.#tmux('clear-history');
    this.type(line);
    return await this.end();
  }

  async end(): Promise<{ text: string; colours: string; code: number }> {
    this.#asked += 1;
    // The mark is typed in two parts, so that the typed text is not mistaken for the printed mark.
    this.type(`echo "ended"-${this.#asked}-$?`);
    const mark = new RegExp(`^ended-${this.#asked}-(\\d+)`, 'm');
    const text = await this.until(mark);
    const code = Number(mark.exec(text)?.[1]);
    return { text, colours: this.#tmux('capture-pane', '-p', '-e'), code };
  }

  async until(pattern: RegExp): Promise<string> {
    const deadline = performance.now() + 30_000;
    for (;;) {
      const text = this.#tmux('capture-pane', '-p');
      if (pattern.test(text)) return text;
      if (performance.now() > deadline) throw new Error(`${pattern} did not show up:\n${text.trim()}`);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  }

  close(): void {
    this.#tmux('kill-server');
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #tmux(...args: string[]): string {
    return execFileSync('tmux', ['-S', this.#socket, ...args], { encoding: 'utf8' });
  }
}

describeWith('tmux', 'curl')('in a terminal of 80 columns', () => {
  let server: TestServer;
  let terminal: Terminal;

  beforeAll(async () => {
    server = await startTestServer();
    const { databaseUrl, rootKey } = server.stores;
    terminal = new Terminal({
      DATABASE_URL: databaseUrl,
      KEYTURN_ROOT_KEY: rootKey,
      URL: `${server.publicUrl}/oauth2/token`,
    });
  });
  afterAll(async () => {
    terminal?.close();
    await server?.close();
  });

  const curl = (secret: string) =>
    `curl -s -o /dev/null -w 'status %{http_code}\\n' -u "$ID:$${secret}" -d grant_type=client_credentials $URL`;

  test('the life of a secret works in one terminal: generate, copy, curl, regenerate, finish and audit', async () => {
    await terminal.run("OLD=$(keyturn clients create --name 'Order sync')");
    const list = await terminal.run('keyturn clients list');
    const id = /kti_\w{22}/.exec(list.text)?.[0] ?? '';
    expect(id).not.toBe('');
    expect(list.colours).toContain('\u001b[1mCLIENT_ID');
    expect(list.text).toMatch(/ SECRETS +CREATED/);
    // Each client is on one line that does not wrap, and its id is not shortened.
    expect(list.text.split('\n').filter((line) => line.includes('kti_'))).toHaveLength(1);
    expect(Math.max(...list.text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);

    await terminal.run(`ID=${id}`);
    expect((await terminal.run(curl('OLD'))).text).toContain('status 200');

    // The question is on the screen although the secret is redirected. The answer "no" changes nothing.
    terminal.type(`keyturn clients regenerate ${id} > new`);
    await terminal.until(/Rotate the client secret of[^?]*\(kti_\w+[^?]*\? \[y\/N\]/);
    terminal.type('n');
    const declined = await terminal.end();
    expect(declined.code).toBe(1);
    expect(declined.text).toContain('Nothing was changed.');
    expect(declined.colours).toContain('\u001b[31mNothing was changed');

    await terminal.run('clear');
    terminal.type(`keyturn clients regenerate ${id} > new`);
    await terminal.until(/\[y\/N\]/);
    terminal.type('y');
    const regenerated = await terminal.end();
    expect(regenerated.code).toBe(0);
    expect(regenerated.text).not.toMatch(/kts_/);
    await terminal.run('NEW=$(cat new)');
    await server.core.feed.sync();
    for (const secret of ['OLD', 'NEW']) expect((await terminal.run(curl(secret))).text).toContain('status 200');

    expect((await terminal.run(`keyturn clients finish ${id} --yes`)).text).toContain('The regeneration is finished.');
    await server.core.feed.sync();
    expect((await terminal.run(curl('OLD'))).text).toContain('status 401');
    expect((await terminal.run(curl('NEW'))).text).toContain('status 200');

    const audit = await terminal.run(`keyturn audit list --target ${id}`);
    for (const action of ['client.create', 'client.regenerate', 'client.finish']) expect(audit.text).toContain(action);
    expect(Math.max(...audit.text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test('an import shows its progress and clears it at the end', async () => {
    const lines = Array.from(
      { length: 5_000 },
      (_, index) => `bulk-${index},x${randomBytes(24).toString('base64url')}`,
    );
    const directory = mkdtempSync(join(tmpdir(), 'keyturn-bulk-'));
    const file = join(directory, 'bulk.csv');
    writeFileSync(file, `client_id,client_secret\n${lines.join('\n')}\n`);
    await terminal.run('clear');
    terminal.type(`keyturn clients import ${file}`);
    await terminal.until(/Importing \[.*\] \d+\/5000/);
    const { text, code } = await terminal.end();
    rmSync(directory, { recursive: true });
    expect(code).toBe(0);
    expect(text).toContain('5000 imported, 0 rejected.');
    expect(text).not.toContain('Importing [');
  });
});
