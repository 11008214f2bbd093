import { type Command, Option } from 'commander';
import { addAct, addListCommand, type PageOptions, presentPage, readPage, withPages } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { addListenCommand, type ShownDelivery } from './listen-command.ts';
import { withAdmin } from './stores.ts';
import {
  CommandEnd,
  collect,
  duration,
  type OutputOptions,
  present,
  presentSecret,
  sheet,
  table,
  time,
} from './terminal.ts';

/** Members of the admin API's webhook that are displayed. */
type ShownWebhook = Json & {
  id: string;
  name: string;
  organization_id: string;
  url: string;
  kinds: string[] | null;
  status: string;
  disabled_as: string | null;
  failing_since: string | null;
  last_failure: string | null;
  last_success_at: string | null;
  signing_secrets: { hint: string; retires_at: string | null }[];
  created_at: string;
};

type FieldOptions = OutputOptions & {
  name?: string;
  to?: string;
  kind?: string[] | false;
  organization?: string;
};

const one = '/webhooks/{id}';
const example = '0d6c1c52-5b0e-4a2f-9d38-7c1b6f1a2e90';

export function addWebhookCommands(webhooks: Command): void {
  const subject = { path: one, parameter: 'id', example } as const;
  addCreate(webhooks);
  addListCommand<ShownWebhook>(webhooks, {
    description: 'list webhooks, newest first',
    route: 'GET /webhooks',
    options: [new Option('--organization-id <id>', 'only webhooks of this organization')],
    columns: {
      id: ({ id }) => id,
      name: ({ name }) => name,
      url: ({ url }) => url,
      status: ({ status, failing_since: since }) => (since === null ? status : `${status}, failing since ${since}`),
    },
    examples: ['keyturn webhooks list'],
  });
  addAct<ShownWebhook>(webhooks, subject, { name: 'show', description: 'show a webhook', method: 'GET', text: show });
  addUpdate(webhooks);
  addAct<ShownWebhook>(webhooks, subject, {
    name: 'disable',
    description: 'disable a webhook: nothing is delivered until it is enabled again',
    method: 'POST',
    below: '/disable',
    text: ({ name }) => `${name} is disabled.`,
  });
  addAct<ShownWebhook>(webhooks, subject, {
    name: 'enable',
    description: 'enable a webhook again; `webhooks replay` delivers the events of the meantime',
    method: 'POST',
    below: '/enable',
    text: ({ name }) => `${name} is enabled.`,
  });
  addAct(webhooks, subject, {
    name: 'delete',
    description: 'delete a webhook with its signing secrets',
    method: 'DELETE',
    question: (name) => `Delete ${name}? Its signing secret never works again.`,
    json: (id) => ({ id, deleted: true }),
    text: (_, id) => `${id} was deleted.`,
  });
  addRotate(webhooks);
  addAct<ShownWebhook>(webhooks, subject, {
    name: 'finish',
    description: 'end the grace period of the signing secret now: nothing is signed with the previous one',
    method: 'POST',
    below: '/rotation/finish',
    question: (name) =>
      `End the grace period of ${name} now? Receivers that have only the previous signing secret reject every event.`,
    text: ({ name }) => `Events for ${name} are signed with the current secret only.`,
  });
  addAct<ShownWebhook>(webhooks, subject, {
    name: 'undo',
    description: 'undo the rotation of the signing secret: the previous one is current again',
    method: 'POST',
    below: '/rotation/undo',
    question: (name) => `Undo the rotation of ${name}? Nothing is signed with the new signing secret any more.`,
    text: ({ name }) => `The previous signing secret of ${name} is current again.`,
  });
  addTest(webhooks);
  addDeliveries(webhooks);
  addReplay(webhooks);
  addListenCommand(webhooks);
}

function addCreate(webhooks: Command): void {
  withFields(webhooks.command('create'))
    .description('create a webhook, and print its signing secret once')
    .requiredOption('--name <text>', 'name of the webhook')
    .requiredOption('--to <url>', 'an https URL with a public address, to which events are sent')
    .option('--organization <id>', 'the id of the organization whose events it receives (default: all)')
    .option('--json', 'print one JSON object with signing_secret')
    .addHelpText(
      'after',
      `
Examples:
  keyturn webhooks create --name Chat --to https://hooks.example.com/keyturn
  keyturn webhooks create --name Chat --to https://hooks.example.com/keyturn --kind grace_period_reminder,leak_reported`,
    )
    .action(async ({ json, ...options }: FieldOptions) => {
      const body = { ...toFields(options), organization_id: options.organization };
      type Created = ShownWebhook & { signing_secret: string };
      await withAdmin((admin) =>
        callAdmin<Created>(admin, 'POST /webhooks', { body }, (created) =>
          presentSecret(
            json ? { json } : {},
            created,
            `Webhook ${created.id}. Its signing secret:`,
            created.signing_secret,
          ),
        ),
      );
    });
}

function addUpdate(webhooks: Command): void {
  withFields(webhooks.command('update'))
    .description('change only the given fields')
    .argument('<id>', 'the id of the webhook')
    .option('--name <text>', 'name of the webhook')
    .option('--to <url>', 'an https URL with a public address, to which events are sent')
    .option('--no-kind', 'receive all kinds of notices')
    .option('--json', 'print the changed webhook as one JSON object')
    .addHelpText('after', `\nExamples:\n  keyturn webhooks update ${example} --to https://hooks.example.com/v2`)
    .action(async (id: string, options: FieldOptions) => {
      const request = { params: { id }, body: toFields(options) };
      const changed = await withAdmin((admin) => callAdmin<ShownWebhook>(admin, `PATCH ${one}`, request));
      present(options, changed, () => show(changed));
    });
}

function withFields(command: Command): Command {
  return command.option(
    '--kind <kinds>',
    'the kinds of notices that it receives (default: all); repeatable, or separated by commas',
    collect,
  );
}

function toFields({ name, to: url, kind }: FieldOptions): Json {
  return { name, url, kinds: kind === false ? null : kind };
}

function addRotate(webhooks: Command): void {
  webhooks
    .command('rotate')
    .description(
      'rotate the signing secret, and print the new one once; events are signed with both for a grace period',
    )
    .argument('<id>', 'the id of the webhook')
    .option('--overlap <time>', 'the grace period, up to 30d (default: 24h)', duration)
    .option('--json', 'print one JSON object with signing_secret')
    .addHelpText('after', `\nExamples:\n  keyturn webhooks rotate ${example} --overlap 7d`)
    .action(async (id: string, { json, overlap }: OutputOptions & { overlap?: number }) => {
      type Rotated = ShownWebhook & { signing_secret: string };
      const request = { params: { id }, body: { overlap_seconds: overlap } };
      await withAdmin((admin) =>
        callAdmin<Rotated>(admin, `POST ${one}/rotate`, request, (rotated) => {
          const end = rotated.signing_secrets[1]?.retires_at;
          const said = end
            ? `Events are signed with the previous secret too until ${end}.`
            : 'The previous secret has ended.';
          presentSecret(json ? { json } : {}, rotated, `${said} The new signing secret:`, rotated.signing_secret);
        }),
      );
    });
}

function addTest(webhooks: Command): void {
  webhooks
    .command('test')
    .description('send a test event now; the exit code is 1 if it was not delivered')
    .argument('<id>', 'the id of the webhook')
    .option('--json', 'print one JSON object')
    .addHelpText('after', `\nExamples:\n  keyturn webhooks test ${example}`)
    .action(async (id: string, options: OutputOptions) => {
      type Tested = { delivered: boolean; status: number | null; reason: string | null };
      const tested = await withAdmin((admin) => callAdmin<Tested>(admin, `POST ${one}/test`, { params: { id } }));
      if (!tested.delivered && !options.json) throw new CommandEnd(1, `error: ${tested.reason}`);
      present(options, tested, () => `The receiver answered with status ${tested.status}.`);
      if (!tested.delivered) throw new CommandEnd(1);
    });
}

function addDeliveries(webhooks: Command): void {
  const command = webhooks
    .command('deliveries')
    .description('list what was and will be delivered, the latest first')
    .argument('<id>', 'the id of the webhook')
    .addOption(
      new Option('--state <state>', 'only deliveries in this state').choices([
        'pending',
        'delivered',
        'skipped',
        'parked',
      ]),
    );
  withPages(command)
    .addHelpText('after', `\nExamples:\n  keyturn webhooks deliveries ${example} --state parked`)
    .action(async (id: string, { json, all, ...query }: OutputOptions & PageOptions & Json) => {
      const request = { params: { id }, query };
      const page = await withAdmin((admin) => readPage<ShownDelivery>(admin, `GET ${one}/deliveries`, request, all));
      presentPage(json ? { json } : {}, page, () =>
        table(
          ['time', 'type', 'subject', 'state', 'attempts', 'reason'],
          page.data.map(({ event, state, attempts, reason }) => [
            event.time,
            event.type,
            event.subject ?? '',
            state,
            String(attempts),
            reason ?? '',
          ]),
        ),
      );
    });
}

function addReplay(webhooks: Command): void {
  webhooks
    .command('replay')
    .description('deliver events again from a point in time on, in their order and with the same ids')
    .argument('<id>', 'the id of the webhook')
    .requiredOption('--since <time>', 'the time of the first event: 2027-01-31T12:00:00Z or 2027-01-31', time)
    .option('--json', 'print one JSON object with count')
    .addHelpText('after', `\nExamples:\n  keyturn webhooks replay ${example} --since 2027-01-31`)
    .action(async (id: string, options: OutputOptions & { since: Date }) => {
      const request = { params: { id }, body: { since: options.since.toISOString() } };
      const replayed = await withAdmin((admin) => callAdmin<{ count: number }>(admin, `POST ${one}/replay`, request));
      present(options, replayed, () => `${replayed.count} events will be delivered.`);
    });
}

function show(webhook: ShownWebhook): string {
  return sheet({
    id: webhook.id,
    name: webhook.name,
    url: webhook.url,
    kinds: webhook.kinds?.join(', ') ?? 'all',
    organization: webhook.organization_id,
    status: webhook.disabled_as === null ? 'enabled' : `disabled (${webhook.disabled_as})`,
    'signing secrets': webhook.signing_secrets
      .map(({ hint, retires_at: end }) => (end === null ? hint : `${hint} until ${end}`))
      .join(', '),
    ...(webhook.failing_since === null ? {} : { 'failing since': webhook.failing_since }),
    ...(webhook.last_failure === null ? {} : { 'last failure': webhook.last_failure }),
    'last delivered': webhook.last_success_at ?? 'never',
    created: webhook.created_at,
  });
}
