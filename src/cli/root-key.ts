import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { GuardedRequest } from '../approvals/approval.ts';
import type { Core } from '../core.ts';
import { createKeyRing } from '../credentials/key-ring.ts';
import { KeyturnError } from '../errors.ts';
import type { Rotation } from '../root-key/root-key-rotation.ts';
import type { RootKeyUse } from '../root-key/root-key-use.ts';
import { approvalNeeded, givenApproval } from './call-admin.ts';
import { commandActor, withDatabase } from './stores.ts';
import { CommandEnd, type OutputOptions, plain, present, presentSecret, startProgress, table } from './terminal.ts';

export function addRootKeyCommands(rootKey: Command): void {
  rootKey
    .command('generate')
    .description('generate a value for KEYTURN_ROOT_KEY; stores nothing')
    .option('--add-to <value>', 'add a new version in front of this KEYTURN_ROOT_KEY; - reads it from standard input')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn root-key generate > root-key                     # then set KEYTURN_ROOT_KEY_FILE=root-key
  keyturn root-key generate --add-to - < root-key          # the new version encrypts, the others can still decrypt`,
    )
    .action(async ({ addTo, ...options }: OutputOptions & { addTo?: string }) => {
      const { generateRootKey } = await import('../storage/open-database.ts');
      const earlier = addTo === '-' ? readFileSync(process.stdin.fd, 'utf8').trim() : addTo;
      const value = earlier ? `${generateRootKey(nextVersion(earlier))},${earlier}` : generateRootKey();
      const said =
        'The root key. Store it apart from the database: with both, anyone can decrypt the sealed copies of secrets.';
      presentSecret(options, { root_key: value }, said, value);
    });
  rootKey
    .command('rotate')
    .description('re-encrypt data of earlier root key versions with the current version, where a sealed copy exists')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  KEYTURN_ROOT_KEY=v2:…,v1:… keyturn root-key rotate

To rotate the root key without an interruption:
  1. Add the new version after the previous one on every server, and restart the servers one by one: v1:…,v2:…
  2. Move the new version to the front, and restart the servers again: v2:…,v1:…
  3. Run keyturn root-key rotate while the servers are running. If it is interrupted, run it again.
  4. Remove v1 from every server when the command reports that v1 can be removed, but not earlier than one access token
     lifetime (an hour by default) after step 2.

The command cannot re-encrypt these, and prints how many of them are left:
  - secrets without a sealed copy (--no-reveal, KEYTURN_REVEAL=off): regenerate them, or wait until they end
  - operator tokens: issue them again with keyturn contacts operator-token

It does not count short-lived uses of an earlier version: records of opaque access tokens until the tokens expire,
responses to a repeated Idempotency-Key, and confirmations (both at most ten minutes). A list cursor of an earlier version is
rejected after the version was removed; start the list from its beginning.

Audit events are never rewritten. The command verifies the whole audit log and seals a checkpoint with the new key, so
\`keyturn audit verify\` does not need the earlier version.`,
    )
    .action(rotateStoredRootKey);
}

function nextVersion(rootKey: string): string {
  const numbers = createKeyRing(rootKey).versions.map((version) => Number(/^v(\d+)$/.exec(version)?.[1] ?? 0));
  return `v${Math.max(...numbers) + 1}`;
}

const shownHolders = 20;
const listedHolders = 1_000;

type Holder = { type: string; id: string; name: string; version: string };

/** Runs `root-key rotate`: reseals what it can, and reports what keeps earlier versions in use. */
async function rotateStoredRootKey(options: OutputOptions): Promise<void> {
  const { findRootKeyUse, listHolders } = await import('../root-key/root-key-use.ts');
  const { rotateRootKey } = await import('../root-key/root-key-rotation.ts');
  const progress = await startProgress('Re-encrypting');
  const { verifyAuditLog } = await import('../audit/verify-audit-log.ts');
  const { rotation, audit, current, given, use, holders } = await withDatabase(
    'Data is re-encrypted with the root key, which the admin API does not hand out.',
    async (core) => {
      await requireApproval(core);
      const readUse = () => findRootKeyUse(core.database, new Date(core.clock()));
      const total = countToMake(await readUse(), core.keyRing.current);
      return {
        rotation: await rotateRootKey(core, commandActor(), (done) => progress.show(done, total)),
        // Seals a checkpoint under the new key, so that later verifications do not need an earlier key.
        audit: await verifyAuditLog(core.database, core.keyRing, { onProgress: progress.show }),
        current: core.keyRing.current,
        given: core.keyRing.versions,
        use: await readUse(),
        holders: await listHolders(core.database, core.keyRing.current, listedHolders),
      };
    },
  ).finally(progress.end);
  const old = withUnused(use, given).filter(({ version }) => version !== current);
  const json = {
    version: current,
    secrets: rotation.secrets,
    signing_keys: rotation.signingKeys,
    unreadable: rotation.unreadable,
    earlier_versions: old.map((one) => ({
      version: one.version,
      can_go: canGo(one),
      secrets: one.secrets,
      secrets_that_end: one.secretsThatEnd,
      secrets_end_at: one.secretsEndAt,
      sealed_copies: one.sealedCopies,
      operator_tokens: one.operatorTokens,
      signing_keys: one.signingKeys,
      ended_secrets: one.endedSecrets,
    })),
    holders,
    audit_finding: audit.finding,
  };
  present(options, json, () => describe(rotation, current, old, holders));
  if (audit.finding) {
    throw new CommandEnd(
      1,
      `error: The audit log was changed: event ${audit.finding.seq}, ${audit.finding.problem}. Keep the earlier root keys to investigate.`,
    );
  }
  if (rotation.unreadable.length > 0) {
    throw new CommandEnd(
      1,
      `error: ${rotation.unreadable.length} sealed copies cannot be decrypted or do not match their secret: ${rotation.unreadable.slice(0, shownHolders).join(', ')}`,
    );
  }
}

/** Uses the approval of a second person, if the deployment requires one for a rotation of the root key. */
async function requireApproval(core: Core): Promise<void> {
  const { guard } = await import('../admin/with-approval.ts');
  const { spendInChange } = await import('../approvals/spending.ts');
  const guarded: GuardedRequest = {
    act: 'root_key',
    route: 'keyturn root-key rotate',
    subject: { type: 'root_key', id: core.keyRing.current },
    permission: 'api_key:manage',
    params: {},
    body: { version: core.keyRing.current },
  };
  try {
    // The rotation has many transactions, so the approval is used before the first one.
    const change = spendInChange(core.change);
    await guard(core, commandActor(), guarded, givenApproval(), () => change(async () => undefined));
  } catch (error) {
    if (error instanceof KeyturnError && error.code === 'approval_required') throw approvalNeeded(error);
    throw error;
  }
}

/** Counts the sealed copies and signing keys under earlier versions. */
function countToMake(use: readonly RootKeyUse[], current: string): number {
  const earlier = use.filter(({ version }) => version !== current);
  return earlier.reduce((sum, { sealedCopies, signingKeys }) => sum + sealedCopies + signingKeys, 0);
}

/** Adds versions that are configured but not in use, so that they are reported as removable. */
function withUnused(use: readonly RootKeyUse[], given: readonly string[]): RootKeyUse[] {
  const none = {
    secrets: 0,
    secretsThatEnd: 0,
    secretsEndAt: null,
    sealedCopies: 0,
    operatorTokens: 0,
    signingKeys: 0,
    endedSecrets: 0,
  };
  const unused = given.filter((version) => !use.some((one) => one.version === version));
  return [...use, ...unused.map((version) => ({ version, ...none }))];
}

function canGo(use: RootKeyUse): boolean {
  return use.secrets + use.sealedCopies + use.operatorTokens + use.signingKeys === 0;
}

function describe(rotation: Rotation, current: string, old: readonly RootKeyUse[], holders: readonly Holder[]): string {
  const lines = [`Re-encrypted with ${current}: ${rotation.secrets} secrets and ${rotation.signingKeys} signing keys.`];
  for (const use of old) lines.push(...describeUse(use));
  if (holders.length > 0) {
    lines.push(
      '',
      table(
        ['version', 'used by', 'id', 'name'],
        holders.slice(0, shownHolders).map(({ type, id, name, version }) => [version, type, id, name]),
      ),
    );
  }
  if (holders.length > shownHolders) lines.push(`… and more; --json lists up to ${listedHolders}.`);
  return lines.join('\n');
}

function describeUse(use: RootKeyUse): string[] {
  const version = plain(use.version);
  const ended =
    use.endedSecrets > 0
      ? [`  ${use.endedSecrets} ended secrets: attempts to use them are no longer attributed to them after that`]
      : [];
  if (canGo(use)) {
    return [
      `${version} can be removed from every server after the access tokens issued with it have expired (an hour by default). \`keyturn audit verify\` no longer needs it.`,
      ...ended,
    ];
  }
  const { secrets, secretsThatEnd, secretsEndAt, operatorTokens, signingKeys, sealedCopies } = use;
  const end = secretsThatEnd > 0 ? ` (${secretsThatEnd} of them end by ${secretsEndAt?.toISOString()})` : '';
  const left = [
    [secrets, `live secrets without a sealed copy that can be decrypted: regenerate them${end}`],
    [sealedCopies, 'sealed copies that were locked or cannot be decrypted: run the command again'],
    [operatorTokens, 'operator tokens: issue them again'],
    [signingKeys, 'signing keys that were locked or cannot be decrypted: run the command again'],
  ] as const;
  return [
    `Keep ${version}. It is needed for:`,
    ...left.filter(([count]) => count > 0).map(([count, what]) => `  ${count} ${what}`),
    ...ended,
  ];
}
