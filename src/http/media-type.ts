/**
 * Returns whether a Content-Type has this media type, ignoring parameters (RFC 9110 §8.3.1). @param type in lower case.
 */
export function hasMediaType(contentType: string | undefined, type: string): boolean {
  const [given = ''] = (contentType ?? '').split(';', 1);
  return given.replace(/[ \t]+$/, '').toLowerCase() === type;
}
