/** Quotes a text as one word of a POSIX shell, whatever characters it has. Every command that people copy is made with this. */
export function shellQuote(word: string): string {
  return /^[\w./:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
