import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { createKeyRing } from '../credentials/key-ring.ts';
import { rotateStoredRootKey } from './rotate-root-key.ts';
import { type OutputOptions, presentSecret } from './terminal.ts';

export function addRootKeyCommands(program: Command): void {
  const rootKey = program.command('root-key').description('the key that protects everything in the database');
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
