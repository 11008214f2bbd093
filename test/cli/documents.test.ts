import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { createProgram } from '../../src/cli.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { childEnvironment } from '../child-environment.ts';
import { program } from '../program.ts';
import { createTestDatabase } from '../services.ts';
import { ended } from './run-command.ts';

const docs = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));

test('docs/command-line.md matches the commands (UPDATE_DOCS=1 writes it)', async () => {
  const page = await describeProgram();
  if (process.env['UPDATE_DOCS']) await writeFile(docs('command-line.md'), page);
  expect(await readFile(docs('command-line.md'), 'utf8')).toBe(page);
});

test('every command in docs/moving.md works, in the documented order', async () => {
  const page = await readFile(docs('moving.md'), 'utf8');
  const commands = [...page.matchAll(/^ *(keyturn .*)$/gm)].map(([, command = '']) => command);
  expect(commands).toHaveLength(6);
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-docs-'));
  const client = { client_id: 'order-sync', client_secret: generateRootKey().slice(3, 40), scope: 'orders.read' };
  await writeFile(join(directory, 'clients.json'), JSON.stringify({ items: [client] }));
  const request = { client_id: 'order-sync', scope: 'orders:read' };
  await writeFile(join(directory, 'token-requests.jsonl'), JSON.stringify(request));
  const env = {
    ...childEnvironment(),
    DATABASE_URL: await createTestDatabase(),
    KEYTURN_ROOT_KEY: generateRootKey(),
  };
  for (const command of commands) {
    const line = `keyturn() { '${process.execPath}' '${program}' "$@"; }; ${command}`;
    const child = spawn('bash', ['-c', line], { env, cwd: directory });
    child.stdin.end();
    expect({ command, ...(await ended(child)) }).toMatchObject({ command, code: 0 });
  }
  await rm(directory, { recursive: true });
});

async function describeProgram(): Promise<string> {
  const program = await createProgram();
  const groups = program.commands.filter(({ commands }) => commands.length > 0);
  const single = program.commands.filter(({ commands }) => commands.length === 0);
  return `# The command line

This page is generated from the commands. \`keyturn help COMMAND\` prints the same text with examples.

Exit codes: 0 success, 1 rejected or failed, 2 invalid command line or configuration. \`keyturn expirations\` ends with 3
if something ends that somebody must act on. \`keyturn diff\` ends with 2 if something differs, and \`keyturn apply\` with 3 if
changes must be accepted.

Results are written to standard output. If the result is a secret, standard output contains only the secret. Everything
else is written to standard error.

A command that can break a running integration asks for confirmation. Without a terminal, it requires \`--yes\`.

\`NO_COLOR\` and \`FORCE_COLOR\` are respected.

## A running server

By default, commands work directly on the stores, with the configuration of the server. With one of these options, they
call the admin API of a running server instead, with the operator token and the permissions of its contact:

- \`--url <url>\`, or \`KEYTURN_URL\`: the URL of the admin listener, such as \`https://admin.example.com\`. It must be https, except on this machine. For a private CA, set \`NODE_EXTRA_CA_CERTS\`.
- \`--token <token>\`, or \`KEYTURN_OPERATOR_TOKEN\`: the operator token. Other users of the machine can see options, so prefer the variable or a profile.
- \`--profile <name>\`, or \`KEYTURN_PROFILE\`: a profile that \`keyturn login\` has stored with URL and token, in a file with mode 0600. Its token is sent to that URL only.

A request whose answer is lost is repeated with the same Idempotency-Key, so nothing is created twice.

Some commands need the stores. They reject the options and say why: \`console link\`, \`after-restore\`, \`root-key rotate\`,
\`audit verify\`, \`audit checkpoint\` and \`audit archive\` (they use the root key), and everything that starts or checks a server. \`clients export\` leaves out the hashes of imported secrets that were not used yet, and says how many.

${single.map((command) => describeCommand(command, 'keyturn', '##')).join('\n')}
${groups
  .map(
    (group) =>
      `## keyturn ${group.name()}\n${sentence(group.description())}\n\n${group.commands
        .map((command) => describeCommand(command, `keyturn ${group.name()}`, '###'))
        .join('\n')}`,
  )
  .join('\n')}`;
}

function describeCommand(command: Command, parent: string, level: string): string {
  const help = command.createHelp();
  const words = command.registeredArguments.map((one) => (one.required ? `<${one.name()}>` : `[${one.name()}]`));
  const options = help
    .visibleOptions(command)
    .filter(({ long }) => long !== '--help')
    .map((option) => `- \`${help.optionTerm(option)}\` ${help.optionDescription(option)}`);
  const heading = [parent, command.name(), ...words].join(' ');
  const lines = [`${level} \`${heading}\``, sentence(command.description())];
  if (options.length > 0) lines.push('', ...options);
  return `${lines.join('\n')}\n`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
