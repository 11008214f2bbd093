import { type Command, InvalidArgumentError } from 'commander';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import type { Subject } from './acts.ts';
import { callAdmin, type Json, type Page } from './call-admin.ts';
import {
  describeRegeneration,
  describeReview,
  type ShownRegeneration,
  type ShownReview,
} from './describe-regeneration.ts';
import { presentPage, withPages } from './list-command.ts';
import { withDatabase } from './stores.ts';
import { CommandEnd, confirm, type OutputOptions, present, presentSecret, say } from './terminal.ts';

/** Object whose credential is regenerated: a client with its secret, or an access key. */
export type RegenerateSubject = Subject & {
  /** Displayed name of the credential, such as `client secret`. */
  secret: string;
  /** Member of the response that contains the credential, such as `client_secret`. */
  member: string;
};

type Confirmed = OutputOptions & { yes?: true };

type RegenerateOptions = Confirmed & {
  overlap?: number;
  finishWhenUnused?: true;
  newClientId?: true;
  revokeTokens?: true;
};

/** Adds `regenerate`, `regenerations`, `undo` and `finish` for one kind of credential. */
export function addRegenerationCommands(parent: Command, subject: RegenerateSubject): void {
  addRegenerate(parent, subject);
  addRegenerations(parent, subject);
  addEnd(parent, subject, 'undo', 'make the old one current again; the new one and its tokens are dead at once');
  addEnd(parent, subject, 'finish', 'end the overlap now: the old one is dead');
}

function addRegenerate(parent: Command, subject: RegenerateSubject): void {
  const { parameter, secret, member, example } = subject;
  const command = parent
    .command('regenerate')
    .description(`make a new ${secret}; the old one stays good through an overlap. Shows first what that would break`)
    .argument(`<${parameter}>`, `whose ${secret}`)
    .option(
      '--overlap <time>',
      'how long the old one stays good: 90s, 45m, 24h, 30d, or seconds (default: 24h)',
      duration,
    )
    .option(
      '--finish-when-unused',
      'end the overlap early, once every source uses the new one and has left the old one long enough',
    );
  // An access key is presented without an id, so only clients can get a new Client ID.
  if (member === 'client_secret')
    command.option('--new-client-id', 'a new Client ID too; the old one answers as long as its secret');
  command
    .option('--revoke-tokens', 'for a leak: every live token dies and the old one ends now')
    .option('-y, --yes', 'do not ask')
    .option('--json', `one JSON object, with regeneration_id and ${member}`)
    .addHelpText(
      'after',
      `
Examples:
  keyturn ${parent.name()} regenerate ${example}
  keyturn ${parent.name()} regenerate ${example} --overlap 7d --finish-when-unused --yes
  keyturn ${parent.name()} regenerate ${example} --revoke-tokens --yes --json | jq -r .${member}`,
    )
    .action(async (id: string, options: RegenerateOptions) => {
      await withDatabase((core) => regenerate(core, subject, id, options));
    });
}

type Regenerated = Json & { regeneration_id: string; previous: { retires_at: string } };

/** Shows the review and asks for confirmation. If the state changes in between, asks again with the new review. */
async function regenerate(
  core: Core,
  { path, parameter, secret, member }: RegenerateSubject,
  id: string,
  options: RegenerateOptions,
): Promise<void> {
  const show = (regenerated: Regenerated) => {
    const { retires_at: end } = regenerated.previous;
    const said = `The old ${secret} is good until ${end}.\nRegeneration ${regenerated.regeneration_id}; the new ${secret}:`;
    presentSecret(options, regenerated, said, String(regenerated[member]));
  };
  const params = { [parameter]: id };
  let review = await callAdmin<ShownReview>(core, `POST ${path}/regeneration/review`, { params });
  for (;;) {
    if (!options.json) say(describeReview(review));
    await confirm(`Regenerate ${id}?`, options);
    const body = {
      confirmation: review.confirmation,
      overlap_seconds: options.overlap,
      finish_when_unused: options.finishWhenUnused,
      new_client_id: options.newClientId,
      revoke_tokens: options.revokeTokens,
    };
    const route = `POST ${path}/regenerate` as const;
    const outcome = await callAdmin<Regenerated>(core, route, { params, body }, show).catch(newReviewOf);
    if (!('confirmation' in outcome)) return;
    say('Something changed in between:');
    review = outcome as ShownReview;
  }
}

function newReviewOf(error: unknown): ShownReview {
  if (!(error instanceof KeyturnError) || error.code !== 'confirmation_required') throw error;
  // Convert the review to its form over HTTP, in which dates are texts.
  return JSON.parse(JSON.stringify(error.extension?.['review'])) as ShownReview;
}

function addRegenerations(parent: Command, { path, parameter, secret, example }: RegenerateSubject): void {
  const command = parent
    .command('regenerations')
    .description(`list how the ${secret} was regenerated: who has moved, who has not, who tried after the end`)
    .argument(`<${parameter}>`, `whose ${secret}`);
  withPages(command)
    .addHelpText('after', `\nExamples:\n  keyturn ${parent.name()} regenerations ${example}`)
    .action(async (id: string, { json, ...query }: OutputOptions) => {
      const request = { params: { [parameter]: id }, query };
      const page = await withDatabase((core) =>
        callAdmin<Page<ShownRegeneration>>(core, `GET ${path}/regenerations`, request),
      );
      const text = () => page.data.map(describeRegeneration).join('\n\n') || 'There is none.';
      presentPage(json ? { json } : {}, page, text);
    });
}

function addEnd(parent: Command, subject: RegenerateSubject, verb: 'undo' | 'finish', description: string): void {
  const { path, parameter, secret, example } = subject;
  parent
    .command(verb)
    .description(`${description}; while it overlaps`)
    .argument(`<${parameter}>`, `whose ${secret}`)
    .argument('[regeneration_id]', 'which one; the one that overlaps unless given')
    .option('-y, --yes', 'do not ask')
    .option('--json', 'one JSON object: the regeneration as it is then')
    .addHelpText('after', `\nExamples:\n  keyturn ${parent.name()} ${verb} ${example} --yes`)
    .action(async (id: string, given: string | undefined, options: Confirmed) => {
      const ended = await withDatabase(async (core) => {
        const params = { [parameter]: id };
        const page = await callAdmin<Page<ShownRegeneration>>(core, `GET ${path}/regenerations`, { params });
        const found = page.data.find((one) => (given ? one.id === given : one.state === 'overlapping'));
        if (!found && !given) throw new CommandEnd(1, 'error: No regeneration overlaps now.');
        if (found && !options.json) say(describeRegeneration(found));
        await confirm(`${verb === 'undo' ? 'Undo' : 'Finish'} it?`, options);
        return await callAdmin<ShownRegeneration>(core, `POST ${path}/regenerations/{regeneration_id}/${verb}`, {
          params: { ...params, regeneration_id: given ?? found?.id },
        });
      });
      present(options, ended, () => `The regeneration is ${ended.state}.`);
    });
}

const seconds = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

function duration(value: string): number {
  const [, count = '', unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(value) ?? [];
  if (!count) throw new InvalidArgumentError('It must be a time such as 90s, 45m, 24h or 30d.');
  return Number(count) * seconds[unit as keyof typeof seconds];
}
