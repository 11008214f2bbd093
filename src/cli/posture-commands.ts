import { type Command, Option } from 'commander';
import { policyNames, policyStages } from '../policies/policy.ts';
import { readPage } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { CommandEnd, type OutputOptions, plain, present, say, table, wholeNumber } from './terminal.ts';

type ShownItem = Json & {
  kind: string;
  client_id: string | null;
  access_key_id: string | null;
  name: string;
  contact_name: string | null;
  score: number;
  findings: { kind: string; stage: string | null; message: string }[];
};

type ShownPolicy = Json & {
  organization_id: string;
  name: string;
  stage: string;
  days: number | null;
  requirement: string;
};

export function addPostureCommand(program: Command): void {
  program
    .command('posture')
    .description('rank clients and access keys by the risk of their credentials, the worst first; changes nothing')
    .option('--organization <id>', 'only those of this organization')
    .option('--all', 'also those that violate no policy in the stage warn or enforce')
    .option('--json', 'print one JSON object with data')
    .addHelpText(
      'after',
      `
Examples:
  keyturn posture
  keyturn posture --json | jq -r '.data[] | [.score, .name] | @tsv'

The exit code is 3 if something violates a policy that is in the stage warn or enforce, so that a scheduled job can report
it. Otherwise it is 0.`,
    )
    .action(async ({ json, organization, all }: OutputOptions & { organization?: string; all?: true }) => {
      const page = await withAdmin((admin) =>
        readPage<ShownItem>(admin, 'GET /posture', { query: { organization_id: organization } }, true),
      );
      const warned = page.data.filter(({ findings }) =>
        findings.some(({ stage }) => stage !== null && stage !== 'report'),
      );
      const shown = all || json ? page.data : warned;
      if (shown.length === 0 && !json) say('Nothing violates a policy that is in the stage warn or enforce.');
      else present(json ? { json } : {}, { data: page.data }, () => describe(shown));
      if (warned.length > 0) throw new CommandEnd(3);
    });
}

function describe(items: readonly ShownItem[]): string {
  return table(
    ['score', 'kind', 'name', 'id', 'findings'],
    items.map((item) => [
      String(item.score),
      item.kind.replaceAll('_', ' '),
      plain(item.contact_name === null ? item.name : `${item.name} (${item.contact_name})`),
      item.client_id ?? item.access_key_id ?? '',
      item.findings.map(({ message }) => message).join(' '),
    ]),
  );
}

/** Adds the commands for policies. */
export function addPolicyCommands(group: Command): void {
  group
    .command('list')
    .description('list the policies that are set')
    .option('--organization <id>', 'those of the deployment and of this organization')
    .option('--json', 'print one JSON object with data')
    .addHelpText('after', '\nExamples:\n  keyturn policies list')
    .action(async (options: OutputOptions & { organization?: string }) => {
      const query = { organization_id: options.organization };
      const list = await withAdmin((admin) => callAdmin<{ data: ShownPolicy[] }>(admin, 'GET /policies', { query }));
      if (list.data.length === 0 && !options.json) return say('No policy is set.');
      present(options, list, () =>
        table(
          ['organization', 'policy', 'stage', 'requirement'],
          list.data.map((policy) => [policy.organization_id, policy.name, policy.stage, policy.requirement]),
        ),
      );
    });
  group
    .command('set')
    .description('set, change or remove a policy')
    .argument('<name>', `the policy: ${policyNames.join(', ')}`)
    .addOption(
      new Option('--stage <stage>', 'report: posture only; warn: also answers; enforce: reject acts; off: no policy')
        .choices([...policyStages, 'off'])
        .makeOptionMandatory(),
    )
    .option('--days <number>', 'the limit of secret_age and unused', wholeNumber)
    .option('--grace-days <number>', 'the grace period of rotations that secret_age opens (default: 14)', wholeNumber)
    .option('--organization <id>', 'the organization that it is for (default: all)')
    .option('--json', 'print one JSON object with policy')
    .addHelpText(
      'after',
      '\nExamples:\n  keyturn policies set owner_required --stage warn\n  keyturn policies set secret_age --stage enforce --days 365 --grace-days 30',
    )
    .action(async (name: string, options: SetOptions) => {
      const body = {
        organization_id: options.organization,
        stage: options.stage,
        days: options.days,
        grace_days: options.graceDays,
      };
      const request = { params: { name }, body };
      const answer = await withAdmin((admin) =>
        callAdmin<{ policy?: ShownPolicy }>(admin, 'PATCH /policies/{name}', request),
      );
      present(options, answer, () =>
        answer.policy ? `${name} (${answer.policy.stage}): ${answer.policy.requirement}` : `The policy ${name} is off.`,
      );
    });
}

type SetOptions = OutputOptions & { stage: string; days?: number; graceDays?: number; organization?: string };
