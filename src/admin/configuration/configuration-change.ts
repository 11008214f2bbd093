import { createHash } from 'node:crypto';
import { isMembers } from './compare-documents.ts';
import type { FieldChange, Kind, Members, Thing } from './configuration-kind.ts';

/** One change of a configuration, and what it would cut. */

/** A person or program that used something in the last 30 days. */
export type User = { name: string; last_used_at: string };

/** Something that stops working. @property used_by who used it in the last 30 days, latest first. */
export type Cut = { what: string; used_by: User[] };

export type Change = {
  /** Eight characters that stand for what changes, for `accept`. */
  id: string;
  kind: string;
  name: string;
  organization: string | null;
  action: 'create' | 'update' | 'delete';
  fields: FieldChange[];
  cuts: Cut[];
  needs_acceptance: boolean;
  /** The permission that the operator lacks for it, as a sentence. */
  lacks: string | null;
  /** Whether a second person has to approve it, and has not. */
  needs_approval: boolean;
  /** The position of its document in the request. Null: it is in none. */
  document: number | null;
};

/** A secret that was generated. It is shown only now. */
export type NewSecret = { kind: string; name: string; organization: string | null; id: string; secret: string };

/** The changes so far, one for each thing. */
export type Changes = {
  add(change: Omit<Change, 'id' | 'needs_acceptance'>): void;
  list(): Change[];
};

export function collectChanges(): Changes {
  const found = new Map<string, Omit<Change, 'id' | 'needs_acceptance'>>();
  return {
    add(change) {
      const key = JSON.stringify([change.kind, change.organization, change.name, change.document]);
      const earlier = found.get(key);
      found.set(
        key,
        earlier
          ? {
              ...earlier,
              fields: [...earlier.fields, ...change.fields],
              cuts: [...earlier.cuts, ...change.cuts],
              lacks: earlier.lacks ?? change.lacks,
              needs_approval: earlier.needs_approval || change.needs_approval,
            }
          : change,
      );
    },
    list: () =>
      [...found.values()].map((change) => ({
        id: idOfChange(change),
        ...change,
        needs_acceptance: change.action === 'delete' || change.cuts.some((cut) => cut.used_by.length > 0),
      })),
  };
}

/** Returns the ID of a change. The users are not part of it, so that an acceptance stays valid while programs run. */
function idOfChange({
  kind,
  name,
  organization,
  action,
  fields,
  cuts,
}: Omit<Change, 'id' | 'needs_acceptance'>): string {
  const about = [kind, name, organization, action, fields, cuts.map(({ what }) => what)];
  return createHash('sha256').update(JSON.stringify(about)).digest('hex').slice(0, 8);
}

/** Returns what stands for the changes and the state that they start from. */
export function fingerprintOf(changes: readonly Change[]): string {
  const ids = changes.map(({ id }) => id);
  return createHash('sha256').update(JSON.stringify(ids)).digest('base64url');
}

/** Returns the name of what a document or a thing is about, for people. */
export function labelOf(kind: Kind, document: Members, thing?: Thing): Pick<Change, 'kind' | 'name' | 'organization'> {
  const { name, client, organization } = document;
  const shown = isMembers(thing?.shown) ? thing.shown['name'] : undefined;
  const own = String(name ?? kind.setting?.label ?? shown ?? '');
  return {
    kind: kind.name,
    name: client === undefined ? own : `${client}: ${own}`,
    organization: typeof organization === 'string' ? organization : null,
  };
}
