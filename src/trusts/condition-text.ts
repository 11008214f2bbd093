/** A condition on a claim, with the member names of the admin API. */
export type WrittenCondition = {
  claim: string;
  equals?: string | undefined;
  one_of?: string[] | undefined;
  prefix?: string | undefined;
};

/** Matches where an even number of backslashes ends, so that the next character is not escaped. */
const unescaped = '(?<=(?<!\\\\)(?:\\\\\\\\)*)';
const separator = new RegExp(`${unescaped}\\|`);
const open = new RegExp(`${unescaped}\\*$`);

/**
 * Reads `claim=value`, `claim=one|another` or `claim=beginning*`. A backslash before `|`, `*` or another backslash makes
 * it a part of the value. Returns undefined for a text of another form.
 */
export function readCondition(text: string): WrittenCondition | undefined {
  const [, claim, rest = ''] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (claim === undefined) return undefined;
  if (open.test(rest)) return { claim, prefix: withoutEscapes(rest.slice(0, -1)) };
  const values = rest.split(separator).map(withoutEscapes);
  return values.length > 1 ? { claim, one_of: values } : { claim, equals: values[0] ?? '' };
}

/** Writes a condition as `readCondition` reads it. */
export function writeCondition({ claim, equals, one_of: oneOf, prefix }: WrittenCondition): string {
  if (prefix !== undefined) return `${claim}=${withEscapes(prefix)}*`;
  return `${claim}=${(oneOf ?? [equals ?? '']).map(withEscapes).join('|')}`;
}

function withoutEscapes(text: string): string {
  return text.replace(/\\(.)/gs, '$1');
}

function withEscapes(text: string): string {
  return text.replace(/[\\|]|\*$/g, '\\$&');
}
