/** Matches a list of entity tags (RFC 9110 §8.8.3 and §5.6.1), including empty members. */
const listPattern = /^[\t ,]*(?:(?:W\/)?"[^"]*"[\t ]*(?:,[\t ,]*|$))+$/;

/**
 * Returns the revisions that a change may apply to, from the If-Match header (RFC 9110 §13.1.1).
 * @returns undefined if any revision is accepted. Weak tags, and tags in a form that this server never sends, match no
 * revision.
 */
export function readIfMatch(header: string): readonly number[] | undefined {
  const value = header.trim();
  if (value === '' || value === '*') return undefined;
  if (!listPattern.test(value)) return [];
  return [...value.matchAll(/(W\/)?"([^"]*)"/g)].flatMap(([, weak, tag = '']) =>
    weak === undefined && /^\d{1,9}$/.test(tag) ? [Number(tag)] : [],
  );
}
