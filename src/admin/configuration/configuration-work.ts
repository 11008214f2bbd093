import { KeyturnError } from '../../errors.ts';
import type { Change, Changes, NewSecret } from './configuration-change.ts';
import type { Kind, Members, World } from './configuration-kind.ts';

/** State and errors that the steps of an apply share. */

/** A document of a request, with its position. */
export type Target = { index: number; kind: Kind; document: Members };

export type Work = {
  world: World;
  changes: Changes;
  secrets: NewSecret[];
  /** The documents of things before their first change. */
  originals: Map<string, Members>;
  /** The things that documents mean, by `kind/id`. */
  meant: Map<string, number>;
  isPlan: boolean;
  /** Takes what the operator lacks for the calls since the last time: a permission, or an approval. */
  takeLacks(): Pick<Change, 'lacks' | 'needs_approval'>;
};

/** Returns the parameters of the path of a thing. */
export function paramsOf({ path }: Kind, id: string): Record<string, string> {
  return { [/\{(\w+)\}/.exec(path)?.[1] ?? 'id']: id };
}

/** Adds the position of a document to the paths of an error. */
export async function within<T>(index: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof KeyturnError) || error.status >= 500) throw error;
    const [, field, message] = /^([a-z][\w.]*): (.*)$/s.exec(error.message) ?? [];
    const own = (error.extension?.['issues'] as { path: string; message: string }[] | undefined) ?? [
      { path: field ?? '', message: message ?? error.message },
    ];
    const issues = own.map(({ path, message: text }) => ({ path: pathOf(index, path), message: text }));
    const isConflict = [404, 409, 412, 428].includes(error.status);
    const code = error.status === 412 ? 'configuration_changed' : error.code;
    throw new KeyturnError(code, isConflict ? 409 : error.status, textOf(issues), { extension: { issues } });
  }
}

const documentNames: Readonly<Record<string, string>> = { organization_id: 'organization', owner_contact_id: 'owner' };

function pathOf(index: number, path: string): string {
  const [first = '', ...rest] = path.split('.');
  return ['documents', index, ...(path === '' ? [] : [documentNames[first] ?? first, ...rest])].join('.');
}

function textOf(issues: readonly { path: string; message: string }[]): string {
  return issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
}
