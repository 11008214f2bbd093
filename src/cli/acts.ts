import type { Command } from 'commander';
import { callAdmin, type Json } from './call-admin.ts';
import { withDatabase } from './stores.ts';
import { confirm, type OutputOptions, present, presentSecret } from './terminal.ts';

/** Kind of object that a group of commands manages: a client, an access key or a contact. */
export type Subject = {
  /** Path in the admin API, such as `/clients/{client_id}`. */
  path: `/${string}`;
  /** Name of the parameter in the path and of the commands' argument. */
  parameter: string;
  example: string;
};

type Act<Answer> = {
  name: string;
  description: string;
  method: 'GET' | 'POST' | 'DELETE';
  /** Path below the subject's path. */
  below?: `/${string}`;
  /** Returns the question that must be confirmed first, for a command that can break something. */
  question?: (id: string) => string;
  /** Returns the JSON result, for a route that responds without a body. */
  json?: (id: string) => Json;
  text: (answer: Answer, id: string) => string;
};

/** Adds a command that performs one action on one subject and takes only its id. */
export function addAct<Answer = Json>(parent: Command, subject: Subject, act: Act<Answer>): void {
  const { path, parameter, example } = subject;
  const command = parent
    .command(act.name)
    .description(act.description)
    .argument(`<${parameter}>`, describeId(parameter));
  if (act.question) command.option('-y, --yes', 'do not ask for confirmation');
  command
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `\nExamples:\n  keyturn ${parent.name()} ${act.name} ${example}${act.question ? ' --yes' : ''}`,
    )
    .action(async (id: string, options: OutputOptions & { yes?: true }) => {
      if (act.question) await confirm(act.question(id), options);
      const answer = await withDatabase((core) =>
        callAdmin<Answer>(core, `${act.method} ${path}${act.below ?? ''}`, { params: { [parameter]: id } }),
      );
      present(options, act.json?.(id) ?? answer, () => act.text(answer, id));
    });
}

/**
 * Adds `reveal`, which prints only the secret to standard output. @param member member of the response that contains
 * the secret.
 */
export function addReveal(
  parent: Command,
  { path, parameter, example }: Subject,
  { below, secret, member }: { below: `/${string}`; secret: string; member: string },
): void {
  parent
    .command('reveal')
    .description(
      `print the current ${secret} again; standard output contains only the ${secret}, and the audit log records it first`,
    )
    .argument(`<${parameter}>`, describeId(parameter))
    .option('--json', `print one JSON object with ${parameter} and ${member}`)
    .addHelpText('after', `\nExamples:\n  keyturn ${parent.name()} reveal ${example} | pbcopy`)
    .action(async (id: string, options: OutputOptions) => {
      const params = { [parameter]: id };
      const revealed = await withDatabase((core) => callAdmin<Json>(core, `POST ${path}${below}`, { params }));
      presentSecret(options, revealed, `The ${secret} of ${id}:`, String(revealed[member]));
    });
}

/** Describes the id that a command takes, by the name of its argument. */
export function describeId(parameter: string): string {
  return parameter === 'client_id' ? 'the Client ID' : `the ${parameter}`;
}
