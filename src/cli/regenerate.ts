import { type Command, Option } from 'commander';
import { authMethods } from '../clients/client.ts';
import { KeyturnError } from '../errors.ts';
import { proposeGracePeriod } from '../regeneration/propose-grace-period.ts';
import { describeId, nameOf, type PageOptions, presentPage, readPage, type Subject, withPages } from './acts.ts';
import { callAdmin, type Json, type Page } from './call-admin.ts';
import { type KeyOptions, toReplacement, withProof } from './client-keys.ts';
import {
  describeGracePeriod,
  describeRegeneration,
  describeReview,
  describeSource,
  type ShownRegeneration,
  type ShownReview,
} from './describe-regeneration.ts';
import { addHandoverCommand } from './handover-command.ts';
import { type Admin, withAdmin } from './stores.ts';
import { CommandEnd, confirm, duration, type OutputOptions, present, presentSecret, say, time } from './terminal.ts';

/** Object whose credential is regenerated: a client with its secret, or an access key. */
export type RegenerateSubject = Subject & {
  /** Displayed name of the credential, such as `client secret`. */
  secret: string;
  /** Member of the response that contains the credential, such as `client_secret`. */
  member: string;
};

type Confirmed = OutputOptions & { yes?: true };

type RegenerateOptions = Confirmed &
  KeyOptions & {
    overlap?: number;
    finishWhenUnused?: true;
    newClientId?: true;
    revokeTokens?: true;
  };

/** Adds `regenerate`, `handover`, `regenerations`, `undo`, `extend`, `mark-moved`, `unmark-moved` and `finish` for one kind of credential. */
export function addRegenerationCommands(parent: Command, subject: RegenerateSubject): void {
  addRegenerate(parent, subject);
  addHandoverCommand(parent, subject, subject.secret);
  addRegenerations(parent, subject);
  addEnd(
    parent,
    subject,
    'undo',
    `undo a rotation during its grace period: the previous ${subject.secret} becomes current again; the new one and its tokens stop working at once`,
  );
  addExtend(parent, subject);
  addMark(
    parent,
    subject,
    'mark-moved',
    `mark a source of the previous ${subject.secret} as moved, because it has moved or does not come back; counts until it uses the previous one again`,
  );
  addMark(
    parent,
    subject,
    'unmark-moved',
    `withdraw the mark of a source of the previous ${subject.secret}, which then counts as moved by what was seen of it alone`,
  );
  addEnd(parent, subject, 'finish', `end the grace period now: the previous ${subject.secret} stops working at once`);
}

function addRegenerate(parent: Command, subject: RegenerateSubject): void {
  const { parameter, secret, member, example } = subject;
  const command = parent
    .command('regenerate')
    .description(
      `rotate the ${secret}: generate a new one, and keep the previous one valid for a grace period; shows the impact first`,
    )
    .argument(`<${parameter}>`, describeId(parameter))
    .option(
      '--overlap <time>',
      'grace period during which the previous one stays valid: 90s, 45m, 24h, 30d, or a number of seconds (default: 24h, or more if a source pauses for longer between two uses)',
      duration,
    )
    .option('--finish-when-unused', 'end the grace period early, after every source has moved to the new one');
  // An access key is presented without an id, so only clients can get a new Client ID.
  if (member === 'client_secret') {
    command.option('--new-client-id', 'also create a new Client ID; the previous one works as long as its secret');
    withProof(command)
      .option('--trust <id>', 'workload_identity: the id of a trust of the client, instead of any secret or key')
      .addOption(
        new Option(
          '--auth-method <method>',
          'change how the client authenticates; keys and certificates are replaced by the options above',
        ).choices(authMethods),
      );
  }
  command
    .option('--revoke-tokens', `after a leak: revoke every live token and end the previous ${secret} now`)
    .option('-y, --yes', 'do not ask for confirmation')
    .option('--json', `print one JSON object with regeneration_id and ${member}`)
    .addHelpText(
      'after',
      `
Examples:
  keyturn ${parent.name()} regenerate ${example}
  keyturn ${parent.name()} regenerate ${example} --overlap 7d --finish-when-unused --yes
  keyturn ${parent.name()} regenerate ${example} --revoke-tokens --yes --json | jq -r .${member}`,
    )
    .action(async (id: string, options: RegenerateOptions) => {
      await withAdmin((admin) => regenerate(admin, subject, id, options));
    });
}

type Regenerated = Json & { regeneration_id: string; previous: { retires_at: string } };

/** Shows the review and asks for confirmation. If the state changes in between, asks again with the new review. */
async function regenerate(
  admin: Admin,
  { path, parameter, secret, member }: RegenerateSubject,
  id: string,
  options: RegenerateOptions,
): Promise<void> {
  const replace = toReplacement(options);
  const show = (regenerated: Regenerated) => {
    const { retires_at: end } = regenerated.previous;
    const done = `The previous ${replace ? 'credential' : secret} is valid until ${end}.\nRegeneration ${regenerated.regeneration_id}.`;
    // Keys and certificates are known to the caller.
    if (regenerated[member] === undefined) return present(options, regenerated, () => done);
    const said = `${done} The new ${secret}:`;
    presentSecret(options, regenerated, said, String(regenerated[member]));
  };
  const params = { [parameter]: id };
  const request = { params, ...(replace ? { body: { replace } } : {}) };
  let review = await callAdmin<ShownReview>(admin, `POST ${path}/regeneration/review`, request);
  for (;;) {
    const proposal = proposeGracePeriod(review.impact.used_by);
    const overlap = options.revokeTokens ? 0 : (options.overlap ?? proposal.seconds);
    if (!options.json) say(`${describeReview(review)}\n${describeGracePeriod(overlap, proposal)}`);
    if (!options.yes) await confirm(`Rotate the ${secret} of ${await nameOf(admin, path, params, id)}?`, options);
    const body = {
      confirmation: review.confirmation,
      ...(replace ? { replace } : {}),
      overlap_seconds: overlap,
      finish_when_unused: options.finishWhenUnused,
      new_client_id: options.newClientId,
      revoke_tokens: options.revokeTokens,
    };
    const route = `POST ${path}/regenerate` as const;
    const outcome = await callAdmin<Regenerated>(admin, route, { params, body }, show).catch(newReviewOf);
    if (!('confirmation' in outcome)) return;
    say('The state has changed since the review. The new review:');
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
    .description(
      `list the rotations of the ${secret}: which sources use the new one, which still use the previous one, and which were rejected after its end`,
    )
    .argument(`<${parameter}>`, describeId(parameter));
  withPages(command)
    .addHelpText('after', `\nExamples:\n  keyturn ${parent.name()} regenerations ${example}`)
    .action(async (id: string, { json, all, ...query }: OutputOptions & PageOptions) => {
      const request = { params: { [parameter]: id }, query };
      const page = await withAdmin((admin) =>
        readPage<ShownRegeneration>(admin, `GET ${path}/regenerations`, request, all),
      );
      if (page.data.length === 0 && !json) return say(`The ${secret} was never regenerated.`);
      presentPage(json ? { json } : {}, page, () => page.data.map(describeRegeneration).join('\n\n'));
    });
}

function addEnd(parent: Command, subject: RegenerateSubject, verb: 'undo' | 'finish', description: string): void {
  const { path, parameter, secret, example } = subject;
  parent
    .command(verb)
    .description(description)
    .argument(`<${parameter}>`, describeId(parameter))
    .argument('[regeneration_id]', 'the regeneration (default: the one whose grace period is running)')
    .option('-y, --yes', 'do not ask for confirmation')
    .option('--json', 'print the changed regeneration as one JSON object')
    .addHelpText('after', `\nExamples:\n  keyturn ${parent.name()} ${verb} ${example} --yes`)
    .action(async (id: string, given: string | undefined, options: Confirmed) => {
      const ended = await withAdmin(async (admin) => {
        const params = { [parameter]: id };
        const found = await findRunning(admin, path, params, given);
        if (found && !options.json) say(describeRegeneration(found));
        if (!options.yes) {
          const name = await nameOf(admin, path, params, id);
          await confirm(
            verb === 'undo'
              ? `Undo this rotation of ${name}? The new ${secret} and its tokens stop working at once.`
              : `End the grace period of ${name} now? The previous ${secret} stops working at once. ${describeLeft(found)}`,
            options,
          );
        }
        return await callAdmin<ShownRegeneration>(admin, `POST ${path}/regenerations/{regeneration_id}/${verb}`, {
          params: { ...params, regeneration_id: given ?? found?.id },
        });
      });
      present(options, ended, () => `The regeneration is ${ended.state}.`);
    });
}

function addExtend(parent: Command, { path, parameter, secret, example }: RegenerateSubject): void {
  parent
    .command('extend')
    .description(`let a grace period end later: the previous ${secret} works until then, at most 30 days from now`)
    .argument(`<${parameter}>`, describeId(parameter))
    .argument('[regeneration_id]', 'the regeneration (default: the one whose grace period is running)')
    .requiredOption('--until <time>', 'when the grace period ends: 2027-01-31T12:00:00Z or 2027-01-31', time)
    .option('--json', 'print the changed regeneration as one JSON object')
    .addHelpText('after', `\nExamples:\n  keyturn ${parent.name()} extend ${example} --until 2027-01-31T12:00:00Z`)
    .action(async (id: string, given: string | undefined, options: { until: Date; json?: true }) => {
      const body = { retires_at: options.until.toISOString() };
      const extended = await withAdmin(async (admin) => {
        const params = { [parameter]: id };
        const all = { ...params, regeneration_id: given ?? (await findRunning(admin, path, params, given))?.id };
        const route = `POST ${path}/regenerations/{regeneration_id}/extend` as const;
        return await callAdmin<ShownRegeneration>(admin, route, { params: all, body });
      });
      present(options, extended, () => `The previous ${secret} is valid until ${extended.previous.retires_at}.`);
    });
}

function addMark(
  parent: Command,
  { path, parameter, example }: RegenerateSubject,
  verb: 'mark-moved' | 'unmark-moved',
  description: string,
): void {
  parent
    .command(verb)
    .description(description)
    .argument(`<${parameter}>`, describeId(parameter))
    .argument('[regeneration_id]', 'the regeneration (default: the one whose grace period is running)')
    .requiredOption('--address <address>', 'the address of the source')
    .option('--user-agent <text>', 'the user agent of the source (default: none)')
    .option('--instance <name>', 'the instance that the source names (default: none)')
    .option('-y, --yes', 'do not ask for confirmation')
    .option('--json', 'print the changed regeneration as one JSON object')
    .addHelpText(
      'after',
      `\nExamples:\n  keyturn ${parent.name()} ${verb} ${example} --address 192.0.2.7 --user-agent 'sync/1.0'`,
    )
    .action(async (id: string, given: string | undefined, options: MarkOptions) => {
      const source = {
        address: options.address,
        user_agent: options.userAgent ?? '',
        instance: options.instance ?? null,
      };
      const marked = await withAdmin(async (admin) => {
        const params = { [parameter]: id };
        const found = await findRunning(admin, path, params, given);
        if (!options.yes) {
          const [which, name] = [describeSource(source, ' '), await nameOf(admin, path, params, id)];
          await confirm(
            verb === 'mark-moved'
              ? `Mark ${which} as a source of ${name} that has moved?`
              : `Withdraw the mark of ${which} as a source of ${name} that has moved?`,
            options,
          );
        }
        return await callAdmin<ShownRegeneration>(admin, `POST ${path}/regenerations/{regeneration_id}/${verb}`, {
          params: { ...params, regeneration_id: given ?? found?.id },
          body: source,
        });
      });
      present(options, marked, () => describeRegeneration(marked));
    });
}

/** Says how many sources fail if the grace period ends. */
function describeLeft(found: ShownRegeneration | undefined): string {
  const left = found?.still_using_old.length ?? 0;
  if (left === 0) return 'Every known source has moved.';
  return left === 1 ? '1 source still uses it and will fail.' : `${left} sources still use it and will fail.`;
}

type MarkOptions = Confirmed & { address: string; userAgent?: string; instance?: string };

/** Finds the regeneration with this ID, or the one whose grace period is running. */
async function findRunning(
  admin: Admin,
  path: RegenerateSubject['path'],
  params: Record<string, string>,
  given: string | undefined,
): Promise<ShownRegeneration | undefined> {
  const { data } = await callAdmin<Page<ShownRegeneration>>(admin, `GET ${path}/regenerations`, { params });
  if (given) return data.find(({ id }) => id === given);
  const found = data.find(({ state }) => state === 'overlapping');
  if (!found) throw new CommandEnd(1, 'error: No grace period is running.');
  return found;
}
