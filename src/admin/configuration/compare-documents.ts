import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import { parseScope } from '../../clients/client.ts';
import type { FieldChange, Kind, Members } from './configuration-kind.ts';

/** Compares documents with what the server has. */

/** Members that say which thing a document means. */
const identity = ['kind', 'client_id', 'is_deployment', 'client_secret'];

/** Returns a document without members that have their default, in the order of the schema. */
export function withoutDefaults(kind: Kind, document: Members): Members {
  const defaults = kind.defaultsOf(document);
  const entries = Object.keys(kind.schema.shape).flatMap((name): [string, unknown][] => {
    const value = document[name];
    const usual = defaults[name];
    if (name === 'kind') return [[name, kind.name]];
    if (isMembers(usual) && isMembers(value)) {
      const names = [...Object.keys(value).filter((each) => !(each in usual)), ...Object.keys(usual)];
      const own = names.filter((each) => value[each] !== undefined && !isSame(value[each], usual[each]));
      return own.length === 0 ? [] : [[name, Object.fromEntries(own.map((each) => [each, value[each]]))]];
    }
    const isUsual = value === undefined || isSame({ [name]: value }, { [name]: usual ?? emptyOf(kind, name) });
    return isUsual || value === null ? [] : [[name, value]];
  });
  return Object.fromEntries(entries);
}

/** Returns the members of a document that differ from what the server has. */
export function compare(kind: Kind, current: Members, document: Members): FieldChange[] {
  const [has, wants] = [kind.defaultsOf(current), kind.defaultsOf(document)];
  const compared = Object.keys(kind.schema.shape).filter(
    (name) =>
      !(identity.includes(name) && !(name === 'client_id' && kind.name === 'identity_provider')) &&
      !kind.ignored?.includes(name) &&
      !(kind.kept?.includes(name) && document[name] === undefined),
  );
  return compared.flatMap((field) => {
    const before = filled(current[field], has[field]) ?? emptyOf(kind, field);
    const after = filled(document[field], wants[field]) ?? emptyOf(kind, field);
    return isSame({ [field]: before }, { [field]: after }) ? [] : [{ field, before, after }];
  });
}

/** Returns the value with defaults for what is absent. */
function filled(value: unknown, usual: unknown): unknown {
  return isMembers(usual) && (value === undefined || isMembers(value)) ? { ...usual, ...value } : (value ?? usual);
}

/** Returns the value that removes a member: null, or an empty value if the admin API does not accept null. */
function emptyOf(kind: Kind, field: string): unknown {
  const schema = (kind.patch.shape as Record<string, z.ZodType>)[field];
  return [null, [], {}].find((value) => schema?.safeParse(value).success) ?? null;
}

/** Returns the members of a change that a request body can have. @param fields those to send. */
export function bodyOf(kind: Kind, fields: readonly FieldChange[]): Members {
  const accepts = (name: string, value: unknown) => {
    const schema = (kind.patch.shape as Record<string, z.ZodType>)[name];
    return value !== null || schema === undefined || schema.safeParse(null).success;
  };
  return Object.fromEntries(
    fields.filter(({ field, after }) => accepts(field, after)).map(({ field, after }) => [field, after]),
  );
}

/** Returns whether two values mean the same: the order of scopes and of lists of text has no meaning. */
export function isSame(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(comparable(one), comparable(other));
}

function comparable(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.every((each) => typeof each === 'string') ? [...new Set(value)].sort() : value.map(comparable);
  }
  if (!isMembers(value)) return value ?? null;
  const given = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(
    given.map(([name, each]) => [
      name,
      /^(default_)?scope$/.test(name) && typeof each === 'string' ? scopesOf(each).sort() : comparable(each),
    ]),
  );
}

export function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Returns scopes as a list whose order has no meaning. */
export function scopesOf(scope: unknown): string[] {
  return typeof scope === 'string' ? parseScope(scope) : [];
}

/** Returns a JSON value with the members of its objects in the order of their names. */
export function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (!isMembers(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, inOrder(value[name])]),
  );
}

/** Returns the named members that are not null, in this order. */
export function pick(members: Members, names: readonly string[]): Members {
  return Object.fromEntries(
    names.flatMap((name) => (members[name] === undefined || members[name] === null ? [] : [[name, members[name]]])),
  );
}
