import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { createKeyRing } from '../credentials/key-ring.ts';
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
}

function nextVersion(rootKey: string): string {
  const numbers = createKeyRing(rootKey).versions.map((version) => Number(/^v(\d+)$/.exec(version)?.[1] ?? 0));
  return `v${Math.max(...numbers) + 1}`;
}
