import { suggestionFor } from './environment.ts';

/**
 * Deviations of other servers' clients that can be accepted, so that they need no change when they move. Each is off
 * unless KEYTURN_DIALECTS switches it on for the deployment, or `dialects` for a client.
 */
export const dialectNames = [
  'audience',
  'json_body',
  'token_endpoint_audience',
  'rs256_assertions',
  'other_paths',
] as const;

export type Dialect = (typeof dialectNames)[number];
export type Dialects = ReadonlySet<Dialect>;

/** Dialects that only integrations can have, because they change token requests. */
export const tokenDialects: readonly Dialect[] = ['audience', 'json_body', 'other_paths'];

/**
 * Returns whether a deviation is accepted of a client.
 * @param deployment the dialects that are on for every client.
 */
export function isAccepted(
  dialect: Dialect,
  deployment: Dialects,
  client: { dialects: readonly Dialect[] } | undefined,
): boolean {
  return deployment.has(dialect) || (client?.dialects.includes(dialect) ?? false);
}

/** Returns why a list of dialects is not valid, with a suggestion for a misspelt name. */
export function dialectProblems(names: readonly string[]): string[] {
  return names
    .filter((name) => !(dialectNames as readonly string[]).includes(name))
    .map((name) => {
      const suggestion = suggestionFor(name, dialectNames);
      return `KEYTURN_DIALECTS: ${name} is none of ${dialectNames.join(', ')}${suggestion}`;
    });
}

/** Returns why an imported client cannot have these dialects, as the end of a sentence, or undefined if it can. */
export function dialectsProblem(names: readonly string[]): string | undefined {
  const isKnown = names.every((name) => (dialectNames as readonly string[]).includes(name));
  return isKnown ? undefined : `must be among ${dialectNames.join(', ')}`;
}
