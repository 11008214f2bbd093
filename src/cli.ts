import { readFileSync } from 'node:fs';
import { type Argument, Command, CommanderError, Help, InvalidArgumentError, type Option } from 'commander';
import { addAgentCommand } from './cli/agent/agent-command.ts';
import { setApproval, setOptions } from './cli/call-admin.ts';
import { addCompletionCommand } from './cli/completion.ts';
import { addConfigurationCommands } from './cli/configuration-commands.ts';
import { addDoctorCommand } from './cli/doctor.ts';
import { addExpirationsCommand } from './cli/expirations-command.ts';
import { addExplainCommand } from './cli/explain-command.ts';
import {
  addAfterRestoreCommand,
  addConsoleCommands,
  addHealthCommand,
  addMigrateCommand,
  addStartCommand,
} from './cli/operation.ts';
import { addPostureCommand } from './cli/posture-commands.ts';
import { addQuickstartCommand } from './cli/quickstart.ts';
import { setRemoteOptions } from './cli/remote-server.ts';
import { addSearchCommand } from './cli/search-command.ts';
import { addSignInCommands } from './cli/sign-in-commands.ts';
import { addStatusCommand } from './cli/status.ts';
import { CommandEnd, type ExitCode, OutputFailed, paint, say } from './cli/terminal.ts';
import { readConfig } from './config.ts';
import { KeyturnError, StoreUnavailable } from './errors.ts';

/**
 * Runs a command. Commands call the same functions as the admin API, directly on the stores.
 * @returns the exit code: 0 for success, 1 for an operation that was rejected or failed, 2 for an unusable command line
 * or configuration, 3 if `diff`, `expirations` or `posture` has found something or `apply` needs acceptance, 4 if `apply`
 * needs the approval of a second person.
 */
export async function runCli(args: readonly string[]): Promise<ExitCode> {
  // Help and usage are written by commander. A reader that stops early, such as `head`, is not a failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') say(`error: Standard output cannot be written: ${error.code}.`);
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
  // If standard error has no reader, the exit code still reports the result.
  process.stderr.on('error', () => undefined);
  try {
    await createProgramInParts().parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    return endWith(error);
  }
}

/** Groups of commands. A group is loaded only if one of its commands is called, so that the others start faster. */
const groups: Readonly<Record<string, { description: string; load(): Promise<(group: Command) => void> }>> = {
  clients: {
    description: 'integrations and resource servers',
    load: async () => (await import('./cli/clients.ts')).addClientCommands,
  },
  organizations: {
    description: 'customers and partners, to which contacts and integrations belong, and their limits',
    load: async () => (await import('./cli/organizations.ts')).addOrganizationCommands,
  },
  contacts: {
    description: 'people and partners, including operators, who have permissions and an operator token',
    load: async () => (await import('./cli/contacts.ts')).addContactCommands,
  },
  'operator-tokens': {
    description: 'operator tokens with a name and an end, for programs and the command line',
    load: async () => (await import('./cli/operator-token-commands.ts')).addOperatorTokenCommands,
  },
  policies: {
    description: 'rules about credentials, and what follows from violating them',
    load: async () => (await import('./cli/posture-commands.ts')).addPolicyCommands,
  },
  'identity-providers': {
    description: 'where people sign in: OpenID Providers, and what their claims allow',
    load: async () => (await import('./cli/identity-provider-commands.ts')).addIdentityProviderCommands,
  },
  approvals: {
    description: 'requests for the approval of a second person, and which acts need one',
    load: async () => (await import('./cli/approval-commands.ts')).addApprovalCommands,
  },
  invitations: {
    description: 'links that sign people in for the first time, once',
    load: async () => (await import('./cli/invitation-commands.ts')).addInvitationCommands,
  },
  passkeys: {
    description: 'passkeys with which people sign in',
    load: async () => (await import('./cli/passkey-commands.ts')).addPasskeyCommands,
  },
  sessions: {
    description: 'the sessions of people in the console',
    load: async () => (await import('./cli/session-commands.ts')).addSessionCommands,
  },
  portal: {
    description: 'the portal, in which people of an organization serve themselves',
    load: async () => (await import('./cli/portal-commands.ts')).addPortalCommands,
  },
  trusts: {
    description: 'issuers of workload identities, whose tokens stand for integrations without any secret',
    load: async () => (await import('./cli/trust-commands.ts')).addTrustCommands,
  },
  'access-keys': {
    description: 'access keys: what a contact may do, by kind of information',
    load: async () => (await import('./cli/access-keys.ts')).addAccessKeyCommands,
  },
  audit: {
    description: 'the audit log: who did what',
    load: async () => (await import('./cli/audit.ts')).addAuditCommands,
  },
  notices: {
    description: 'what people and programs were told, and the state of the deliveries',
    load: async () => (await import('./cli/notice-commands.ts')).addNoticeCommands,
  },
  webhooks: {
    description: 'receivers of events over HTTP, their signing secrets, and what was delivered',
    load: async () => (await import('./cli/webhooks.ts')).addWebhookCommands,
  },
  leaks: {
    description: 'leaked credentials: secrets, access keys and tokens of this server in texts',
    load: async () => (await import('./cli/leaks.ts')).addLeakCommands,
  },
  moving: {
    description: 'preparations for a move from another server',
    load: async () => (await import('./cli/moving/rehearse-command.ts')).addMovingCommands,
  },
  'signing-keys': {
    description: 'the keys that sign JWT access tokens',
    load: async () => (await import('./cli/signing-key-commands.ts')).addSigningKeyCommands,
  },
  'root-key': {
    description: 'the key that protects everything in the database',
    load: async () => (await import('./cli/root-key.ts')).addRootKeyCommands,
  },
};

/** Creates the program with every command. Completion and the documentation of commands are generated from it too. */
export async function createProgram(): Promise<Command> {
  const program = createProgramInParts();
  for (const group of program.commands) await loadGroup(group);
  return program;
}

/** Adds the commands of a group, if it is one and has none yet. */
async function loadGroup(group: Command): Promise<void> {
  if (group.commands.length > 0) return;
  const add = await groups[group.name()]?.load();
  add?.(group);
  refuseEmptyValues(group);
}

function createProgramInParts(): Command {
  const program = new Command('keyturn')
    .description('OAuth 2 client credentials that can be regenerated without breaking an integration')
    .version(readVersion(), '-V, --version', 'print the version')
    .helpCommand(false)
    .option(
      '--url <url>',
      'call the admin API of this running server instead of the stores, such as https://admin.example.com',
    )
    .option(
      '--token <token>',
      'the operator token for it; other users of the machine can see it, so prefer KEYTURN_OPERATOR_TOKEN',
    )
    .option(
      '--approval <id>',
      'the id of the approved request for this act, if it needs the approval of a second person',
    )
    .option('--profile <name>', 'call the server of a profile that `keyturn login` has stored')
    .configureHelp({
      showGlobalOptions: false,
      sortSubcommands: false,
      visibleOptions: (command) => requiredFirst(new Help().visibleOptions(command)),
      optionDescription: (option) => `${new Help().optionDescription(option)}${option.mandatory ? ' (required)' : ''}`,
    })
    .configureOutput({ outputError: (text, write) => write(paint('red', text, process.stderr)) })
    .showHelpAfterError('(add --help for details)')
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  keyturn quickstart
  keyturn contacts create --name 'Ann Operator' --email ann@example.com --permission all --operator-token
  keyturn clients create --name 'Order sync' --scope 'orders:read orders:create'

The configuration is read from environment variables (KEYTURN_…, DATABASE_URL, REDIS_URL). \`keyturn doctor\` checks it.
Exit codes: 0 success, 1 rejected or failed, 2 invalid command line or configuration. \`help\` of a command names others.`,
    );
  addStartCommand(program);
  addMigrateCommand(program);
  addDoctorCommand(program);
  addHealthCommand(program);
  addQuickstartCommand(program);
  addStatusCommand(program);
  addExpirationsCommand(program);
  addPostureCommand(program);
  addSearchCommand(program);
  addExplainCommand(program);
  addAgentCommand(program);
  addConfigurationCommands(program);
  for (const [name, { description }] of Object.entries(groups)) program.command(name).description(description);
  addConsoleCommands(program);
  addAfterRestoreCommand(program);
  addSignInCommands(program);
  addCompletionCommand(program, createProgram);
  addHelpCommand(program);
  program.hook('preSubcommand', (_, command) => loadGroup(command));
  // `console link` has a --url of its own: where the browser reaches the console.
  program.hook('preAction', (_, command) => {
    setOptions(command);
    setApproval(command.optsWithGlobals()['approval']);
    const isOther = command.name() === 'link' && command.parent?.name() === 'console';
    setRemoteOptions(isOther ? {} : command.optsWithGlobals());
  });
  refuseEmptyValues(program);
  return program;
}

function requiredFirst(options: readonly Option[]): Option[] {
  return [...options.filter(({ mandatory }) => mandatory), ...options.filter(({ mandatory }) => !mandatory)];
}

function addHelpCommand(program: Command): void {
  program
    .command('help')
    .description('show the help of a command')
    .argument('[command...]', 'the words of the command, such as clients create')
    .addHelpText('after', '\nExamples:\n  keyturn help clients create')
    .action(async (words: string[]) => {
      let shown = program;
      for (const word of words) {
        const below = shown.commands.find((command) => command.name() === word);
        if (!below) throw new CommandEnd(2, `error: There is no command "${words.join(' ')}". See \`keyturn help\`.`);
        await loadGroup(below);
        shown = below;
      }
      shown.outputHelp();
    });
}

function endWith(error: unknown): ExitCode {
  // Commander has already written the error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof OutputFailed && error.isClosed) return 0;
  if (error instanceof CommandEnd) {
    if (error.message) say(paint('red', error.message, process.stderr));
    return error.exitCode;
  }
  say(paint('red', `error: ${messageOf(error)}`, process.stderr));
  return 1;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const lines = [error.message];
  if (error instanceof KeyturnError) {
    // The person who runs the command may know which store failed, and why.
    if (error.detail && (isDebugging() || error instanceof StoreUnavailable)) lines.push(error.detail);
    for (const issue of (error.extension?.['issues'] ?? []) as { path: string; message: string }[]) {
      lines.push(`  ${issue.path}: ${issue.message}`);
    }
  }
  if (isDebugging() && error.stack) lines.push(error.stack);
  return lines.join('\n');
}

function isDebugging(): boolean {
  try {
    return ['debug', 'trace'].includes(readConfig().logLevel);
  } catch {
    return false;
  }
}

function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}

/**
 * Makes every option and argument of a command and of its subcommands reject an empty value. An empty value usually
 * comes from a shell variable that is not set, and must not count as "not given", "all" or "none".
 */
function refuseEmptyValues(command: Command): void {
  for (const option of command.options) {
    if (option.required || option.optional) refuseEmpty(option, 'Omit the option, or give it a value.');
  }
  for (const argument of command.registeredArguments) refuseEmpty(argument, 'Give it a value.');
  for (const below of command.commands) refuseEmptyValues(below);
}

function refuseEmpty(one: Option | Argument, whatToDo: string): void {
  const parse = one.parseArg;
  one.parseArg = <T>(value: string, earlier: T): T => {
    if (value.trim() === '') throw new InvalidArgumentError(`It is empty. ${whatToDo}`);
    if (parse) return parse(value, earlier as never) as T;
    return (one.variadic ? [...(Array.isArray(earlier) ? earlier : []), value] : value) as T;
  };
}
