import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { debianPython, hasPrograms, type ProgramName } from '../programs.ts';

/** The programs of docs/integrations.md, each of which gets a token and prints it. */

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

/** Variables of the environment that the programs read. */
type Environment = {
  TOKEN_URL: string;
  CLIENT_ID: string;
  CLIENT_SECRET: string;
  ACCESS_KEY?: string;
  CLIENT_INSTANCE?: string;
};

/** A program that is written to a directory of its own and, if its language needs that, built. */
export type ClientProgram = {
  /** Runs the program. Resolves to its trimmed output; rejects with `code` and `stdout` if it fails. */
  run(environment: Environment): Promise<string>;
  remove(): Promise<void>;
};

export const languageNames = Object.keys(languages);

/** Returns whether the machine has what a language needs. */
export function hasLanguage(name: string): boolean {
  const { needs } = languageOf(name);
  return !needs || hasPrograms(needs);
}

export async function createClientProgram(name: string): Promise<ClientProgram> {
  const language = languageOf(name);
  const { file, others = {}, prepare = [], command } = language;
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-docs-'));
  for (const [path, text] of Object.entries({ ...others, [file]: programOf(name, language) })) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text);
  }
  const execute = async ([first = '', ...rest]: readonly string[], environment: Partial<Environment> = {}) => {
    // oauthlib requires TLS, or this variable.
    const env = { ...process.env, ...buildCache, OAUTHLIB_INSECURE_TRANSPORT: '1', ...environment };
    return (await run(first, rest, { cwd: directory, env })).stdout.trim();
  };
  if (prepare.length > 0) await execute(prepare);
  return {
    run: (environment) => execute(command, environment),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

function languageOf(name: string): Language {
  const language = languages[name];
  if (!language) throw new Error(`there is no program for ${name}`);
  return language;
}

function programOf(name: string, { fence }: Language): string {
  const section = page.slice(page.indexOf(`\n## ${name}\n`));
  const text = new RegExp(`^\`\`\`${fence}\n(.*?)^\`\`\``, 'ms').exec(section)?.[1];
  if (text === undefined) throw new Error(`the page has no program for ${name}`);
  return text;
}
