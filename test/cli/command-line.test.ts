import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { createProgram } from '../../src/cli.ts';
import { runCommand, runJson } from './run-command.ts';

describe('a command line that cannot be used', () => {
  test.each([
    { args: ['strat'], says: 'Did you mean start?' },
    { args: ['clients', 'lst'], says: 'Did you mean list?' },
    { args: ['clients', 'list', '--jsno'], says: 'Did you mean --json?' },
    { args: ['clients', 'show'], says: "missing required argument 'client_id'" },
    { args: ['clients', 'create'], says: "required option '--name <text>' not specified" },
    { args: [], says: 'Usage: keyturn' },
  ])('ends with 2 and says what would be right: keyturn $args', async ({ args, says }) => {
    const { code, stdout, stderr } = await runCommand(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(says);
  });
});

test('a misspelt variable ends with 2 and a suggestion, before anything is opened', async () => {
  const { code, stdout, stderr } = await runCommand(['start'], { KEYTURN_ISUER: 'https://id.example.com' });
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('did you mean KEYTURN_ISSUER?');
});

/** Every command that does something, by its words. */
function commandsOf(command: Command, path: readonly string[] = []): { path: readonly string[]; command: Command }[] {
  if (command.commands.length === 0) return [{ path, command }];
  return command.commands.flatMap((child) => commandsOf(child, [...path, child.name()]));
}

describe('help of every command', () => {
  test.each(commandsOf(createProgram()).map(({ path, command }) => [path.join(' '), command] as const))(
    'has examples of itself, and says whether it answers in JSON: keyturn %s',
    (path, command) => {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) });
      command.outputHelp();
      const examples = help.split('Examples:\n')[1] ?? '';
      expect(examples).toContain(`keyturn ${path}`);
      // A script is no result, and a server none either.
      if (path !== 'completion') expect(help).toContain('--json');
    },
  );

  test('is no failure', async () => {
    const { code, stdout } = await runCommand(['clients', 'create', '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:');
  });
});

describe('an empty value is refused, and does not count as "not given", "all" or "none"', () => {
  const commands = commandsOf(createProgram());
  const withValue = commands.flatMap(({ path, command }) => [
    ...command.options.filter(({ required }) => required).map(({ long }) => ({ path, more: [long as string, ''] })),
    ...command.registeredArguments.map((_, index) => ({ path, more: [...Array(index).fill('one'), ''] })),
  ]);

  test('by every command, for each of its options and arguments', async () => {
    expect(withValue.length).toBeGreaterThan(100);
    for (const { path, more } of withValue) {
      let said = '';
      const program = createProgram();
      for (const { command } of commandsOf(program)) command.configureOutput({ writeErr: (text) => (said += text) });
      const args = [...path, ...more];
      const refusal = { code: 'commander.invalidArgument' };
      await expect(program.parseAsync(args, { from: 'user' })).rejects.toMatchObject(refusal);
      expect(said).toContain('It is empty.');
    }
  });

  test('before anything is opened', async () => {
    const { code, stdout, stderr } = await runCommand(['contacts', 'update', 'some-id', '--permission', '']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain("option '--permission <permissions>' argument '' is invalid. It is empty.");
  });
});

test('colours are forced by FORCE_COLOR, and never come with NO_COLOR', async () => {
  const [forced, none] = await Promise.all([
    runCommand(['clients', 'list', '--jsno'], { FORCE_COLOR: '1' }),
    runCommand(['clients', 'list', '--jsno'], { NO_COLOR: '1' }),
  ]);
  expect(forced.stderr).toContain('\u001b[31m');
  expect(none.stderr).not.toContain('\u001b');
});

test('nothing is coloured where there is no terminal', async () => {
  const { stdout, stderr } = await runCommand(['clients']);
  expect(stdout + stderr).not.toContain('\u001b');
});

describe('root-key generate', () => {
  test('prints the key alone on standard output', async () => {
    const { code, stdout } = await runCommand(['root-key', 'generate']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^v1:[A-Za-z0-9+/]{43}=\n$/);
  });

  test('puts the next version before an earlier key, also from standard input', async () => {
    const { root_key: first } = await runJson<{ root_key: string }>(['root-key', 'generate']);
    const { stdout: second } = await runCommand(['root-key', 'generate', '--add-to', '-'], {}, `${first}\n`);
    expect(second).toMatch(/^v2:[^,]+,v1:/);
    expect(second.trim().endsWith(first)).toBe(true);
  });
});

const isInstalled = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0;

/** How each shell is asked what it would offer for a line whose last word is being typed. */
const askers: Record<string, (script: string, words: readonly string[]) => string> = {
  bash: (script, words) =>
    `${script}\nCOMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _keyturn; printf '%s\\n' "\${COMPREPLY[@]}"`,
  // Completion runs in an editor of lines alone: what it would add is caught.
  zsh: (script, words) =>
    `function compdef() {}; ${script}\nfunction compadd() { shift; local one; for one in "$@"; do [[ $one == ${words.at(-1)}* ]] && print -r -- $one; done; true }
words=(${words.join(' ')}); CURRENT=${words.length}; _keyturn`,
  fish: (script, words) => `${script}\ncomplete -C '${words.join(' ')}'`,
};

for (const [shell, ask] of Object.entries(askers)) {
  (isInstalled(shell) ? test : test.skip)(
    `${shell} completes commands, their options and what follows an argument`,
    async () => {
      const { stdout: script } = await runCommand(['completion', shell]);
      const complete = async (...words: string[]) => {
        const { stdout } = await promisify(execFile)(shell, ['-c', ask(script, words)]);
        return stdout.trim().split('\n');
      };
      expect(await complete('keyturn', 'qu')).toEqual(['quickstart']);
      expect((await complete('keyturn', 'clients', 're')).sort()).toEqual(
        ['reveal', 'regenerate', 'regenerations', 'revoke-tokens'].sort(),
      );
      expect(await complete('keyturn', 'clients', 'disable', 'kti_x', '--y')).toEqual(['--yes']);
      expect(await complete('keyturn', 'completion', 'f')).toEqual(['fish']);
    },
  );
}
