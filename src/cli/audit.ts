import { type Command, Option } from 'commander';
import type { ArchivesVerification } from '../audit/verify-archives.ts';
import type { AuditVerification } from '../audit/verify-audit-log.ts';
import { addListCommand } from './acts.ts';
import { addArchiveCommand } from './audit-archive-command.ts';
import { addEraseCommand } from './audit-erase-command.ts';
import type { Json } from './call-admin.ts';
import { withDatabase } from './stores.ts';
import { CommandEnd, type OutputOptions, plain, present, startProgress, time } from './terminal.ts';

/** Members of the admin API's audit event that are displayed. */
type ShownEvent = Json & {
  id: number;
  at: string;
  actor_name: string;
  address: string | null;
  action: string;
  target: string;
};

type VerifyFlags = { checkpoint?: string; recent?: true; stream?: string; archive?: string[] };

const needsRootKey = 'The audit log is verified with the root key, independently of a running server.';

export function addAuditCommands(audit: Command): void {
  addListCommand<ShownEvent, Json & { since?: Date; until?: Date }>(audit, {
    description: 'list audit events, newest first',
    route: 'GET /audit-events',
    options: [
      new Option('--actor <id>', 'only events of this actor: the id of a contact, or cli: and a system user'),
      new Option('--action <action>', 'only events with this action, such as client.disable'),
      new Option('--target <id>', 'only events about this target, such as a Client ID'),
      new Option('--since <time>', 'only events at this time or later').argParser(time),
      new Option('--until <time>', 'only events before this time').argParser(time),
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
    .description('verify every event, their order and the end of the log; reports the first event that is wrong')
    .option('--checkpoint <checkpoint>', 'a checkpoint stored outside the database that the log must contain')
    .option(
      '--recent',
      'verify only events after the last checkpoint that a complete verification stored in the database',
    )
    .option('--stream <file>', 'verify what a target of KEYTURN_AUDIT_STREAMS has received, in place of the database')
    .option(
      '--archive <files...>',
      'also verify files of `audit archive`, and that they join each other and the database',
    )
    .option('--json', 'print one JSON object with events, from, checkpoint, archives, erased and finding')
    .addHelpText(
      'after',
      `
Examples:
  keyturn audit verify
  keyturn audit verify --checkpoint 42:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  keyturn audit verify --recent --json | jq .finding
  keyturn audit verify --stream /var/log/keyturn-audit.jsonl
  keyturn audit verify --archive /archive/keyturn-audit-*.jsonl

Events that \`keyturn audit archive\` has written to files are verified only with --archive.
Without a checkpoint from outside the database, two changes are not detected: a log that was truncated together with its
recorded end, and a database that was replaced by an older copy. Store what \`keyturn audit checkpoint\` prints, or the
log lines "audit checkpoint" of a server.`,
    )
    .action(async ({ json, stream, archive, ...options }: OutputOptions & VerifyFlags) => {
      if (stream !== undefined) return await verifyFile(json ? { json } : {}, stream);
      const { verifyAuditLog } = await import('../audit/verify-audit-log.ts');
      const { describeFinding, verifyArchives } = await import('../audit/verify-archives.ts');
      const { readCheckpoint } = await import('../audit/audit-checkpoint.ts');
      const wanted = options.checkpoint === undefined ? undefined : readCheckpoint(options.checkpoint).seq;
      const progress = await startProgress('Verifying');
      const onProgress = progress.show;
      const { files, ...verification } = await withDatabase(needsRootKey, async ({ database, keyRing }) => {
        const files = archive && (await verifyArchives(database, keyRing, archive, wanted));
        const settings = { ...options, archivedMacs: files?.macs, onProgress };
        return { files, ...(await verifyAuditLog(database, keyRing, settings)) };
      }).finally(progress.end);
      const { archives, finding } = verification;
      const shown = {
        ...verification,
        archives: archives.map(({ first_seq, last_seq, file, archived_at, archived_by }) => ({
          first_event: first_seq,
          last_event: last_seq,
          file,
          archived_at,
          archived_by,
        })),
        ...(files ? { files: { verified: files.verified, earlier: files.earlier, findings: files.findings } } : {}),
      };
      present(json ? { json } : {}, shown, () => describeVerification(verification, files));
      const problems = files?.findings.map((found) => `error: ${describeFinding(found)}.`) ?? [];
      if (finding) problems.push(`error: The audit log was changed: event ${finding.seq}, ${finding.problem}.`);
      if (problems.length > 0) throw new CommandEnd(1, problems.join('\n'));
    });
  addArchiveCommand(audit);
  addEraseCommand(audit);
  audit
    .command('checkpoint')
    .description(
      'print a checkpoint of the end of the log, to store outside the database for `audit verify --checkpoint`',
    )
    .option('--json', 'print one JSON object with checkpoint')
    .addHelpText(
      'after',
      `
Examples:
  keyturn audit checkpoint >> /somewhere/else/audit-checkpoints
  keyturn audit verify --checkpoint "$(tail -n 1 /somewhere/else/audit-checkpoints)"`,
    )
    .action(async ({ json }: OutputOptions) => {
      const { currentCheckpoint } = await import('../audit/audit-checkpoint.ts');
      const checkpoint = await withDatabase(needsRootKey, (core) => currentCheckpoint(core.database, core.keyRing));
      if (checkpoint === undefined) {
        throw new CommandEnd(1, 'error: The recorded end of the audit log was changed. Run `keyturn audit verify`.');
      }
      present(json ? { json } : {}, { checkpoint }, () => checkpoint);
    });
}

function describeVerification(
  { events, from, checkpoint, archives, erased }: AuditVerification,
  files: ArchivesVerification | undefined,
): string {
  return [
    `${events} events${from > 1 ? `, verified from event ${from}` : ''}`,
    ...(erased > 0 ? [`erased      personal values of ${erased} events`] : []),
    ...archives.map(({ first_seq, last_seq, file, archived_at, archived_by }) => {
      const state = files?.verified.includes(file) ? 'verified' : 'not verified';
      const by = `at ${archived_at.toISOString()} by ${plain(archived_by)}`;
      return `archived    events ${first_seq} to ${last_seq} in ${plain(file)}, ${by}; ${state}`;
    }),
    `checkpoint  ${checkpoint}`,
  ].join('\n');
}

/** Verifies the file of a target of a stream. */
async function verifyFile(options: OutputOptions, path: string): Promise<void> {
  const { linesIn } = await import('../audit/archive-file.ts');
  const { verifyStream } = await import('../audit/verify-stream.ts');
  const verification = await withDatabase(needsRootKey, (core) => verifyStream(core.keyRing, linesIn(path)));
  const { events, repeated, from, to, head, erased, finding } = verification;
  present(options, verification, () =>
    [
      `${events} events, from ${from} to ${to}${repeated > 0 ? `, ${repeated} of them repeated` : ''}`,
      ...(erased > 0 ? [`personal values of ${erased} events were erased before they were sent`] : []),
      head === null ? 'no head of the log: events after the last one may be missing' : `complete up to event ${head}`,
    ].join('\n'),
  );
  if (finding) throw new CommandEnd(1, `error: The stream is not whole: event ${finding.seq}, ${finding.problem}.`);
}
