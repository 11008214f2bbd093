import { type Command, Option } from 'commander';
import { addAct, addListCommand } from './acts.ts';
import type { Json } from './call-admin.ts';
import { addNoticeSettingsCommand } from './notice-settings-command.ts';
import { plain, sheet } from './terminal.ts';

/** Members of the admin API's notice that are displayed. */
type ShownNotice = Json & {
  id: string;
  kind: string;
  at: string;
  title: string;
  message: string;
  next_step: string | null;
  deliveries: {
    channel: string;
    receiver_name: string;
    state: string;
    attempts: number;
    reason: string | null;
    next_at: string | null;
  }[];
};

const example = '7c1f0f52-6c1b-4a53-9c0e-2b7a3f8d9e10';

export function addNoticeCommands(notices: Command): void {
  const subject = { path: '/notices/{id}', parameter: 'id', example } as const;
  addListCommand<ShownNotice>(notices, {
    description: 'list notices to people and programs, newest first',
    route: 'GET /notices',
    options: [
      new Option('--kind <kind>', 'only notices of this kind, such as grace_period_reminder'),
      new Option('--state <state>', 'only notices with a delivery in this state').choices([
        'pending',
        'delivered',
        'skipped',
        'parked',
      ]),
      new Option('--subject <id>', 'only notices about the thing with this Client ID or id'),
    ],
    columns: {
      id: ({ id }) => id,
      at: ({ at }) => at,
      kind: ({ kind }) => kind.replaceAll('_', ' '),
      title: ({ title }) => plain(title),
      deliveries: ({ deliveries }) => countStates(deliveries),
    },
    examples: ['keyturn notices list', 'keyturn notices list --state parked'],
  });
  addAct<ShownNotice>(notices, subject, {
    name: 'show',
    description: 'show a notice and the state of its deliveries',
    method: 'GET',
    text: showNotice,
  });
  addAct<ShownNotice>(notices, subject, {
    name: 'retry',
    description: 'try the parked deliveries of a notice again',
    method: 'POST',
    below: '/retry',
    text: showNotice,
  });
  addNoticeSettingsCommand(notices);
}

function countStates(deliveries: ShownNotice['deliveries']): string {
  if (deliveries.length === 0) return 'none';
  const states = Map.groupBy(deliveries, ({ state }) => state);
  return [...states].map(([state, { length }]) => `${length} ${state}`).join(', ');
}

function showNotice(notice: ShownNotice): string {
  const deliveries = notice.deliveries.map(
    ({ channel, receiver_name: name, state, attempts, reason, next_at: next }): [string, string] => {
      const more = [`attempts: ${attempts}`, ...(reason ? [reason] : []), ...(next ? [`next at ${next}`] : [])];
      return [`${channel} to ${plain(name)}`, plain(`${state} (${more.join('; ')})`)];
    },
  );
  return sheet({
    id: notice.id,
    kind: notice.kind.replaceAll('_', ' '),
    at: notice.at,
    title: plain(notice.title),
    message: plain(notice.message),
    ...(notice.next_step === null ? {} : { 'what to do': notice.next_step }),
    ...Object.fromEntries(deliveries),
  });
}
