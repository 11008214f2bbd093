/** Rule for names and other text shown to people, so that the text people read is the text that is stored. */

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
