import { suggestionFor } from './environment.ts';

/**
 * Deviations of other servers' clients that a deployment can accept, so that they need no change when they move. All are
 * off unless KEYTURN_DIALECTS names them.
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

/** Returns why a list of dialects is not valid, with a suggestion for a misspelt name. */
export function dialectProblems(names: readonly string[]): string[] {
  return names
    .filter((name) => !(dialectNames as readonly string[]).includes(name))
    .map((name) => {
      const suggestion = suggestionFor(name, dialectNames);
      return `KEYTURN_DIALECTS: ${name} is none of ${dialectNames.join(', ')}${suggestion}`;
    });
}
