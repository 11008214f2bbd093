import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { createKeyRing } from '../credentials/key-ring.ts';
import { rotateStoredRootKey } from './rotate-root-key.ts';
import { type OutputOptions, presentSecret } from './terminal.ts';

export function addRootKeyCommands(program: Command): void {
  const rootKey = program.command('root-key').description('the key that everything stored is protected with');
  rootKey
    .command('generate')
    .description('make a value for KEYTURN_ROOT_KEY; nothing is stored')
    .option(
      '--add-to <value>',
      'an earlier KEYTURN_ROOT_KEY (-: from standard input): the new version is put before it',
    )
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn root-key generate > root-key                     # then KEYTURN_ROOT_KEY_FILE=root-key
  keyturn root-key generate --add-to - < root-key          # what is new uses the new version, the rest still opens`,
    )
    .action(async ({ addTo, ...options }: OutputOptions & { addTo?: string }) => {
      const { generateRootKey } = await import('../storage/open-database.ts');
      const earlier = addTo === '-' ? readFileSync(process.stdin.fd, 'utf8').trim() : addTo;
      const value = earlier ? `${generateRootKey(nextVersion(earlier))},${earlier}` : generateRootKey();
      const said =
        'The root key. Whoever has it and the database can open what is sealed; keep it apart from the database:';
      presentSecret(options, { root_key: value }, said, value);
    });
  rootKey
    .command('rotate')
    .description('make anew under the current root key what was made under earlier ones, as far as copies are kept')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  KEYTURN_ROOT_KEY=v2:…,v1:… keyturn root-key rotate

Change a root key without anybody noticing:
  1. Add the new version behind the old one on every server, and restart them one after the other: v1:…,v2:…
  2. Put it first, and restart them again: v2:…,v1:…
  3. keyturn root-key rotate. Interrupted, it goes on when it runs again; servers serve meanwhile.
  4. Once it says that v1 can go, and one access token lifetime (an hour) after step 2: take v1 from every server.
It does not make anew, and says how many of them are left:
  - secrets without a sealed copy (--no-reveal, KEYTURN_REVEAL=off): regenerate them, or let them end;
  - operator tokens: issue them again (keyturn contacts operator-token).
Not counted: records of opaque access tokens need the old version until the tokens expire, and answers to a repeated
Idempotency-Key and confirmations for ten minutes at most; a cursor of a list that was given out before is refused then,
and the list is read from its beginning. Audit events are never written again: the whole log is verified, and a checkpoint
sealed under the new key then vouches for the earlier events, so \`keyturn audit verify\` does not need the old version.`,
    )
    .action(rotateStoredRootKey);
}

function nextVersion(rootKey: string): string {
  const numbers = createKeyRing(rootKey).versions.map((version) => Number(/^v(\d+)$/.exec(version)?.[1] ?? 0));
  return `v${Math.max(...numbers) + 1}`;
}
