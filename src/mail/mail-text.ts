/**
 * Returns a text for one line of a mail: without control characters and line breaks, which could add headers, and without
 * characters that change the direction of what follows.
 */
export function plainLine(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(/[\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu, '')
    .trim();
}

/**
 * Returns a text that callers have chosen, such as a user agent, so that mail programs do not make links of it. A
 * zero-width space separates what looks like an address.
 */
export function withoutLinks(text: string): string {
  const line = plainLine(text);
  const shown = line.length > 100 ? `${line.slice(0, 100)}…` : line;
  return shown.replace(/(?<=[\w/])([.:@/])(?=[A-Za-z/])/g, '$1\u200b');
}
