/** Quotes any text as one word of a POSIX shell. Every command that is offered for copying is built with it. */
export function shellQuote(word: string): string {
  return /^[\w./:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * Joins a Client ID and a secret for HTTP Basic, both form-encoded (RFC 6749 §2.3.1). Values that Keyturn generates
 * need no encoding; an imported secret may contain `%`, `+` or a colon.
 */
export function basicUser(clientId: string, clientSecret: string): string {
  return `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
}
