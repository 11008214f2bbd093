/** The rule for names and other text for people: what may be in them, so that what is read is what is stored. */

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

/** Something that ink is spent on; U+2800 is a Braille pattern without dots. */
const visible = /(?!\u2800)[\p{L}\p{N}\p{P}\p{S}]/u;

/**
 * Why a text cannot be a name, as the end of a sentence that begins with the name's field; undefined if it can.
 * Every door that takes names uses this rule: the admin API, the console, the command line and imports.
 * @param max the number of UTF-16 code units that it may have.
 */
export function textProblem(value: string, max: number): string | undefined {
  if (value.length > max) return `must have at most ${max} characters`;
  if (forbidden.test(value)) return 'must not contain control characters, line breaks or unassigned characters';
  if (invisible.test(value.replace(requiredBySpelling, ''))) {
    return 'must not contain invisible characters, such as zero-width spaces or marks that change the direction of text';
  }
  return visible.test(value) ? undefined : 'must contain a visible character';
}
