/** Rule for every text of a request or an import: the database must be able to store it. */

const maxDepth = 32;

/**
 * Finds a text that PostgreSQL cannot store: one with a NUL character, or with half of a surrogate pair, which UTF-8
 * cannot encode. Searches arrays and objects, including the names of members.
 * @returns the path of the first such text or of a value nested more than 32 levels deep; undefined if everything can
 * be stored.
 */
export function findUnstorableText(value: unknown): string[] | undefined {
  const rest: { path: string[]; value: unknown }[] = [{ path: [], value }];
  for (let next = rest.pop(); next; next = rest.pop()) {
    const { path, value } = next;
    if (typeof value === 'string') {
      if (!isStorable(value)) return path;
    } else if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
      if (path.length >= maxDepth) return path;
      const members = Object.entries(value);
      // The name itself cannot be shown, so the path ends at its parent.
      if (members.some(([name]) => !isStorable(name))) return path;
      for (const [name, member] of members.reverse()) rest.push({ path: [...path, name], value: member });
    }
  }
  return undefined;
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}
