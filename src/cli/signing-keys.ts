import type { Command } from 'commander';
import { addAct } from './acts.ts';
import { callAdmin } from './call-admin.ts';
import { withDatabase } from './stores.ts';
import { type OutputOptions, present, table } from './terminal.ts';

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

export function addSigningKeyCommands(program: Command): void {
  const keys = program.command('signing-keys').description('what JWT access tokens are signed with');
  keys
    .command('list')
    .description('list the published ones: next, current, and retired ones whose tokens may still live')
    .option('--json', 'one JSON object, with data')
    .addHelpText('after', '\nExamples:\n  keyturn signing-keys list')
    .action(async (options: OutputOptions) => {
      const keys = await withDatabase((core) => callAdmin<ShownKeys>(core, 'GET /signing-keys', {}));
      present(options, keys, () => showKeys(keys));
    });
  keys
    .command('rotate')
    .description('let the next key sign, and publish a new next one; tokens of the one before stay good until they end')
    .option('--json', 'one JSON object, with data')
    .addHelpText(
      'after',
      `
Examples:
  keyturn signing-keys rotate

Servers do so by themselves every KEYTURN_SIGNING_KEY_DAYS. Two rotations within a few minutes let a key sign that
those who check tokens may not have read yet.`,
    )
    .action(async (options: OutputOptions) => {
      const keys = await withDatabase((core) => callAdmin<ShownKeys>(core, 'POST /signing-keys/rotate', {}));
      present(options, keys, () => showKeys(keys));
    });
  addAct<ShownKeys>(
    keys,
    { path: '/signing-keys/{kid}', parameter: 'kid', example: 'ZpEjXW0AQmCGMJ0JrgkRuvQd1pFUBCPHrnGDpoV7aJk' },
    {
      name: 'revoke',
      description: 'withdraw a key that may have been stolen; every JWT that it signed is inactive at once',
      method: 'POST',
      below: '/revoke',
      question: (kid) => `Revoke ${kid}? Every JWT that it signed is refused at once, and its clients need new tokens.`,
      text: (shown) => showKeys(shown),
    },
  );
}

function showKeys({ data }: ShownKeys): string {
  return table(
    ['kid', 'alg', 'status', 'created', 'signs since', 'retired'],
    data.map((key) => [key.kid, key.alg, key.status, key.created_at, key.current_since ?? '', key.retired_at ?? '']),
  );
}
