import type { Command } from 'commander';
import { commandActor, withDatabase } from './stores.ts';
import { type OutputOptions, present, sheet, startProgress, time } from './terminal.ts';

type ArchiveOptions = OutputOptions & { before: Date; to: string; forgetStream?: string[] };

export function addArchiveCommand(audit: Command): void {
  audit
    .command('archive')
    .description('move the oldest events to a file that `audit verify --archive` verifies')
    .requiredOption('--before <time>', 'archive the events before this time, at least 30 days ago', time)
    .requiredOption('--to <path>', 'a directory, or a file that does not exist')
    .option(
      '--forget-stream <names...>',
      'do not wait for these receivers, which were removed from KEYTURN_AUDIT_STREAMS, and delete their positions',
    )
    .option('--json', 'print one JSON object with first_event, last_event, file and sha256')
    .addHelpText(
      'after',
      `
Examples:
  keyturn audit archive --before 2026-01-01 --to /archive
  keyturn audit archive --before 2026-01-01 --to /archive/2025.jsonl
  keyturn audit archive --before 2026-01-01 --to /archive --forget-stream old-siem
  keyturn audit verify --archive /archive/*.jsonl

The command verifies the audit log, writes the file to the disk, verifies the file, and then deletes the events from the
database. If anything fails, nothing is deleted, and the command can be run again. It needs the root key, and the database
user that owns the tables. Events that a receiver of KEYTURN_AUDIT_STREAMS has not accepted are never archived. Keep the
files: the database has only their digests.`,
    )
    .action(async ({ before, to, forgetStream = [], ...options }: ArchiveOptions) => {
      const { archiveAuditLog } = await import('../audit/archive-audit-log.ts');
      const { hex } = await import('../audit/audit-chain.ts');
      const progress = await startProgress('Verifying');
      const { archive, path } = await withDatabase('Events are moved from the database to a file here.', (core) =>
        archiveAuditLog(core, commandActor(), {
          before,
          to,
          streams: core.config.auditStreams.map(({ name }) => name),
          forget: forgetStream,
          onProgress: progress.show,
        }),
      ).finally(progress.end);
      const { first_seq, last_seq, digest } = archive;
      present(options, { first_event: first_seq, last_event: last_seq, file: path, sha256: hex(digest) }, () =>
        sheet({ Archived: `events ${first_seq} to ${last_seq}`, File: path }),
      );
    });
}
