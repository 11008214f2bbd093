import type { Command } from 'commander';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { confirm, type OutputOptions, present, sheet } from './terminal.ts';

type ShownErasure = Json & {
  contact_id: string;
  erased_events: number;
  kept_events: number;
  archived_until: number | null;
};

export function addEraseCommand(audit: Command): void {
  audit
    .command('erase')
    .description('erase the name, addresses and other personal values of a deleted contact in the audit log')
    .argument('<contact_id>', 'id of the deleted contact')
    .option('-y, --yes', 'do not ask for confirmation')
    .option('--json', 'print one JSON object with contact_id, erased_events, kept_events and archived_until')
    .addHelpText(
      'after',
      `
Examples:
  keyturn audit erase 5b1e7c3a-90d4-4c1e-8f27-6a0d2b9c4e18
  keyturn audit erase 5b1e7c3a-90d4-4c1e-8f27-6a0d2b9c4e18 --yes --json | jq .erased_events

The events stay, and \`keyturn audit verify\` still verifies them. This cannot be undone. Values are not erased in events
that an earlier version of Keyturn has written, in archives, in backups, and at receivers of KEYTURN_AUDIT_STREAMS.`,
    )
    .action(async (contactId: string, options: OutputOptions & { yes?: true }) => {
      const erasure = await withAdmin(async (admin) => {
        await confirm(`Erase the personal values of the contact ${contactId}? This cannot be undone.`, options);
        return await callAdmin<ShownErasure>(admin, 'POST /audit-events/erase', { body: { contact_id: contactId } });
      }, true);
      present(options, erasure, () =>
        sheet({
          Erased: `values of ${erasure.erased_events} events`,
          'Not erasable': `${erasure.kept_events} events of an earlier version`,
          Archived:
            erasure.archived_until === null
              ? 'no events'
              : `events up to ${erasure.archived_until}, whose files still have their values`,
        }),
      );
    });
}
