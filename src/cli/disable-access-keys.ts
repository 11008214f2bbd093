import { type Command, Option } from 'commander';
import { describeUse, nameOf, type Subject } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { type Admin, withAdmin } from './stores.ts';
import { CommandEnd, confirm, type OutputOptions, plain, present } from './terminal.ts';

type ShownKey = Json & { id: string; name: string };
type ShownReview = {
  total: number;
  access_keys: { name: string; tokens_24h: number; integrations: { client_id: string; name: string }[] }[];
};
type Disabled = { contact_id: string; disabled: ShownKey[] };

/** Adds `disable`, for one access key or for all access keys of a contact. */
export function addDisableCommand(parent: Command, { path, example }: Subject): void {
  parent
    .command('disable')
    .description('disable a key, or all keys of a contact; their tokens are inactive until they are enabled again')
    .argument('[id]', 'the id of the access key')
    .addOption(new Option('--contact <id>', 'disable all access keys of this contact'))
    .option('-y, --yes', 'do not ask for confirmation')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn access-keys disable ${example} --yes
  keyturn access-keys disable --contact 3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11`,
    )
    .action(async (id: string | undefined, options: OutputOptions & { yes?: true; contact?: string }) => {
      const { contact } = options;
      if (id !== undefined && contact === undefined) {
        const params = { id };
        const key = await withAdmin(async (admin) => {
          if (!options.yes) {
            const use = await describeUse(admin, path, params);
            await confirm([...use, questionOf(await nameOf(admin, path, params, id))].join('\n'), options);
          }
          return await callAdmin<ShownKey>(admin, `POST ${path}/disable`, { params });
        });
        present(options, key, () => `${key.name} (${key.id}) is disabled.`);
      } else if (id === undefined && contact !== undefined) {
        const done = await withAdmin(async (admin) => {
          if (!options.yes) await confirm(await reviewOf(admin, contact), options);
          return await callAdmin<Disabled>(admin, 'POST /contacts/{id}/access-keys/disable', {
            params: { id: contact },
          });
        });
        present(options, done, () => describe(done));
      } else {
        throw new CommandEnd(2, 'error: Give the id of an access key, or --contact with the id of a contact.');
      }
    });
}

function questionOf(name: string): string {
  return `Disable ${name}? Programs that use this access key stop working at once.`;
}

/** Says what fails, before it is asked whether to disable all keys of a contact. */
async function reviewOf(admin: Admin, contact: string): Promise<string> {
  const review = await callAdmin<ShownReview>(admin, 'GET /contacts/{id}/access-keys/disable', {
    params: { id: contact },
  });
  const used = review.access_keys.filter((key) => key.tokens_24h > 0);
  const lines = used.map(({ name, tokens_24h: tokens, integrations }) => {
    const by = integrations.map((each) => each.name).join(', ');
    return `  "${name}": ${tokens} token${tokens === 1 ? '' : 's'} in 24 hours${by && `, by ${by}`}`;
  });
  const summary = `${review.total} enabled access key${review.total === 1 ? '' : 's'}, of which ${used.length} got tokens in the last 24 hours.`;
  return plain([...lines, `${summary} Disable all? Programs that use one of them stop working at once.`].join('\n'));
}

function describe({ disabled }: Disabled): string {
  if (disabled.length === 0) return 'No access key of this contact was enabled.';
  return disabled.map(({ id, name }) => `${name} (${id}) is disabled.`).join('\n');
}
