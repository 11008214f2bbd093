import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { createProgram } from '../../src/cli.ts';
import { type ProgramName, testWith } from '../programs.ts';
import { runCommand, runJson } from './run-command.ts';

describe('an unusable command line', () => {
  test.each([
    { args: ['strat'], says: 'Did you mean start?' },
    { args: ['clients', 'lst'], says: 'Did you mean list?' },
    { args: ['clients', 'list', '--jsno'], says: 'Did you mean --json?' },
    { args: ['clients', 'show'], says: "missing required argument 'client_id'" },
    { args: ['clients', 'create'], says: "required option '--name <text>' not specified" },
    { args: [], says: 'Usage: keyturn' },
  ])('exits with 2 and says how to correct it: keyturn $args', async ({ args, says }) => {
    const { code, stdout, stderr } = await runCommand(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(says);
  });
});

test('a misspelt variable exits with 2 and a suggestion before any store is opened', async () => {
  const { code, stdout, stderr } = await runCommand(['start'], { KEYTURN_ISUER: 'https://id.example.com' });
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('did you mean KEYTURN_ISSUER?');
});

/** Returns every command without subcommands, with the words that call it. */
function commandsOf(command: Command, path: readonly string[] = []): { path: readonly string[]; command: Command }[] {
  if (command.commands.length === 0) return [{ path, command }];
  return command.commands.flatMap((child) => commandsOf(child, [...path, child.name()]));
}

const commands = commandsOf(await createProgram());

describe('the help of every command', () => {
  test.each(commands.map(({ path, command }) => [path.join(' '), command] as const))(
    'has examples of the command and mentions --json if it prints a result: keyturn %s',
    (path, command) => {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) });
      command.outputHelp();
      const examples = help.split('Examples:\n')[1] ?? '';
      expect(examples).toContain(`keyturn ${path}`);
      // Completion prints a script, help a text, and schema always JSON.
      if (!['completion', 'help', 'schema'].includes(path)) expect(help).toContain('--json');
    },
  );

  test('exits with 0', async () => {
    const { code, stdout } = await runCommand(['clients', 'create', '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:');
  });
});

describe('an empty value is rejected and does not mean "not given", "all" or "none"', () => {
  /** Commander checks options that must be given before it reads arguments. */
  const mandatory = ({ options }: Command) =>
    options.flatMap(({ mandatory: isMandatory, long, argChoices }) =>
      isMandatory ? [long as string, argChoices?.[0] ?? '2027-01-31'] : [],
    );
  const withValue = commands.flatMap(({ path, command }) => [
    ...command.options.filter(({ required }) => required).map(({ long }) => ({ path, more: [long as string, ''] })),
    ...command.registeredArguments.map((_, index) => ({
      path,
      more: [...mandatory(command), ...Array<string>(index).fill('one'), ''],
    })),
  ]);

  test('by every command, for each of its options and arguments', async () => {
    expect(withValue.length).toBeGreaterThan(100);
    for (const { path, more } of withValue) {
      let said = '';
      const program = await createProgram();
      for (const command of [program, ...commandsOf(program).map((one) => one.command)]) {
        command.configureOutput({ writeErr: (text) => (said += text) });
      }
      const args = [...path, ...more];
      const refusal = { code: 'commander.invalidArgument' };
      await expect(program.parseAsync(args, { from: 'user' })).rejects.toMatchObject(refusal);
      expect(said).toContain('It is empty.');
    }
  });

  test('before any store is opened', async () => {
    const { code, stdout, stderr } = await runCommand(['contacts', 'update', 'some-id', '--permission', '']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain("option '--permission <permissions>' argument '' is invalid. It is empty.");
  });
});

test('no command repeats a secret that is given in place of a file, or that a malformed file contains', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyturn-files-'));
  const file = (name: string, content: string) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const key = file('key.json', '{"keys":[{"kty":"EC","d":"tulip"x}]}');
  const yaml = file('client.yaml', 'kind: client\nname: x\nclient_secret: "orchid" tulip\n');
  const secretFile = ['--client-secret-file', 'tulip'];
  for (const args of [
    ['leaks', 'check', 'tulip'],
    ['trusts', 'test', 'tulip'],
    ['webhooks', 'listen', '--secret-file', 'tulip'],
    [
      'identity-providers',
      'create',
      '--name',
      'x',
      '--issuer',
      'https://id.example',
      '--client-id',
      'x',
      ...secretFile,
    ],
    ['clients', 'create', '--name', 'x', '--auth-method', 'private_key_jwt', '--jwks', key],
    ['diff', '-f', yaml],
  ]) {
    const { code, stdout, stderr } = await runCommand(args);
    expect({ args, code, stdout, stderr }).toEqual({
      args,
      code: expect.any(Number),
      stdout: '',
      stderr: expect.stringMatching(/The file|client\.yaml:3/),
    });
    expect(code).not.toBe(0);
    expect(stderr).not.toMatch(/tulip|orchid/);
  }
  rmSync(directory, { recursive: true });
});

test('FORCE_COLOR forces colours and NO_COLOR disables them', async () => {
  const [forced, none] = await Promise.all([
    runCommand(['clients', 'list', '--jsno'], { FORCE_COLOR: '1' }),
    runCommand(['clients', 'list', '--jsno'], { NO_COLOR: '1' }),
  ]);
  expect(forced.stderr).toContain('\u001b[31m');
  expect(none.stderr).not.toContain('\u001b');
});

test('output is not coloured without a terminal', async () => {
  const { stdout, stderr } = await runCommand(['clients']);
  expect(stdout + stderr).not.toContain('\u001b');
});

describe('root-key generate', () => {
  test('prints only the key on standard output', async () => {
    const { code, stdout } = await runCommand(['root-key', 'generate']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^v1:[A-Za-z0-9+/]{43}=\n$/);
  });

  test('adds the next version in front of an earlier key, also from standard input', async () => {
    const { root_key: first } = await runJson<{ root_key: string }>(['root-key', 'generate']);
    const { stdout: second } = await runCommand(['root-key', 'generate', '--add-to', '-'], {}, `${first}\n`);
    expect(second).toMatch(/^v2:[^,]+,v1:/);
    expect(second.trim().endsWith(first)).toBe(true);
  });
});

/** Commands that print the completions of each shell for a line whose last word is being typed. */
const askers: [shell: ProgramName, ask: (script: string, words: readonly string[]) => string][] = [
  [
    'bash',
    (script, words) =>
      `${script}\nCOMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _keyturn; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ],
  // Completion in zsh runs only inside its line editor, so capture what it would add.
  [
    'zsh',
    (script, words) =>
      `function compdef() {}; ${script}\nfunction compadd() { shift; local one; for one in "$@"; do [[ $one == ${words.at(-1)}* ]] && print -r -- $one; done; true }
words=(${words.join(' ')}); CURRENT=${words.length}; _keyturn`,
  ],
  ['fish', (script, words) => `${script}\ncomplete -C '${words.join(' ')}'`],
];

for (const [shell, ask] of askers) {
  testWith(shell)(`${shell} completes commands, their options and the options after an argument`, async () => {
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
  });
}
