/** How people write the value of a claim: as it is, or as JSON if it is a number, a boolean or a list. */

/** Reads JSON, and any other text as it is. */
export function readClaimText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Writes a value so that `readClaimText` reads it again. */
export function writeClaimText(value: unknown): string {
  const isPlain =
    typeof value === 'string' && readClaimText(value) === value && !/^\s|\s$|[\r\n]/.test(value) && value !== '';
  return isPlain ? value : JSON.stringify(value);
}
