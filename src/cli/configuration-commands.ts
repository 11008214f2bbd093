import { type Command, InvalidArgumentError, Option } from 'commander';
import { readVariable } from '../config.ts';
import { KeyturnError } from '../errors.ts';
import { callAdmin, callPlainly, type Json } from './call-admin.ts';
import type { FileDocument } from './configuration-files.ts';
import { openSecretsOutput } from './configuration-secrets.ts';
import { type Admin, withAdmin } from './stores.ts';
import { CommandEnd, collect, type OutputOptions, paint, plain, present, print, say, toJson } from './terminal.ts';

type Change = {
  id: string;
  kind: string;
  name: string;
  organization: string | null;
  action: 'create' | 'update' | 'delete';
  fields: { field: string; before: unknown; after: unknown }[];
  cuts: { what: string; used_by: { name: string; last_used_at: string }[] }[];
  needs_acceptance: boolean;
  needs_approval: boolean;
  lacks: string | null;
};
type Plan = { changes: Change[]; fingerprint: string };
type Applied = Plan & { id: string; secrets: Json[]; secrets_not_shown: number };

type FileOptions = OutputOptions & { file: string[]; prune?: true };
type ApplyOptions = FileOptions & { accept?: string[]; plan?: string; secretsTo?: string; secretsFd?: number };

/** Adds the commands of configuration as code. */
export function addConfigurationCommands(program: Command): void {
  addDiff(program);
  addApply(program);
  addExport(program);
  program
    .command('schema')
    .description('print the JSON Schema of a document of a configuration, for editors')
    .addHelpText('after', '\nExamples:\n  keyturn schema > keyturn.schema.json')
    .action(async () => {
      const { configurationSchema } = await import('../admin/configuration/configuration-kinds.ts');
      print(toJson(configurationSchema()));
    });
}

function addDiff(program: Command): void {
  withFiles(program.command('diff'))
    .description('show what `apply` would change, and who uses what it would cut; changes nothing')
    .option('--json', 'print one JSON object with changes and fingerprint')
    .addHelpText(
      'after',
      `
Examples:
  keyturn diff -f configuration
  keyturn --url https://admin.example.com diff -f configuration --prune --json

The exit code is 0 if nothing would change, 3 if something would, 1 if a file is rejected, and 2 for a wrong command line.
A token that may only view integrations is enough; the output says which permissions it lacks for the changes.`,
    )
    .action(async (options: FileOptions) => {
      const plan = await withAdmin((admin) => send<Plan>(admin, 'POST /configuration/plan', options, {}));
      present(options, plan, () => describePlan(plan));
      if (plan.changes.length > 0) throw new CommandEnd(3);
    });
}

function addApply(program: Command): void {
  withFiles(program.command('apply'))
    .description('make the server have what files say: all changes, or none')
    .option(
      '--accept <id>',
      'accept a change that deletes something or cuts something in use, by its ID in the output of diff; `all` for every one; repeatable',
      collect,
    )
    .option('--plan <fingerprint>', 'apply only the changes of this plan, as `diff` has printed it')
    .addOption(
      new Option(
        '--secrets-to <file>',
        'write the generated secrets to this new file, which only you can read',
      ).conflicts('secretsFd'),
    )
    .option('--secrets-fd <number>', 'write the generated secrets to this open file descriptor', fileDescriptor)
    .option('--json', 'print one JSON object with changes, fingerprint and id; never secrets')
    .addHelpText(
      'after',
      `
Examples:
  keyturn apply -f configuration
  keyturn apply -f configuration --secrets-to new-secrets.json
  keyturn apply -f configuration --prune --accept 9f2c41d0 --plan 3Jq0vXb1nLr7pHs0cJd2fGy8aUe4iRo6tWqYxV3kTz9

The exit code is 3 if changes delete something, or cut what was used in the last 30 days, and were not accepted. It is 4 if
a second person has to approve changes: the requests are made, and the same command carries the changes out once they are
approved. Nothing is changed then, and neither if a file is rejected. Secrets are printed nowhere unless --secrets-to or --secrets-fd is given.`,
    )
    .action(async (options: ApplyOptions) => {
      const output = openSecretsOutput(options);
      try {
        const more = { accept: options.accept, fingerprint: options.plan, show_secrets: output !== undefined };
        const applied = await withAdmin((admin) =>
          send<Applied>(admin, 'POST /configuration/apply', options, more, ({ secrets }) => output?.write(secrets)),
        );
        const { secrets: _written, ...shown } = applied;
        present(options, shown, () => describePlan(applied));
        if (applied.secrets_not_shown > 0) say(`${applied.secrets_not_shown} ${hiddenSecrets}`);
      } catch (error) {
        output?.discard();
        throw error;
      }
    });
}

const hiddenSecrets =
  'of the generated secrets are shown nowhere. Hand them over with `keyturn clients handover`, show them with `keyturn clients reveal`, or write those of the next apply with --secrets-to.';

function addExport(program: Command): void {
  program
    .command('export')
    .description('write everything that you see as files for `apply`')
    .requiredOption('-f, --file <folder>', 'a new or empty folder')
    .option('--json', 'print the names of the files as one JSON object')
    .addHelpText('after', '\nExamples:\n  keyturn export -f configuration')
    .action(async (options: OutputOptions & { file: string }) => {
      const { writeFiles } = await import('./configuration-files.ts');
      const { configurationSchema } = await import('../admin/configuration/configuration-kinds.ts');
      const { documents, warnings } = await withAdmin((admin) =>
        callAdmin<{ documents: Json[]; warnings: string[] }>(admin, 'GET /configuration', {}),
      );
      const files = writeFiles(options.file, documents, configurationSchema());
      for (const warning of warnings) say(`warning: ${plain(warning)}`);
      present(options, { files, warnings }, () => files.join('\n'));
    });
}

function withFiles(command: Command): Command {
  return command
    .requiredOption('-f, --file <path>', 'a folder or a file in YAML or JSON; repeatable', collectPaths)
    .option('--prune', 'also delete what you see and what no file has');
}

function collectPaths(path: string, earlier: readonly string[] = []): string[] {
  return [...earlier, path];
}

function fileDescriptor(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('It must be the number of an open file descriptor.');
  return Number(text);
}

/** Sends the documents of files. @throws {CommandEnd} that names files and lines; 3 or 4 as `apply`. */
async function send<Body>(
  admin: Admin,
  route: 'POST /configuration/plan' | 'POST /configuration/apply',
  options: FileOptions,
  more: Json,
  beforeCommit?: (answer: Body) => void,
): Promise<Body> {
  const { readFiles } = await import('./configuration-files.ts');
  const files = readFiles(options.file);
  const documents = files.map(withSecret);
  try {
    return await callPlainly<Body>(admin, route, { body: { documents, prune: options.prune, ...more } }, beforeCommit);
  } catch (error) {
    if (!(error instanceof KeyturnError)) throw error;
    if (error.code === 'acceptance_required') {
      const plan = error.extension?.['review'] as Plan;
      present(options, plan, () => describePlan(plan));
      throw new CommandEnd(3, `error: ${error.message} Nothing was changed.`);
    }
    if (error.code === 'approval_required') {
      const { approvals, review } = error.extension as { approvals: Requested[]; review: Plan };
      present(options, { ...review, approvals }, () => describePlan(review));
      throw new CommandEnd(4, describeRequests(error.message, approvals));
    }
    const issues = error.extension?.['issues'] as { path: string; message: string }[] | undefined;
    if (!issues) throw error;
    throw new CommandEnd(1, issues.map((issue) => `error: ${placeOf(files, issue)}`).join('\n'));
  }
}

type Requested = { id: string; act: string; name: string };

function describeRequests(message: string, approvals: readonly Requested[]): string {
  const lines = approvals.map(({ id, act, name }) => `  keyturn approvals approve ${id}   (${act}: ${plain(name)})`);
  const how =
    approvals.length === 0 ? [] : ['  the second person, here or on the page “Approvals” of the console:', ...lines];
  return [`error: ${message} Nothing was changed.`, ...how].join('\n');
}

function placeOf(files: readonly FileDocument[], { path, message }: { path: string; message: string }): string {
  const [, index, member = ''] = /^documents\.(\d+)(?:\.(.*))?$/.exec(path) ?? [];
  const file = index === undefined ? undefined : files[Number(index)];
  if (!file) return `${path}: ${message}`;
  const place = file.place(member.split('.').filter(Boolean));
  return `${place}: ${member === '' ? '' : `${member}: `}${message}`;
}

/** Adds the secret of an identity provider from the environment. @throws {CommandEnd} 1 if a file contains it. */
function withSecret({ value, place }: FileDocument): Json {
  if (value['kind'] !== 'identity_provider') return value;
  if ('client_secret' in value) {
    throw new CommandEnd(
      1,
      `error: ${place(['client_secret'])}: client_secret: secrets are not read from files. Name an environment variable with client_secret_env.`,
    );
  }
  const variable = value['client_secret_env'];
  const secret = typeof variable === 'string' ? readVariable(variable) : undefined;
  return secret === undefined ? value : { ...value, client_secret: secret };
}

const signs = { create: '+', update: '~', delete: '-' } as const;
const colors = { create: 'green', update: 'yellow', delete: 'red' } as const;

function describePlan({ changes, fingerprint }: Plan): string {
  if (changes.length === 0) return 'Nothing changes.';
  const count = (action: Change['action']) => changes.filter((change) => change.action === action).length;
  const sum = `${count('create')} to create, ${count('update')} to change, ${count('delete')} to delete. Plan ${fingerprint}`;
  return [...changes.map(describeChange), sum].join('\n');
}

function describeChange({ id, kind, name, organization, action, fields, cuts, lacks, ...change }: Change): string {
  const head = `${signs[action]} ${kind} ${JSON.stringify(name)}${organization === null ? '' : ` (${organization})`}`;
  const lines = fields.map(({ field, before, after }) =>
    action === 'create' ? `${field}: ${shown(after)}` : `${field}: ${shown(before)} → ${shown(after)}`,
  );
  for (const { what, used_by: users } of cuts) {
    lines.push(`! ${what}`);
    lines.push(...users.map((user) => `  used by ${user.name}, last at ${user.last_used_at}`));
  }
  if (change.needs_approval) lines.push('! a second person has to approve this; apply requests it');
  if (change.needs_acceptance) lines.push(`! accept with --accept ${id}`);
  if (lacks !== null) lines.push(`! ${lacks}`);
  return [paint(colors[action], plain(head)), ...lines.map((line) => `    ${plain(line)}`)].join('\n');
}

const longest = 100;

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null';
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}
