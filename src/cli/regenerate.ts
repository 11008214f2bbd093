import { type Command, InvalidArgumentError, Option } from 'commander';
import { authMethods } from '../clients/client.ts';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import { describeId, presentPage, type Subject, withPages } from './acts.ts';
import { callAdmin, type Json, type Page } from './call-admin.ts';
import { type KeyOptions, toReplacement, withProof } from './client-keys.ts';
import { withDatabase } from './stores.ts';
import { CommandEnd, confirm, type OutputOptions, plain, present, presentSecret, say, sheet } from './terminal.ts';

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

/** Adds `regenerate`, `regenerations`, `undo` and `finish` for one kind of credential. */
export function addRegenerationCommands(parent: Command, subject: RegenerateSubject): void {
  addRegenerate(parent, subject);
  addRegenerations(parent, subject);
  addEnd(
    parent,
    subject,
    'undo',
    `undo a rotation during its grace period: the previous ${subject.secret} becomes current again; the new one and its tokens stop working at once`,
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
      'grace period during which the previous one stays valid: 90s, 45m, 24h, 30d, or a number of seconds (default: 24h)',
      duration,
    )
    .option('--finish-when-unused', 'end the grace period early, after every source has moved to the new one');
  // An access key is presented without an id, so only clients can get a new Client ID.
  if (member === 'client_secret') {
    command.option('--new-client-id', 'also create a new Client ID; the previous one works as long as its secret');
    withProof(command).addOption(
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
  let review = await callAdmin<ShownReview>(core, `POST ${path}/regeneration/review`, request);
  for (;;) {
    if (!options.json) say(describeReview(review));
    await confirm(`Regenerate ${id}?`, options);
    const body = {
      confirmation: review.confirmation,
      ...(replace ? { replace } : {}),
      overlap_seconds: options.overlap,
      finish_when_unused: options.finishWhenUnused,
      new_client_id: options.newClientId,
      revoke_tokens: options.revokeTokens,
    };
    const route = `POST ${path}/regenerate` as const;
    const outcome = await callAdmin<Regenerated>(core, route, { params, body }, show).catch(newReviewOf);
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
    .action(async (id: string, { json, ...query }: OutputOptions) => {
      const request = { params: { [parameter]: id }, query };
      const page = await withDatabase((core) =>
        callAdmin<Page<ShownRegeneration>>(core, `GET ${path}/regenerations`, request),
      );
      const text = () => page.data.map(describeRegeneration).join('\n\n') || `The ${secret} was never regenerated.`;
      presentPage(json ? { json } : {}, page, text);
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
      const ended = await withDatabase(async (core) => {
        const params = { [parameter]: id };
        const page = await callAdmin<Page<ShownRegeneration>>(core, `GET ${path}/regenerations`, { params });
        const found = page.data.find((one) => (given ? one.id === given : one.state === 'overlapping'));
        if (!found && !given) throw new CommandEnd(1, 'error: No grace period is running.');
        if (found && !options.json) say(describeRegeneration(found));
        await confirm(
          verb === 'undo'
            ? `Undo this rotation? The new ${secret} and its tokens stop working at once.`
            : `End the grace period now? The previous ${secret} stops working at once.`,
          options,
        );
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

/** Members of a source in the admin API's responses that are displayed. */
type ShownUser = { address: string; user_agent: string; last_seen_at: string | null; tokens_24h: number };

type ShownUse = { last_used_at: string | null; used_by: ShownUser[]; used_by_others: number; tokens_24h: number };

type ShownReview = {
  confirmation: string;
  impact: ShownUse & {
    /** Absent for an access key. */
    keys?: (ShownUse & { type: string; kid: string | null; thumbprint: string; ends: boolean })[];
    live_tokens: number;
    retiring_secret: (ShownUse & { hint: string; retires_at: string }) | null;
  };
};

type ShownRegeneration = {
  id: string;
  state: string;
  hint: string;
  previous: { hint: string; retires_at: string | null };
  created_at: string;
  created_by: string;
  ended_at: string | null;
  ended_by: string | null;
  moved: ShownUser[];
  still_using_old: ShownUser[];
  tried_after_end: { address: string; user_agent: string; last_seen_at: string | null; refused: number }[];
};

/** Describes what regenerating would break. */
function describeReview({ impact }: ShownReview): string {
  const { retiring_secret: retiring } = impact;
  const lines = [
    `Last used: ${impact.last_used_at ?? 'never'}. Tokens issued in the last 24 hours: ${impact.tokens_24h}. Live tokens: ${impact.live_tokens}.`,
    impact.used_by.length === 0 ? 'Not used in the last 30 days.' : 'Used in the last 30 days by:',
    ...users(impact.used_by),
  ];
  if (impact.used_by_others > 0) lines.push(`… and ${impact.used_by_others} more`);
  for (const { type, kid, thumbprint, ends, used_by: by, last_used_at: last } of impact.keys ?? []) {
    const fate = ends ? 'stops working after the grace period' : 'keeps working';
    lines.push(plain(`${type} ${kid ?? thumbprint} ${fate}. Last used: ${last ?? 'never'}.`), ...users(by));
  }
  if (retiring) {
    lines.push(
      `A grace period is running: the previous value ${retiring.hint}, valid until ${retiring.retires_at}, would stop working at once. Used in the last 30 days by:`,
      ...(retiring.used_by.length === 0 ? ['  no source'] : users(retiring.used_by)),
    );
  }
  return lines.join('\n');
}

function describeRegeneration(regeneration: ShownRegeneration): string {
  const { previous, ended_at: endedAt, ended_by: endedBy } = regeneration;
  const lines = [
    sheet({
      regeneration: regeneration.id,
      state: regeneration.state,
      previous: `${previous.hint}${previous.retires_at ? ` until ${previous.retires_at}` : ''}`,
      new: regeneration.hint,
      created: `${regeneration.created_at} by ${regeneration.created_by}`,
      ...(endedAt ? { ended: `${endedAt} ${endedBy ? `by ${endedBy}` : 'at the end of the grace period'}` } : {}),
    }),
  ];
  const group = (title: string, rows: string[]) => rows.length > 0 && lines.push(title, ...rows);
  group('Uses the new value:', users(regeneration.moved));
  group('Still uses the previous value:', users(regeneration.still_using_old));
  group(
    'Rejected with the previous value after its end:',
    regeneration.tried_after_end.map(({ address, user_agent, last_seen_at, refused }) =>
      plain(`  ${address}  ${user_agent}  ${refused} requests, last at ${last_seen_at}`),
    ),
  );
  return lines.join('\n');
}

function users(all: readonly ShownUser[]): string[] {
  return all.map(({ address, user_agent, last_seen_at, tokens_24h }) =>
    plain(`  ${address}  ${user_agent}  last used ${last_seen_at}, ${tokens_24h} tokens in the last 24 hours`),
  );
}
