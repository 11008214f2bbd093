import { type Command, Option } from 'commander';
import { verifyAuditLog } from '../audit/verify-audit-log.ts';
import type { Json } from './call-admin.ts';
import { addListCommand } from './list-command.ts';
import { withDatabase } from './stores.ts';
import { CommandEnd, type OutputOptions, present, time } from './terminal.ts';

/** The members of the admin API's audit event that people are shown. */
type ShownEvent = Json & {
  id: number;
  at: string;
  actor_name: string;
  address: string | null;
  action: string;
  target: string;
};

export function addAuditCommands(program: Command): void {
  const audit = program.command('audit').description('who did what to which target');
  addListCommand<ShownEvent, Json & { since?: Date; until?: Date }>(audit, {
    description: 'list audit events, newest first',
    route: 'GET /audit-events',
    options: [
      new Option('--actor <id>', "a contact's id, or cli: and a system user"),
      new Option('--action <action>', 'for example client.disable'),
      new Option('--target <id>', 'for example a Client ID'),
      new Option('--since <time>', 'not before').argParser(time),
      new Option('--until <time>', 'before').argParser(time),
    ],
    toQuery: ({ since, until, ...filter }) => ({
      ...filter,
      since: since?.toISOString(),
      until: until?.toISOString(),
    }),
    columns: {
      at: (event) => event.at,
      actor: (event) => event.actor_name,
      address: (event) => event.address ?? '',
      action: (event) => event.action,
      target: (event) => event.target,
    },
    examples: [
      'keyturn audit list --target kti_4fW1mZ8qYc0RkT7pLs2VnB',
      'keyturn audit list --action client.reveal_secret --since 2026-01-01',
      "keyturn audit list --json --limit 200 | jq '.data[] | {at, actor_name, action, target}'",
    ],
  });
  audit
    .command('verify')
    .description('check every event, their order, and the end; names the first one that is wrong')
    .option('--head <head>', 'a head that was printed before: an older copy of the whole database does not have it')
    .option('--json', 'one JSON object, with events, head and finding')
    .addHelpText(
      'after',
      `
Examples:
  keyturn audit verify
  keyturn audit verify --head 42:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`,
    )
    .action(async ({ json, head }: OutputOptions & { head?: string }) => {
      const verification = await withDatabase((core) => verifyAuditLog(core.database, core.keyRing, head));
      present(json ? { json } : {}, verification, () => `${verification.events} events\nhead  ${verification.head}`);
      const { finding } = verification;
      if (finding)
        throw new CommandEnd(
          1,
          `error: The audit log is not what was written: event ${finding.seq}, ${finding.problem}.`,
        );
    });
}
