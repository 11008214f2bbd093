import type { Command } from 'commander';
import { verifyAuditLog } from '../audit/verify-audit-log.ts';
import { callAdmin, type Json, type Page } from './call-admin.ts';
import { withDatabase } from './stores.ts';
import { CommandEnd, type OutputOptions, present, say, table, time } from './terminal.ts';

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
  audit
    .command('list')
    .description('list audit events, newest first')
    .option('--actor <id>', "a contact's id, or cli: and a system user")
    .option('--action <action>', 'for example client.disable')
    .option('--target <id>', 'for example a Client ID')
    .option('--since <time>', 'not before', time)
    .option('--until <time>', 'before', time)
    .option('--limit <number>', 'at most so many, up to 200', '50')
    .option('--cursor <cursor>', 'go on where the list before ended')
    .option('--json', 'one JSON object, with data and next_cursor')
    .addHelpText(
      'after',
      `
Examples:
  keyturn audit list --target kti_4fW1mZ8qYc0RkT7pLs2VnB
  keyturn audit list --action client.reveal_secret --since 2026-01-01
  keyturn audit list --json --limit 200 | jq '.data[] | {at, actor_name, action, target}'`,
    )
    .action(async ({ json, since, until, ...filter }: OutputOptions & { since?: Date; until?: Date }) => {
      const query = { ...filter, since: since?.toISOString(), until: until?.toISOString() };
      const page = await withDatabase((core) => callAdmin<Page<ShownEvent>>(core, 'GET /audit-events', { query }));
      present(json ? { json } : {}, page, () =>
        table(
          ['at', 'actor', 'address', 'action', 'target'],
          page.data.map((event) => [event.at, event.actor_name, event.address ?? '', event.action, event.target]),
        ),
      );
      if (page.next_cursor && !json) say(`There are more: --cursor ${page.next_cursor}`);
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
