import type { Core } from '../../core.ts';
import type { Transaction } from '../../storage/database.ts';
import type { Operator } from '../operator-auth.ts';
import { type ListEndpoints, openWorld } from './apply-configuration.ts';
import { kindOrder } from './carry-out.ts';
import { type Members, maySee } from './configuration-kind.ts';
import { configurationKinds } from './configuration-kinds.ts';

/** Returns everything that an operator sees as documents, always in the same order. */
export async function exportConfiguration(
  core: Core,
  listEndpoints: ListEndpoints,
  operator: Operator,
  transaction: Transaction,
): Promise<{ documents: Members[]; warnings: string[] }> {
  const kinds = configurationKinds(core.config.issuer);
  const { world } = openWorld(core, listEndpoints, operator, transaction, kinds, false);
  const documents: Members[] = [];
  const warnings: string[] = [];
  for (const name of kindOrder) {
    const kind = world.kindOf(name);
    if (!maySee(operator, name)) continue;
    const things = (await world.things(kind)).filter(({ document }) => !kind.setting || hasSettings(document));
    const keyOf = ({ organization, client, external_id: externalId, name: own }: Members) =>
      JSON.stringify([organization ?? '', client ?? '', externalId ?? '', own ?? '']);
    const keys = things.map(({ document }) => keyOf(document));
    const named = things.map(({ id, document }, index) => {
      const isUnique = keys.indexOf(keys[index] as string) === keys.lastIndexOf(keys[index] as string);
      if (isUnique) return { key: keys[index] as string, document };
      const isClient = kind.path === '/clients/{client_id}';
      warnings.push(
        `Several things of the kind ${name} have the name “${document['name']}”. ${isClient ? 'Their Client IDs tell them apart, on this server only.' : 'Rename them before you apply the files.'}`,
      );
      const { kind: own, name: label, ...rest } = document;
      return {
        key: `${keys[index]} ${id}`,
        document: isClient ? { kind: own, name: label, client_id: id, ...rest } : document,
      };
    });
    named.sort((one, other) => (one.key < other.key ? -1 : 1));
    documents.push(...named.map(({ document }) => document));
  }
  return { documents, warnings: [...new Set(warnings)] };
}

/** Returns whether a document sets something. Other settings are not exported. */
function hasSettings({ kind: _, organization: __, ...settings }: Members): boolean {
  return Object.keys(settings).length > 0;
}
