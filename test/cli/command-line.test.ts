import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
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

test.each([['start'], ['clients', 'create'], ['contacts', 'operator-token']])(
  'help has examples and --json, and is no failure: keyturn %s %s',
  async (...args) => {
    const { code, stdout } = await runCommand([...args, '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Examples:\n {2}.*keyturn /);
    expect(stdout).toContain('--json');
  },
);

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

test('bash completes commands, their options and what follows an argument', async () => {
  const { stdout: script } = await runCommand(['completion', 'bash']);
  const complete = async (...words: string[]) => {
    const line = `${script}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _keyturn; echo "\${COMPREPLY[*]}"`;
    return (await promisify(execFile)('bash', ['-c', line])).stdout.trim().split(' ');
  };
  expect(await complete('keyturn', 'qu')).toEqual(['quickstart']);
  expect(await complete('keyturn', 'clients', 're')).toEqual([
    'reveal',
    'regenerate',
    'regenerations',
    'revoke-tokens',
  ]);
  expect(await complete('keyturn', 'clients', 'disable', 'kti_x', '--y')).toEqual(['--yes']);
});
