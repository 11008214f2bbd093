/** Returns a number with its noun in the singular or plural, such as `1 source` or `2 sources`. */
export function countOf(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
