import { type Command, Option } from 'commander';
import { describeId, nameOf, type Subject } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { describeReview, type ShownReview } from './describe-regeneration.ts';
import { type Admin, withAdmin } from './stores.ts';
import { CommandEnd, confirm, duration, type OutputOptions, present, presentSecret, say, sheet } from './terminal.ts';

type Options = OutputOptions & {
  contact?: string;
  email?: string;
  expires?: number;
  overlap?: number;
  from?: 'opened' | 'created';
  finishWhenUnused?: true;
  show?: true;
  withdraw?: true;
  yes?: true;
};

type Handover = Json & {
  state: string;
  email: string;
  expires_at: string;
  created_at: string;
  created_by: string;
  ended_at: string | null;
  ended_by: string | null;
  opened: { address: string; user_agent: string } | null;
};

/** Adds `handover`, which creates, shows or withdraws a link by which a person receives a new secret. */
export function addHandoverCommand(parent: Command, { path, parameter, example }: Subject, secret: string): void {
  const route = `${path}/handover` as const;
  parent
    .command('handover')
    .description(
      `create a link by which a person receives a new ${secret}, which is generated when the link is opened; shows the impact first`,
    )
    .argument(`<${parameter}>`, describeId(parameter))
    .addOption(new Option('--contact <id>', 'the id of the contact who receives it').conflicts('email'))
    .option('--email <address>', 'the e-mail address of the person who receives it')
    .option('--expires <time>', 'how long the link can be opened, from 10m to 30d (default: 3d)', duration)
    .option('--overlap <time>', 'grace period of the previous one, from 1h to 30d (default: 24h)', duration)
    .addOption(
      new Option(
        '--from <event>',
        'when the grace period begins: when the link is opened or created (default: opened)',
      ).choices(['opened', 'created']),
    )
    .option('--finish-when-unused', 'end the grace period early, after every source has moved to the new one')
    .addOption(
      new Option('--show', 'create no link; show the latest one, and when and from where it was opened').conflicts(
        'withdraw',
      ),
    )
    .option('--withdraw', 'create no link; end the one that can be opened')
    .option('-y, --yes', 'do not ask for confirmation')
    .option('--json', 'print one JSON object with url and code')
    .addHelpText(
      'after',
      `
Examples:
  keyturn ${parent.name()} handover ${example} --email ann@example.com --overlap 7d
  keyturn ${parent.name()} handover ${example} --show`,
    )
    .action(async (id: string, options: Options) => {
      const params = { [parameter]: id };
      if (options.show) {
        const shown = await withAdmin((admin) => callAdmin<Handover>(admin, `GET ${route}`, { params }));
        return present(options, shown, () => describe(shown));
      }
      if (options.withdraw) {
        await withAdmin((admin) => callAdmin(admin, `DELETE ${route}`, { params }));
        return present(options, { ...params, withdrawn: true }, () => 'The link was withdrawn.');
      }
      if (options.contact === undefined && options.email === undefined) {
        throw new CommandEnd(2, 'error: Say who receives it with --contact or --email.');
      }
      await withAdmin((admin) => create(admin, { path, route, params, id, secret }, options));
    });
}

async function create(
  admin: Admin,
  of: { path: Subject['path']; route: `${Subject['path']}/handover`; params: Json; id: string; secret: string },
  options: Options,
): Promise<void> {
  const { path, route, params, id, secret } = of;
  const review = await callAdmin<ShownReview>(admin, `POST ${path}/regeneration/review`, { params });
  if (!options.json) say(describeReview(review));
  if (!options.yes) {
    await confirm(`Hand over a new ${secret} of ${await nameOf(admin, path, params, id)}?`, options);
  }
  const body = {
    confirmation: review.confirmation,
    contact_id: options.contact,
    email: options.email,
    expires_in: options.expires,
    overlap_seconds: options.overlap,
    grace_period_from: options.from,
    finish_when_unused: options.finishWhenUnused,
  };
  type Created = Handover & { url: string; code: string | null };
  await callAdmin<Created>(admin, `POST ${route}`, { params, body }, (created) => {
    const advice =
      created.code === null
        ? `The page of the link sends a code to ${created.email}.`
        : `Pass on the code ${created.code} by another channel than the link.`;
    presentSecret(
      options,
      created,
      `${advice} The link for ${created.email}, until ${created.expires_at}:`,
      created.url,
    );
  });
}

function describe(handover: Handover): string {
  const { opened, ended_at: endedAt, ended_by: endedBy } = handover;
  return sheet({
    state: handover.state,
    receiver: handover.email,
    created: `${handover.created_at} by ${handover.created_by}`,
    expires: handover.expires_at,
    ...(endedAt === null ? {} : { ended: `${endedAt} by ${endedBy}` }),
    ...(opened ? { 'opened from': `${opened.address} ${opened.user_agent}` } : {}),
  });
}
