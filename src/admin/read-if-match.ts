/** A list of entity tags (RFC 9110 §8.8.3 and §5.6.1), empty members included. */
const listPattern = /^[\t ,]*(?:(?:W\/)?"[^"]*"[\t ]*(?:,[\t ,]*|$))+$/;

/**
 * Reads If-Match (RFC 9110 §13.1.1): the revisions that a change may apply to.
 * @returns undefined for any revision. Weak tags, and tags in a form that this server never sends, match no revision.
 */
export function readIfMatch(header: string): readonly number[] | undefined {
  const value = header.trim();
  if (value === '' || value === '*') return undefined;
  if (!listPattern.test(value)) return [];
  return [...value.matchAll(/(W\/)?"([^"]*)"/g)].flatMap(([, weak, tag = '']) =>
    weak === undefined && /^\d{1,9}$/.test(tag) ? [Number(tag)] : [],
  );
}
