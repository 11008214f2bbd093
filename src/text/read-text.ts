const forbidden = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Cn}]/u;

/** Characters that change how their neighbours are shown and are not visible themselves (Unicode TR 44, UTS 39). */
const invisible = /[\p{Default_Ignorable_Code_Point}\uFFF9-\uFFFB]/u;

/**
 * Uses of invisible characters that spelling requires: joiners inside Arabic and Indic words (RFC 5892 Appendix A.1 and A.2),
 * and the joiner and the presentation selector inside emoji (UTS 51).
 */
const requiredBySpelling = new RegExp(
  [
    /(?<=[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Khmer}])[\u200C\u200D](?=[\p{L}\p{M}])/u,
    /(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}]\uFE0F?)\u200D(?=\p{Extended_Pictographic})/u,
    /(?<=\p{Extended_Pictographic})\uFE0F/u,
    /(?<=[0-9#*])\uFE0F(?=\u20E3)/u,
  ]
    .map(({ source }) => source)
    .join('|'),
  'gu',
);

/** Character with a visible shape. U+2800 is a Braille pattern without dots. */
const visible = /(?!\u2800)[\p{L}\p{N}\p{P}\p{S}]/u;

/**
 * Returns why a text cannot be a name, as the end of a sentence that begins with the name's field, or undefined if it
 * can. Used by the admin API, the console, the command line and imports.
 * @param max maximum length in UTF-16 code units.
 */
export function textProblem(value: string, max: number): string | undefined {
  if (value.length > max) return `must have at most ${max} characters`;
  if (forbidden.test(value)) return 'must not contain control characters, line breaks or unassigned characters';
  if (invisible.test(value.replace(requiredBySpelling, ''))) {
    return 'must not contain invisible characters, such as zero-width spaces or marks that change the direction of text';
  }
  return visible.test(value) ? undefined : 'must contain a visible character';
}

const maxDepth = 32;

/**
 * Finds a text that PostgreSQL cannot store: one with a NUL character, or with half of a surrogate pair, which UTF-8
 * cannot encode. Searches arrays and objects, including the names of members.
 * @returns the path of the first such text or of a value nested more than 32 levels deep; undefined if everything can
 * be stored.
 */
export function findUnstorableText(value: unknown): string[] | undefined {
  const rest: { path: string[]; value: unknown }[] = [{ path: [], value }];
  for (let next = rest.pop(); next; next = rest.pop()) {
    const { path, value } = next;
    if (typeof value === 'string') {
      if (!isStorable(value)) return path;
    } else if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
      if (path.length >= maxDepth) return path;
      const members = Object.entries(value);
      // The name itself cannot be shown, so the path ends at its parent.
      if (members.some(([name]) => !isStorable(name))) return path;
      for (const [name, member] of members.reverse()) rest.push({ path: [...path, name], value: member });
    }
  }
  return undefined;
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

const momentForm =
  /^(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** Describes a text that `readMoment` rejects, as the end of a sentence that begins with the name of the field. */
export const momentProblem = 'must be a valid time with an offset, such as 2027-01-31T12:00:00Z (RFC 3339)';

/**
 * Parses an RFC 3339 time. Used by the admin API, the console, the command line and imports.
 * @returns undefined for a day that does not exist, such as 2027-02-30, and for a local time without an offset.
 */
export function readMoment(text: string): Date | undefined {
  const [, day] = momentForm.exec(text) ?? [];
  // Date takes 2027-02-30 for 2 March.
  const exists = day !== undefined && new Date(`${day}T00:00:00Z`).toISOString().startsWith(day);
  return exists ? new Date(text) : undefined;
}

/** Formats 32 hexadecimal digits as a UUID (RFC 9562 §4). */
export function toUuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
