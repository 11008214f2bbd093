/** Quotes any text as one word of a POSIX shell. Every command that is offered for copying is built with it. */
export function shellQuote(word: string): string {
  return /^[\w./:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
