import type { Command } from 'commander';
import { addAct } from './acts.ts';
import { callAdmin } from './call-admin.ts';
import { type Admin, withAdmin } from './stores.ts';
import { CommandEnd, type OutputOptions, present, table } from './terminal.ts';

/** Signing keys as the admin API returns them. */
type ShownKeys = {
  data: {
    kid: string;
    alg: string;
    status: string;
    created_at: string;
    current_since: string | null;
    retired_at: string | null;
  }[];
};

export function addSigningKeyCommands(keys: Command): void {
  keys
    .command('list')
    .description('list the published keys: next, current, and retired keys whose tokens may still be live')
    .option('--json', 'print one JSON object with data')
    .addHelpText('after', '\nExamples:\n  keyturn signing-keys list')
    .action(async (options: OutputOptions) => {
      const keys = await withAdmin((admin) => callAdmin<ShownKeys>(admin, 'GET /signing-keys', {}));
      present(options, keys, () => showKeys(keys));
    });
  keys
    .command('rotate')
    .description(
      'sign with the next key, and publish a new next key; tokens of the previous key stay valid until they expire',
    )
    .option('--json', 'print one JSON object with data')
    .addHelpText(
      'after',
      `
Examples:
  keyturn signing-keys rotate

Servers rotate the keys automatically every KEYTURN_SIGNING_KEY_DAYS. Do not rotate twice within a few minutes: resource
servers may not have fetched the new key yet.`,
    )
    .action(async (options: OutputOptions) => {
      const keys = await withAdmin((admin) => callAdmin<ShownKeys>(admin, 'POST /signing-keys/rotate', {}));
      present(options, keys, () => showKeys(keys));
    });
  addAct<ShownKeys>(
    keys,
    {
      path: '/signing-keys/{kid}',
      parameter: 'kid',
      describe: nameKey,
      example: 'ZpEjXW0AQmCGMJ0JrgkRuvQd1pFUBCPHrnGDpoV7aJk',
    },
    {
      name: 'revoke',
      description: 'revoke a key that may have been stolen; every JWT that it signed becomes inactive at once',
      method: 'POST',
      below: '/revoke',
      question: (kid) =>
        `Revoke ${kid}? Every JWT that it signed becomes inactive at once, and clients need new tokens.`,
      text: (shown) => showKeys(shown),
    },
  );
}

/** Names a signing key, and says since when it signs. */
async function nameKey(admin: Admin, kid: string): Promise<string> {
  const { data } = await callAdmin<ShownKeys>(admin, 'GET /signing-keys', {});
  const key = data.find((one) => one.kid === kid);
  if (!key) throw new CommandEnd(1, 'error: Signing key not found.');
  return `${kid} (${key.alg}, ${key.status}, ${key.current_since ? `signs since ${key.current_since}` : 'has not signed yet'})`;
}

function showKeys({ data }: ShownKeys): string {
  return table(
    ['kid', 'alg', 'status', 'created', 'signs since', 'retired'],
    data.map((key) => [key.kid, key.alg, key.status, key.created_at, key.current_since ?? '', key.retired_at ?? '']),
  );
}
