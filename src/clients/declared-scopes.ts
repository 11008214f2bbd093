import { randomBytes } from 'node:crypto';
import { invalidField } from '../errors.ts';
import { textProblem } from '../text/read-text.ts';

/** The scopes that a resource server names itself, beside the generated ones of its kinds of information. */

export const actions = ['create', 'read', 'update', 'delete'] as const;
export type Action = (typeof actions)[number];

/** A scope as an operator declares it. */
export type GivenScope = {
  name: string;
  /** A description for people of what it allows. */
  description: string;
  /** Other names of the same permission. */
  aliases?: readonly string[] | undefined;
  /** With `action`: the cell of the matrix that the names mean. */
  information?: string | null | undefined;
  action?: Action | null | undefined;
  /** Whether granting it needs special care. */
  sensitive?: boolean | undefined;
  /** Those of its names that are deprecated: valid, but no longer offered to anybody who does not have them. */
  deprecated?: readonly string[] | undefined;
  /** Its first name until now, if the change takes that name away. Who has it gets the new name. */
  renamedFrom?: string | undefined;
};

/** A declared scope of a resource server. */
export type DeclaredScope = {
  /** The permission that the names mean: `kind:action`, or a random ID that starts with `#`. It does not change with a name. */
  id: string;
  name: string;
  description: string;
  aliases: readonly string[];
  information: string | null;
  action: Action | null;
  sensitive: boolean;
  /** Absent if a version without deprecated names has stored the scope. */
  deprecated?: readonly string[];
  /**
   * Since when each name means this permission here, in milliseconds since the epoch. A token that was issued before that
   * was not granted it, even if it contains the name.
   */
  since: Readonly<Record<string, number>>;
  /**
   * When a permission of its own was united with the cell that it means now, in milliseconds since the epoch. For earlier
   * tokens, its names are not those of the cell.
   */
  united?: number;
};

export const scopeLimits = { scopes: 500, name: 128, description: 500, aliases: 10 } as const;

const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/;

/** Describes the form of a name, as the end of a sentence. */
export const scopeNameForm =
  'must have 1 to 128 printable ASCII characters without spaces, quotation marks and backslashes (RFC 6749 §3.3)';

/** Returns whether a text can be the name of a scope (RFC 6749 §3.3). */
export function isScopeName(name: string): boolean {
  return scopeToken.test(name);
}

/** Returns every name of a declared scope, the first one first. */
function namesOf({ name, aliases = [] }: Pick<GivenScope, 'name' | 'aliases'>): string[] {
  return [name, ...aliases];
}

/**
 * Returns why scopes cannot be declared, with the position of the first wrong one, or undefined if they can. The admin
 * API, the console, the command line and imports call it.
 * @param information the kinds of information of the resource server.
 */
function scopesProblem(
  scopes: readonly GivenScope[],
  information: readonly string[],
): { index: number; member: keyof GivenScope; message: string } | undefined {
  if (scopes.length > scopeLimits.scopes) {
    return { index: scopeLimits.scopes, member: 'name', message: `at most ${scopeLimits.scopes} scopes are allowed` };
  }
  const seen = new Set<string>();
  for (const [index, scope] of scopes.entries()) {
    const { information: kind = null, action = null, aliases = [], description } = scope;
    const wrong = (member: keyof GivenScope, message: string) => ({ index, member, message });
    for (const [place, name] of namesOf(scope).entries()) {
      const member = place === 0 ? 'name' : 'aliases';
      if (!isScopeName(name)) return wrong(member, scopeNameForm);
      if (seen.has(name)) return wrong(member, `${name} is declared twice`);
      seen.add(name);
      const generated = cellOf(name);
      if (generated && information.includes(generated.kind) && cellName({ information: kind, action }) !== name) {
        return wrong(member, `${name} is a scope of the kind of information ${generated.kind}, and can mean only that`);
      }
    }
    const foreign = scope.deprecated?.find((name) => !namesOf(scope).includes(name));
    if (foreign !== undefined) return wrong('deprecated', `${foreign} is not a name of this scope`);
    if (aliases.length > scopeLimits.aliases) return wrong('aliases', `at most ${scopeLimits.aliases} are allowed`);
    const problem =
      description.length > scopeLimits.description
        ? `must have at most ${scopeLimits.description} characters`
        : description === ''
          ? 'must not be empty'
          : textProblem(description, scopeLimits.description);
    if (problem) return wrong('description', problem);
    if ((kind === null) !== (action === null)) {
      return wrong(kind === null ? 'information' : 'action', 'give both information and action, or neither');
    }
    if (kind !== null && !information.includes(kind)) {
      return wrong('information', `${kind} is not a kind of information of this resource server`);
    }
  }
  return undefined;
}

/** @throws {InvalidInput} if the scopes cannot be declared. The path of the error names the wrong member. */
export function requireDeclarable(scopes: readonly GivenScope[], information: readonly string[]): void {
  const problem = scopesProblem(scopes, information);
  if (!problem) return;
  const path = `scopes.${problem.index}.${problem.member}`;
  throw invalidField(path, problem.message);
}

/** Returns the kind of information and the action of a generated scope, or undefined for another scope. */
export function cellOf(scope: string): { kind: string; action: Action } | undefined {
  const [, kind, action] = /^([a-z][a-z0-9_-]{0,62}):(create|read|update|delete)$/.exec(scope) ?? [];
  return kind !== undefined && action !== undefined ? { kind, action: action as Action } : undefined;
}

function cellName({ information, action }: { information: string | null; action: Action | null }): string | undefined {
  return information === null ? undefined : `${information}:${action}`;
}

/** Clocks of processes differ by less than this. */
const clockLeewayMs = 5_000;

/**
 * Returns the scopes to store. A scope that shares a name with an earlier one stays the same permission, also if it is
 * renamed.
 * @param now milliseconds since the epoch.
 * @param isTaken returns whether live tokens may contain this name with another meaning.
 */
export function declareScopes(
  given: readonly GivenScope[],
  before: readonly DeclaredScope[],
  now: number,
  isTaken: (name: string) => boolean,
): DeclaredScope[] {
  const continued = new Set<DeclaredScope>();
  const earlierOf = (scope: GivenScope) => {
    const names = namesOf(scope);
    const earlier =
      before.find((candidate) => candidate.name === scope.renamedFrom) ??
      before.find((candidate) => candidate.name === scope.name) ??
      before.find((candidate) => namesOf(candidate).some((name) => names.includes(name)));
    if (!earlier || continued.has(earlier)) return undefined;
    continued.add(earlier);
    return earlier;
  };
  return given.map((scope) => {
    const { information = null, action = null } = scope;
    const earlier = earlierOf(scope);
    const kept = earlier?.id.startsWith('#') ? earlier.id : undefined;
    const cell = cellName({ information, action });
    const id = cell ?? kept ?? `#${randomBytes(6).toString('base64url')}`;
    const united = cell === undefined ? undefined : kept === undefined ? unitedOf(earlier, cell) : now;
    const since = Object.fromEntries(
      namesOf(scope).map((name) => {
        const isSame = (candidate: DeclaredScope) => candidate.id === id || candidate.id === kept;
        const meant = before.find((candidate) => isSame(candidate) && candidate.since[name] !== undefined);
        const isNew = !isTaken(name) && !before.some((candidate) => candidate.since[name] !== undefined);
        return [name, meant?.since[name] ?? (isNew ? now - clockLeewayMs : now)];
      }),
    );
    return {
      id,
      name: scope.name,
      description: scope.description,
      aliases: [...(scope.aliases ?? [])],
      information,
      action,
      sensitive: scope.sensitive ?? false,
      deprecated: [...(scope.deprecated ?? [])],
      since,
      ...(united === undefined ? {} : { united }),
    };
  });
}

function unitedOf(earlier: DeclaredScope | undefined, cell: string): number | undefined {
  return earlier?.id === cell ? earlier.united : undefined;
}
