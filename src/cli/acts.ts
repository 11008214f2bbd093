import type { Command } from 'commander';
import { callAdmin, type Json } from './call-admin.ts';
import { withDatabase } from './stores.ts';
import { confirm, type OutputOptions, present, presentSecret } from './terminal.ts';

/** What the commands of a group are about: a client, an access key, a contact. */
export type Subject = {
  /** As the admin API has it: `/clients/{client_id}`. */
  path: `/${string}`;
  /** The parameter in it, which is the commands' argument too. */
  parameter: string;
  example: string;
};

type Act<Answer> = {
  name: string;
  description: string;
  method: 'GET' | 'POST' | 'DELETE';
  /** Below the subject's path. */
  below?: `/${string}`;
  /** Of what breaks things: what is asked before. */
  question?: (id: string) => string;
  /** Of what the API answers with nothing: what a program is told. */
  json?: (id: string) => Json;
  text: (answer: Answer, id: string) => string;
};

/** A command that does one thing to one subject, and takes nothing more than its id. */
export function addAct<Answer = Json>(parent: Command, subject: Subject, act: Act<Answer>): void {
  const { path, parameter, example } = subject;
  const command = parent.command(act.name).description(act.description).argument(`<${parameter}>`, 'which one');
  if (act.question) command.option('-y, --yes', 'do not ask');
  command
    .option('--json', 'one JSON object')
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

/** `reveal`: the secret again, alone on standard output. @param member of the answer that holds it. */
export function addReveal(
  parent: Command,
  { path, parameter, example }: Subject,
  { below, secret, member }: { below: `/${string}`; secret: string; member: string },
): void {
  parent
    .command('reveal')
    .description(`print the current ${secret} again, alone on standard output; the audit log says so first`)
    .argument(`<${parameter}>`, 'which one')
    .option('--json', `one JSON object, with ${parameter} and ${member}`)
    .addHelpText('after', `\nExamples:\n  keyturn ${parent.name()} reveal ${example} | pbcopy`)
    .action(async (id: string, options: OutputOptions) => {
      const params = { [parameter]: id };
      const revealed = await withDatabase((core) => callAdmin<Json>(core, `POST ${path}${below}`, { params }));
      presentSecret(options, revealed, `The ${secret} of ${id}:`, String(revealed[member]));
    });
}
